"""Where a command's words go: results to stdout, remarks to stderr."""

import json
import sys
from dataclasses import dataclass, field

from google.protobuf import json_format
from google.protobuf.message import Message
from rich.console import Console, RenderableType

from racklet_hostd.cli.errors import UnwritableError
from racklet_hostd.cli.terminal_text import printable

_WIDE = 1_000  # columns of a table that no terminal limits


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


@dataclass(frozen=True, slots=True)
class Output:
    """One command's stdout and stderr. Every write is flushed, since a reader may follow."""

    as_json: bool
    console: Console = field(default_factory=_console)

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person looks at stdout. Unlike rich's, no variable such as FORCE_COLOR changes it."""
        return sys.stdout.isatty()

    def data(self, data: bytes) -> None:
        """Write bytes as they are.

        Raises BrokenPipeError when the reader left, UnwritableError when they cannot be written for another reason.
        """
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UnwritableError(f"cannot write the output: {error.strerror}") from error

    def text(self, text: str) -> None:
        """Write text as it is."""
        self.data(text.encode(sys.stdout.encoding, "backslashreplace"))

    def show(self, renderable: RenderableType) -> None:
        """Write a table or styled line: fitted and coloured on a terminal, else plain and as wide as it is."""
        if self.is_terminal:
            self.console.print(renderable)
            return
        with self.console.capture() as capture:
            self.console.print(renderable)
        self.text("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))

    def json(self, message: Message, **extra: object) -> None:
        """Write one line of JSON: `extra`, and the fields of `message` in protobuf's own mapping.

        Names are those of the .proto, every field is there, 64-bit numbers are strings.
        """
        fields = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        self.record(**extra, **fields)

    def record(self, **fields: object) -> None:
        """Write one line of JSON."""
        self.text(json.dumps(fields) + "\n")


def complain(line: str) -> None:
    """Write one line to stderr, whatever is in it."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def remark(text: str) -> None:
    """Write one line to stderr in the command's name."""
    complain(f"racklet: {text}")


def remark_presence(is_there: bool) -> None:  # noqa: FBT001 - a callback's one argument
    """Say on stderr that hostd went away or is back."""
    remark("hostd is back" if is_there else "hostd went away; waiting for it")
