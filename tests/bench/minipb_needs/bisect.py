"""What minipb uses of `bisect`, which MicroPython has not."""


def bisect_right(items, item):
    index = 0
    while index < len(items) and items[index] <= item:
        index += 1
    return index
