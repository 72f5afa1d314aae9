"""What a console's person sees: the node's bytes on stdout, words about them on stderr."""

import codecs
import sys
from collections.abc import Sequence

from racklet.v1 import rack_pb2
from racklet_hostd.cli import units
from racklet_hostd.cli.output import Output
from racklet_hostd.cli.screen_filter import ScreenFilter
from racklet_hostd.cli.terminal_text import printable


class ConsoleScreen:
    """Shows what hostd sends. `is_plain` is true while the terminal needs carriage returns; `is_safe` filters bytes."""

    def __init__(self, output: Output, *, is_plain: bool, is_safe: bool) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._filter = ScreenFilter() if is_safe else None
        self._line = "\r\nracklet: {}\r\n" if is_plain else "racklet: {}\n"
        self._end = "\r\n" if is_plain else ""

    def show(self, response: rack_pb2.AttachConsoleResponse) -> None:
        """Write what hostd sent."""
        if self._output.as_json:
            self._output.json(response, text=self._decoder.decode(response.data))
            return
        if response.lost_bytes:
            self.say(f"{units.byte_count(response.lost_bytes)} lost")
        if response.notice:
            self.say(response.notice)
        if self._filter:
            self._output.text(self._filter.feed(response.data))
        else:
            self._output.data(response.data)

    def say(self, words: str) -> None:
        """Write words of our own, in one line or several."""
        lines = (printable(line) for line in words.split("\n"))
        sys.stderr.write(self._line.format((self._end or "\n").join(lines)))
        sys.stderr.flush()

    def finish(self) -> None:
        """Bring the terminal back to how it was, and end the line that the node may have left open on it."""
        if self._filter and not self._output.as_json:
            self._output.text(self._filter.finish())
        sys.stderr.write(self._end)


def company(seats: Sequence[rack_pb2.ConsoleSeat]) -> str:
    """Return who is at a console, in a sentence's part."""
    return ", ".join([_seat(seat) for seat in seats])


def _seat(seat: rack_pb2.ConsoleSeat) -> str:
    name = printable(seat.caller) or "somebody"
    does = "types" if seat.writes else "looks on"
    return f"{name} ({'you, ' if seat.is_you else ''}{does}, since {units.clock(seat.sit_time.seconds)})"
