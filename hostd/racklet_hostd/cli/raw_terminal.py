"""A terminal as a plain wire to a node's console, and the key that leads out."""

import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto

_ESCAPE = b"\x1d"  # Ctrl-]
_YES = (b"y", b"Y")


class KeyAction(Enum):
    """What the person wants of the command rather than of the node."""

    LEAVE = auto()
    HELP = auto()
    WHO = auto()
    TAKE_OVER = auto()
    IDENTIFY = auto()
    POWER_ON = auto()
    SHUT_DOWN = auto()
    FORCE_OFF = auto()
    CYCLE = auto()
    NOTHING = auto()  # a question was not answered with yes


@dataclass(frozen=True, slots=True)
class Question:
    """The person wants something that is done only after another key, `y`."""

    action: KeyAction


_KEYS = {
    b"q": KeyAction.LEAVE,
    b"?": KeyAction.HELP,
    b"w": KeyAction.WHO,
    b"t": KeyAction.TAKE_OVER,
    b"i": KeyAction.IDENTIFY,
    b"o": KeyAction.POWER_ON,
    b"s": KeyAction.SHUT_DOWN,
    b"f": KeyAction.FORCE_OFF,
    b"c": KeyAction.CYCLE,
}
_ASKED = frozenset({KeyAction.POWER_ON, KeyAction.SHUT_DOWN, KeyAction.FORCE_OFF, KeyAction.CYCLE})


class EscapeKey:
    """Finds the escape key among what is typed: Ctrl-] then q leaves, then ? helps, and so on.

    Ctrl-] twice types one Ctrl-]; Ctrl-] and any other key types both. What moves the supply is asked back first.
    """

    def __init__(self) -> None:
        self._is_armed = False
        self._asked: KeyAction | None = None

    def feed(self, typed: bytes) -> list[bytes | KeyAction | Question]:
        """Return the bytes meant for the node, and what is wanted, in order; what is typed after LEAVE is dropped."""
        found: list[bytes | KeyAction | Question] = []
        for code in typed:
            wanted = self._key(bytes((code,)))
            if isinstance(wanted, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += wanted
            elif wanted:
                found.append(wanted)
            if wanted is KeyAction.LEAVE:
                break
        return found

    def _key(self, key: bytes) -> bytes | KeyAction | Question:
        if self._asked is not None:
            asked, self._asked = self._asked, None
            return asked if key in _YES else KeyAction.NOTHING
        if not self._is_armed:
            self._is_armed = key == _ESCAPE
            return b"" if self._is_armed else key
        self._is_armed = False
        action = _KEYS.get(key)
        if action in _ASKED:
            self._asked = action
            return Question(action)
        return action or (key if key == _ESCAPE else _ESCAPE + key)


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
