"""What is thrown away of a node when its limits are reached: the oldest, and counted."""

from collections.abc import Container
from dataclasses import dataclass, field

from racklet_hostd.store.database import Database
from racklet_hostd.store.model import StoreLimits
from racklet_hostd.store.rows import Segment, SegmentName


@dataclass
class Retirement:
    """What is thrown away of a node at one time.

    Attributes:
        boots: how many boots are kept.
        size: how many bytes their files have.
        retired: the boots that went.
        shortened: the boots that lost their beginning, and where they begin now.
        files: what is to be removed once the index has forgotten it.
        log_bytes: how many bytes of logs went, gaps included.
        cutoff_ms: what is from before this unix time goes; 0 lets every age stay.
    """

    boots: int
    size: int
    retired: list[int] = field(default_factory=list)
    shortened: dict[int, int] = field(default_factory=dict)
    files: list[SegmentName] = field(default_factory=list)
    log_bytes: int = 0
    cutoff_ms: int = 0

    def apply(self, database: Database, node: str, limits: StoreLimits, in_use: Container[int]) -> None:
        """Forget what is beyond the limits. Boots in use keep their newest segment, and what is newer stays."""
        while self.boots > limits.boots_per_node or self.size > limits.log_bytes_per_node or self.cutoff_ms:
            oldest = database.oldest_boot(node)
            if oldest is None:
                return
            number, last_byte_ms, segments = oldest
            goes = self.boots > limits.boots_per_node or last_byte_ms < self.cutoff_ms
            is_large = self.size > limits.log_bytes_per_node
            if number not in in_use and (goes or (is_large and len(segments) <= 1)):
                self._forget_boot(database, node, number, segments)
            elif len(segments) > 1 and (is_large or segments[0].latest_ms < self.cutoff_ms):
                self._forget_segment(database, node, number, segments[0])
                self.shortened[number] = segments[1].start
            else:
                return

    def _forget_boot(self, database: Database, node: str, number: int, segments: list[Segment]) -> None:
        for segment in segments:
            self._forget_segment(database, node, number, segment)
        database.forget_boot(node, number)
        self.boots -= 1
        self.retired.append(number)

    def _forget_segment(self, database: Database, node: str, number: int, segment: Segment) -> None:
        database.forget_segment(node, number, segment.start)
        self.files.append(SegmentName(node, number, segment.start, bool(segment.frames)))
        self.size -= segment.size
        self.log_bytes += segment.end - segment.start
