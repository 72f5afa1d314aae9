"""Pieces of a boot log as JSON, as bytes for a pipe, and as text for a terminal."""

import codecs
from collections.abc import Callable
from typing import Protocol

from racklet.v1 import rack_pb2
from racklet_client.names import boot_number
from racklet_hostd.cli import units
from racklet_hostd.cli.escape_stripper import EscapeStripper
from racklet_hostd.cli.log_lines import LineStamper, stamp
from racklet_hostd.cli.output import Output, complain
from racklet_hostd.cli.terminal_text import TerminalText, printable


class LogPrinter(Protocol):
    """Shows pieces of boot logs in the order they come."""

    def piece(self, piece: rack_pb2.ReadBootLogResponse) -> None:
        """Show a piece."""

    def boot(self, boot: str) -> None:
        """Say that what comes belongs to another boot."""

    def finish(self) -> None:
        """Leave the output tidy; nothing comes after it."""


class JsonPrinter:
    """One object a piece: its exact bytes in `data` as base64, and in `text` as UTF-8 for reading.

    A character that is cut by the end of a piece is whole in the `text` of the next one; what is not UTF-8 is U+FFFD.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def piece(self, piece: rack_pb2.ReadBootLogResponse) -> None:
        """Write the piece's fields, and `text` when it has bytes."""
        if piece.HasField("line_errors"):
            self._output.json(piece)
        elif piece.HasField("data"):
            self._output.json(piece, text=self._decoder.decode(piece.data))
        else:
            self._decoder.reset()
            self._output.json(piece)

    def boot(self, boot: str) -> None:
        """Do nothing but begin anew: each piece names its boot."""
        del boot
        self._decoder.reset()

    def finish(self) -> None:
        """Do nothing: each line is complete."""


class Dressing:
    """What is done to a log's bytes before they are shown: times before the lines, escape sequences out."""

    def __init__(self, *, timestamps: bool = False, strip: bool = False) -> None:
        self._stamper = LineStamper() if timestamps else None
        self._stripper = EscapeStripper() if strip else None

    def feed(self, piece: rack_pb2.ReadBootLogResponse) -> bytes:
        """Return the bytes of a piece, dressed."""
        data = piece.data
        if self._stamper:
            data = self._stamper.feed(data, received_ms(piece))
        return self._stripper.feed(data) if self._stripper else data

    def break_line(self) -> bytes:
        """Return what ends the line where lines have times, else nothing. What was begun does not go on."""
        if self._stripper:
            self._stripper.finish()
        return self._stamper.break_line() if self._stamper else b""

    def gap_line(self, piece: rack_pb2.ReadBootLogResponse) -> str:
        """Return the line that stands for a gap."""
        return f"{stamp(received_ms(piece)) if self._stamper else ''}{gap_line(piece.gap)}"

    def mark(self, piece: rack_pb2.ReadBootLogResponse) -> bytes:
        """Return what stands before damaged bytes: nothing where only the bytes are wanted."""
        if self._stamper is None:
            return b""
        return self._stamper.feed(error_mark(piece.line_errors).encode(), received_ms(piece))


class BytePrinter:
    """The bytes to `write`, as they are but for their dressing; words about them to stderr."""

    def __init__(self, write: Callable[[bytes], object], dressing: Dressing) -> None:
        self._write = write
        self._dressing = dressing

    def piece(self, piece: rack_pb2.ReadBootLogResponse) -> None:
        """Write the bytes, or that there are none."""
        if piece.HasField("line_errors"):
            self._write(self._dressing.mark(piece))
        elif piece.HasField("data"):
            self._write(self._dressing.feed(piece))
        else:
            self._write(self._dressing.break_line())
            complain(self._dressing.gap_line(piece))

    def boot(self, boot: str) -> None:
        """Name the boot."""
        self._write(self._dressing.break_line())
        complain(boot_line(boot))

    def finish(self) -> None:
        """Do nothing: nothing is added to the bytes."""


class TerminalPrinter:
    """Text that does no harm, with our own words on lines of their own."""

    def __init__(self, output: Output, dressing: Dressing) -> None:
        self._output = output
        self._dressing = dressing
        self._text = TerminalText()

    def piece(self, piece: rack_pb2.ReadBootLogResponse) -> None:
        """Show the bytes, or that there are none."""
        if piece.HasField("line_errors"):
            self._output.text(self._text.feed(self._dressing.mark(piece)))
        elif piece.HasField("data"):
            self._output.text(self._text.feed(self._dressing.feed(piece)))
        else:
            self._own_line(self._dressing.gap_line(piece))

    def boot(self, boot: str) -> None:
        """Name the boot."""
        self._own_line(boot_line(boot))

    def finish(self) -> None:
        """End the colours and the line."""
        self._output.text(self._text.break_line())

    def _own_line(self, words: str) -> None:
        self._dressing.break_line()  # the text ends the line itself, where the terminal has one
        self._output.text(f"{self._text.break_line()}{words}\n")


def gap_line(gap: rack_pb2.Gap) -> str:
    """Return the line that stands for lost bytes."""
    return f"--- {units.byte_count(gap.lost_bytes)} lost: {printable(gap.reason)} ---"


def error_mark(errors: rack_pb2.LineErrors) -> str:
    """Return what stands in a line before characters that came damaged."""
    counts = (
        (errors.framing_errors, "framing error"),
        (errors.parity_errors, "parity error"),
        (errors.breaks, "break"),
    )
    words = (f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count)
    return f"<{', '.join(words)}>"


def boot_line(boot: str) -> str:
    """Return the line between two boots."""
    return f"--- boot {printable(boot_number(boot))} ---"


def received_ms(piece: rack_pb2.ReadBootLogResponse) -> int:
    """Return when the first byte of a piece came, as unix time."""
    return piece.receive_time.ToMilliseconds()
