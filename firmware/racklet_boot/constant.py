"""`const` of MicroPython, where the compiler puts the number in place; elsewhere it is the number."""

try:
    from micropython import const
except ImportError:

    def const(value: int) -> int:  # pyright: ignore[reportAssignmentType] - the stubs name no type
        """Return the number."""
        return value
