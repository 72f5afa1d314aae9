"""The lines of boot logs that a pattern matches."""

import re
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2
from racklet_client.names import boot_number
from racklet_hostd.cli.escape_stripper import stripped
from racklet_hostd.cli.log_lines import LineSplitter, LogLine, stamp
from racklet_hostd.cli.log_printers import gap_line, received_ms
from racklet_hostd.cli.output import Output, complain
from racklet_hostd.cli.terminal_text import TerminalText, printable


class MatchPrinter:
    """Shows each matching line with its boot and offset, and counts them in `matches`; gaps go to stderr.

    The pattern sees a line as a reader does: without escape sequences and line's end, as UTF-8; a byte that is none
    is one character. A gap and the end of a boot end a line. `is_safe` makes the lines fit for a terminal.
    """

    def __init__(
        self, output: Output, pattern: re.Pattern[str], *, is_safe: bool, strip: bool, timestamps: bool
    ) -> None:
        self._output = output
        self._pattern = pattern
        self._is_safe = is_safe
        self._strip = strip
        self._timestamps = timestamps
        self._lines = LineSplitter()
        self._boot = ""
        self.matches = 0

    def piece(self, piece: rack_pb2.ReadBootLogResponse) -> None:
        """Show the matches that end in this piece."""
        self._boot = self._boot or piece.boot
        if piece.HasField("line_errors"):
            return
        if piece.HasField("data"):
            self._show(self._lines.feed(piece.data, piece.offset, received_ms(piece)))
        else:
            self._show(self._lines.finish())
            complain(f"{self._place(piece.offset, received_ms(piece))}{gap_line(piece.gap)}")

    def boot(self, boot: str) -> None:
        """Go on with another boot."""
        self._show(self._lines.finish())
        self._boot = boot

    def finish(self) -> None:
        """Show the last line, if it matches."""
        self._show(self._lines.finish())

    def _show(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            text = stripped(line.data).decode("utf-8", "surrogateescape").strip("\r\n")
            if self._pattern.search(text):
                self.matches += 1
                self._show_match(line, text)

    def _show_match(self, line: LogLine, text: str) -> None:
        if self._output.as_json:
            self._output.json(
                self._message(line), text=text.encode("utf-8", "surrogateescape").decode(errors="replace")
            )
            return
        place = self._place(line.offset, line.at_ms)
        data = (stripped(line.data) if self._strip else line.data).strip(b"\r\n")
        if self._is_safe:
            safe = TerminalText()
            self._output.text(place + safe.feed(data) + safe.finish() + "\n")
        else:
            self._output.data(place.encode() + data + b"\n")

    def _place(self, offset: int, at_ms: int) -> str:
        when = stamp(at_ms) if self._timestamps else ""
        return f"{printable(boot_number(self._boot))}:{offset}:{when}"

    def _message(self, line: LogLine) -> rack_pb2.ReadBootLogResponse:
        received = Timestamp()
        received.FromMilliseconds(line.at_ms)
        return rack_pb2.ReadBootLogResponse(boot=self._boot, offset=line.offset, receive_time=received, data=line.data)
