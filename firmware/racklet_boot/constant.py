"""`const` of MicroPython, where the compiler puts the number in place; elsewhere it is the number."""

try:
    from micropython import const  # pyright: ignore[reportAssignmentType] - its stub names no type
except ImportError:

    def const(value: int) -> int:
        """Return the number."""
        return value
