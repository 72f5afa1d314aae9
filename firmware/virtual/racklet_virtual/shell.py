"""The console of a scripted node that is up: a login, a prompt and a few commands."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import NamedTuple

_MAX_LINE_BYTES = 200
_CTRL_C, _CTRL_D, _BACKSPACES = 0x03, 0x04, (0x08, 0x7F)
_LINE_ENDS = b"\r\n"

_HELP = """\
help             this list
uptime           how long the node is up
uname            its kernel
dmesg            the newest kernel lines
echo TEXT        says TEXT
work             works hard for a while
hang             stops answering
panic            crashes the kernel
reboot           starts again, the supply stays on
poweroff         shuts down and halts
logout           leaves
"""


class Order(StrEnum):
    """What a command asks of the node itself."""

    WORK = "work"
    HANG = "hang"
    PANIC = "panic"
    REBOOT = "reboot"
    POWEROFF = "poweroff"


_ORDERS = frozenset(Order)  # strings compare equal to their members


class Reaction(NamedTuple):
    """What the console prints, and what the node shall do then."""

    output: bytes
    order: Order | None = None


class _Mode(Enum):
    LOGIN = 1
    PASSWORD = 2
    PROMPT = 3


class Shell:
    """Takes typed bytes and tells what the console answers. The login prompt is on the screen already.

    A line keeps its first 200 bytes; any name and any password will do.
    """

    def __init__(self, node_name: str, kernel_lines: tuple[bytes, ...]) -> None:
        self._name = node_name
        self._kernel_lines = kernel_lines
        self._mode = _Mode.LOGIN
        self._user = "root"
        self._line = bytearray()

    def type(self, byte: int, uptime_s: int) -> Reaction:
        """Take one typed byte."""
        if byte in _LINE_ENDS:
            return self._enter(uptime_s)
        if byte in _BACKSPACES:
            return self._erase()
        if byte == _CTRL_C:
            self._line.clear()
            return Reaction(b"^C\r\n" + self._prompt())
        if byte == _CTRL_D and not self._line:
            return self._logout()
        if byte < ord(" ") or len(self._line) >= _MAX_LINE_BYTES:
            return Reaction(b"")
        self._line.append(byte)
        return Reaction(b"" if self._mode is _Mode.PASSWORD else bytes([byte]))

    def _erase(self) -> Reaction:
        if not self._line:
            return Reaction(b"")
        self._line.pop()
        return Reaction(b"" if self._mode is _Mode.PASSWORD else b"\b \b")

    def _enter(self, uptime_s: int) -> Reaction:
        line = self._line.decode("utf-8", "replace").strip()
        self._line.clear()
        if self._mode is _Mode.PROMPT:
            return self._run(line, uptime_s)
        if self._mode is _Mode.PASSWORD:
            self._mode = _Mode.PROMPT
            return Reaction(f"\r\nWelcome to {self._name}. Type help.\r\n".encode() + self._prompt())
        if line:
            self._user, self._mode = line, _Mode.PASSWORD
        return Reaction(b"\r\n" + self._prompt())

    def _run(self, line: str, uptime_s: int) -> Reaction:
        command, _, rest = line.partition(" ")
        if command in _ORDERS:
            return Reaction(b"\r\n" + (self._prompt() if command == Order.WORK else b""), Order(command))
        if command in ("logout", "exit"):
            return self._logout()
        text = self._text(command, rest, uptime_s)
        return Reaction(b"\r\n" + text.encode().replace(b"\n", b"\r\n") + self._prompt())

    def _text(self, command: str, rest: str, uptime_s: int) -> str:
        minutes, seconds = divmod(uptime_s, 60)
        texts = {
            "": "",
            "help": _HELP,
            "uptime": f" up {minutes} min {seconds} s, 1 user\n",
            "uname": f"Linux {self._name} 6.1.0 aarch64\n",
            "dmesg": b"\n".join((*self._kernel_lines, b"")).decode("utf-8", "replace"),
            "echo": rest + "\n",
        }
        return texts.get(command, f"-sh: {command}: not found\n")

    def _logout(self) -> Reaction:
        self._mode = _Mode.LOGIN
        return Reaction(b"\r\n\r\n" + self._prompt())

    def _prompt(self) -> bytes:
        match self._mode:
            case _Mode.LOGIN:
                return f"{self._name} login: ".encode()
            case _Mode.PASSWORD:
                return b"Password: "
            case _Mode.PROMPT:
                return f"{self._user}@{self._name}:~# ".encode()
