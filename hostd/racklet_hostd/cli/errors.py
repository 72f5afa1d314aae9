"""What can end a command early, as a sentence and an exit code."""

from enum import IntEnum

from racklet_client.errors import LostError, NotFoundError, RackError, UnreachableError


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


class NothingThereError(CommandError):
    """There is no such thing, as far as the command can see."""

    exit_code = ExitCode.NOT_FOUND


class UnwritableError(CommandError):
    """stdout takes no more."""


class StoppedError(Exception):
    """A signal asked the command to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def exit_code(error: CommandError | RackError) -> ExitCode:
    """Return the exit code that stands for an error."""
    match error:
        case CommandError():
            return error.exit_code
        case UnreachableError():
            return ExitCode.UNREACHABLE
        case NotFoundError():
            return ExitCode.NOT_FOUND
        case RackError():
            return ExitCode.FAILED


def sentence(error: CommandError | RackError) -> str:
    """Return what is said of an error."""
    if isinstance(error, UnreachableError) and not isinstance(error, LostError):
        return f"{error}. Start it with `racklet-hostd`, or name its address with --address or RACKLET_ADDRESS"
    return str(error)
