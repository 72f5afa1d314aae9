"""A terminal as a plain wire to a node's console, and the key that leads out."""

import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

_ESCAPE = b"\x1d"  # Ctrl-]


class KeyAction(Enum):
    """What the person wants of the command rather than of the node."""

    LEAVE = auto()
    HELP = auto()


class EscapeKey:
    """Finds the escape key among what is typed: Ctrl-] then q leaves, then ? helps.

    Ctrl-] twice types one Ctrl-]; Ctrl-] and any other key types both.
    """

    def __init__(self) -> None:
        self._is_armed = False

    def feed(self, typed: bytes) -> tuple[bytes, KeyAction | None]:
        """Return the bytes meant for the node, and the first action; what is typed after LEAVE is dropped."""
        passed = bytearray()
        action: KeyAction | None = None
        for code in typed:
            key = bytes((code,))
            if not self._is_armed:
                self._is_armed = key == _ESCAPE
                passed += b"" if self._is_armed else key
                continue
            self._is_armed = False
            match key:
                case b"q":
                    return bytes(passed), KeyAction.LEAVE
                case b"?":
                    action = KeyAction.HELP
                case _ if key == _ESCAPE:
                    passed += key
                case _:
                    passed += _ESCAPE + key
        return bytes(passed), action


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Hand every key to the program as it is typed, and every byte to the screen as it is, until the block ends.

    The terminal's settings come back however the block ends, short of SIGKILL.
    """
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield
    finally:
        with suppress(termios.error):  # the terminal is gone, and its settings with it
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
