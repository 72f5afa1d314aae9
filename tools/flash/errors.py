"""What can keep a HAT from being flashed: a sentence and an exit code each."""


class FlashError(Exception):
    """The HAT was not flashed. The text is a sentence for a person."""

    exit_code = 1


class NoPortError(FlashError):
    """There is no such port."""

    exit_code = 3


class PortBusyError(FlashError):
    """Somebody else holds the port."""

    exit_code = 4


class NoMicroPythonError(FlashError):
    """Nothing at the port answers as MicroPython does."""

    exit_code = 5


class NoHatError(FlashError):
    """MicroPython answers, on something that is no HAT."""

    exit_code = 6


class TooOldError(FlashError):
    """The MicroPython on the HAT is older than what the firmware needs."""

    exit_code = 7


class NoSpaceError(FlashError):
    """The flash has no room."""

    exit_code = 8


class NoHelloError(FlashError):
    """All was written, and the firmware does not say Hello."""

    exit_code = 9
