"""What can end a command early, as a sentence and an exit code."""

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


class RefusedError(CommandError):
    """hostd answered with a refusal.

    `about` names the node or thing asked for, `status` is the gRPC status by name, `reason` is hostd's sentence.
    """

    def __init__(self, about: str, status: str, reason: str) -> None:
        super().__init__(f"{about}: {reason}" if about and not reason.startswith(f"{about}: ") else reason)
        self.status = status
        self.reason = reason


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
