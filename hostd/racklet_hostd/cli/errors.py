"""What can end a command early, as a sentence and an exit code."""

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """The command's exit codes; documented in docs/cli.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    INTERRUPTED = 130


class CommandError(Exception):
    """The command cannot go on. Its text is one sentence for a person."""

    exit_code = ExitCode.FAILED


class UnreachableError(CommandError):
    """There is no hostd at the address, or it went away."""

    exit_code = ExitCode.UNREACHABLE


class UnwritableError(CommandError):
    """stdout takes no more."""


class RefusedError(CommandError):
    """hostd answered with a refusal.

    `about` names what was asked for, and is put before a `reason` (hostd's sentence) that does not name it itself.
    `status` is the gRPC status by name, `lines` what hostd said, printable, for a refusal with more than one reason.
    """

    def __init__(self, about: str, status: str, reason: str) -> None:
        is_named = not about or re.search(rf"(?<![\w-]){re.escape(about)}(?![\w-])", reason)
        super().__init__(reason if is_named else f"{about}: {reason}")
        self.status = status
        self.reason = reason
        self.lines = [reason]


class NotFoundError(RefusedError):
    """hostd has nothing of that name."""

    exit_code = ExitCode.NOT_FOUND


class LostError(UnreachableError):
    """The answer broke off because hostd stopped or the way to it was cut."""


class StoppedError(Exception):
    """A signal asked the command to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
