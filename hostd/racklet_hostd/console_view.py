"""What a node's console shows."""

from dataclasses import dataclass

from racklet_hostd.errors import NoSuchBootError
from racklet_hostd.store import BootLog, Chunk, NodeStore

CHUNK_BYTES = 32 << 10
BEHIND_LIMIT_BYTES = 256 << 10  # a reader that is further behind sees what is new, not what is old
BEHIND_KEPT_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class ConsoleOutput:
    """What a console shows next: bytes, after `lost_bytes` that are not shown, or a word to the person before it.

    `boot` and `offset` are the place of the bytes.
    """

    data: bytes = b""
    lost_bytes: int = 0
    notice: str = ""
    boot: int = 0
    offset: int = 0


class ConsoleView:
    """Follows the newest boot of a node: from now on, or from the byte on where an earlier view of it ended.

    That byte's boot is `boot`, its offset `offset`. Either may be ahead of what is stored: a hostd before this one was
    killed before it had stored what it showed, and the HAT will send it again.
    """

    def __init__(self, store: NodeStore, boot: int = 0, offset: int = 0) -> None:
        self._store = store
        self._log = newest = store.newest
        self._offset = newest.end if newest else 0
        self._lost_bytes = 0
        self._ahead = (boot, offset)
        if newest is None or not boot or boot > newest.number:
            return
        try:
            self._log, self._offset = store.boot_log(boot), offset
        except NoSuchBootError:
            self._log, self._offset = None, 0

    def next_output(self) -> list[ConsoleOutput]:
        """Return what came since the call before, at most CHUNK_BYTES of it; [] when there is nothing.

        Raises NoSuchBootError when retention took the boot that was shown.
        """
        output = self._read(self._log) if self._log else []
        newest = self._store.newest
        if output or newest is None or (self._log and self._log.number == newest.number):
            return output
        before, self._log, self._offset, self._lost_bytes = self._log, newest, 0, 0
        boot, offset = self._ahead
        if newest.number == boot and (before is None or before.number < boot):
            self._offset = offset
            return []
        missed = newest.number - (before.number if before else boot or newest.number) - 1
        words = f", and {missed} before it are not shown" if missed > 0 else ""
        return [ConsoleOutput(notice=f"boot {newest.number} begins{words}")]

    def _read(self, log: BootLog) -> list[ConsoleOutput]:
        if log.end - self._offset > BEHIND_LIMIT_BYTES:
            self._lost_bytes += log.end - BEHIND_KEPT_BYTES - self._offset
            self._offset = log.end - BEHIND_KEPT_BYTES
        output: list[ConsoleOutput] = []
        data = bytearray()
        for piece in log.read(self._offset, CHUNK_BYTES):
            if isinstance(piece, Chunk):
                data += piece.data
            else:
                output += self._shown(log, data, piece.offset)
                data = bytearray()
                self._lost_bytes += piece.lost_bytes
            self._offset = piece.end
        return output + self._shown(log, data, self._offset)

    def _shown(self, log: BootLog, data: bytearray, end: int) -> list[ConsoleOutput]:
        if not data:
            return []
        lost_bytes, self._lost_bytes = self._lost_bytes, 0
        return [ConsoleOutput(bytes(data), lost_bytes, boot=log.number, offset=end - len(data))]
