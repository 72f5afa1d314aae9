"""What a node shows while a run of faults listens: boots, phases, whole lines of its console."""

from collections.abc import Iterator

from racklet_hostd.console_view import ConsoleOutput, ConsoleView
from racklet_hostd.doctor.diagnosis import CONTROL_SEQUENCE
from racklet_hostd.doctor.lines import LineCutter
from racklet_hostd.doctor.phases import PhaseStart
from racklet_hostd.errors import NoSuchBootError
from racklet_hostd.node import Node


class Listener:
    """Listens to one node from now on: what was before, also the phase that the node is in, it does not tell.

    Attributes:
        boot: the number of the boot whose phases it told last.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._view = ConsoleView(node.store)
        self._cutter = LineCutter()
        self.boot, phases = node.log.watch.phases
        self._phases_told = len(phases)

    def phases(self) -> tuple[bool, list[PhaseStart]]:
        """Return whether a boot began since the last call, and the phases that the newest one has reached since."""
        self._node.look()
        boot, phases = self._node.log.watch.phases
        is_new = boot != self.boot
        if is_new:
            self.boot, self._phases_told = boot, 0
        fresh = phases[self._phases_told :]
        self._phases_told = len(phases)
        return is_new, fresh

    def lines(self) -> Iterator[tuple[int, int, str]]:
        """Yield the lines that ended since the last call, without control sequences: boot, offset, text.

        A line has at most LINE_LIMIT bytes, what is longer is several. One that a gap or the end of a boot cut off is
        left out, and so is what lies behind when the console was faster than can be kept up with.
        """
        while output := self._output():
            for piece in output:
                if piece.notice or piece.lost_bytes:
                    self._cutter = LineCutter()
                if not piece.data:
                    continue
                for block in self._cutter.feed(piece.data, [(piece.offset, 0)]):
                    offset = block.offset
                    for line in block.lines:
                        yield piece.boot, offset, CONTROL_SEQUENCE.sub(b"", line).decode(errors="replace")
                        offset += len(line) + 1

    def _output(self) -> list[ConsoleOutput]:
        try:
            return self._view.next_output()
        except NoSuchBootError:  # retention was faster
            self._view, self._cutter = ConsoleView(self._node.store), LineCutter()
            return []
