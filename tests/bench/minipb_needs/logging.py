"""What minipb uses of `logging`, which MicroPython has not."""


class Logger:
    def warning(self, *args):
        pass


def getLogger(_name):  # noqa: N802 - the standard library's name
    return Logger()
