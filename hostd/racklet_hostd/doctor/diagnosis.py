"""What the log of one boot tells, kept up as the log streams."""

import re
from dataclasses import dataclass
from functools import cache

from racklet_hostd.doctor.lines import Block, Line, LineCutter
from racklet_hostd.doctor.needles import Needles, lines_with
from racklet_hostd.doctor.phases import Phase, PhaseStart, Timeline
from racklet_hostd.doctor.signatures import Signature, SignatureTable, Silence

SHOWN_LENGTH = 200  # characters of a line in a finding
# Bytes are looked at when so many are together, or came over so long: looking costs little a byte and much a time.
BATCH_BYTES = 64 << 10
BATCH_MS = 250
_MS_PER_S = 1000
CONTROL_SEQUENCE = re.compile(rb"\x1b\[[0-?]{0,48}[ -/]{0,2}[@-~]")


@dataclass(slots=True)
class Finding:
    """What a signature found in a boot. There is at most one for each signature.

    Attributes:
        signature: the signature's id.
        phase: in which it was found.
        offset: of the line; of a silence, where it begins.
        at_ms: unix time of the line; of a silence, when it had lasted long enough.
        line: as it was, without control sequences, cut, every other control character as a visible escape.
            Of a silence, the line before it.
        meaning: what it means, in a sentence.
        advice: what to try.
        count: how often it was found in this boot.
    """

    signature: str
    phase: Phase
    offset: int
    at_ms: int
    line: str
    meaning: str
    advice: str
    count: int = 1


class Diagnosis:
    """The phases and findings of one boot. Any bytes may come, in chunks of any size; the result is the same.

    When the boot is not from supply on, the node may have been running: silence before the first phase tells nothing.
    Memory: BATCH_BYTES and a chunk, one line, TIMELINE_LIMIT phases, one finding for each signature.
    """

    def __init__(self, table: SignatureTable, start_ms: int, *, is_from_start: bool = True) -> None:
        self._table = table
        self._is_from_start = is_from_start
        self._cutter = LineCutter()
        self._timeline = Timeline()
        self._findings: dict[str, Finding] = {}
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._times: list[tuple[int, int]] = []
        self._last_text = b""
        self._told = 0
        self._end = 0
        self._last_byte_ms = start_ms

    def feed(self, offset: int, at_ms: int, data: bytes) -> bool:
        """Take bytes. They go on where those before ended, or a `break_off` came between.

        They wait to be looked at until BATCH_BYTES are together, bytes come BATCH_MS later, or one of the calls below.
        Return whether some were looked at.
        """
        if not data:
            return False
        is_pause = at_ms - (self._times[0][1] if self._times else self._last_byte_ms) >= BATCH_MS
        if is_pause:
            self.look()
            self._listen(at_ms, self._last_byte_ms)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._times.append((offset, at_ms))
        self._end = offset + len(data)
        self._last_byte_ms = max(self._last_byte_ms, at_ms)
        is_full = self._waiting_bytes >= BATCH_BYTES
        if is_full:
            self.look()
        return is_pause or is_full

    def look(self) -> None:
        """Look at what waits."""
        if self._times:
            data, times = b"".join(self._waiting), self._times
            self._waiting, self._waiting_bytes, self._times = [], 0, []
            for block in self._cutter.feed(data, times):
                self._see(block)

    def break_off(self, at_ms: int) -> None:
        """Take note that bytes are lost here, or that nothing follows."""
        self.look()
        for block in self._cutter.finish():
            self._see(block)
        self._last_byte_ms = max(self._last_byte_ms, at_ms)

    def listen(self, now_ms: int, since_ms: int) -> None:
        """Take note that nothing came until now. `since_ms`: from when on it would have been heard."""
        self.look()
        self._listen(now_ms, since_ms)

    def take_news(self) -> list[Finding]:
        """Return the findings that were made since the last call."""
        findings = self.findings
        news, self._told = findings[self._told :], len(findings)
        return news

    @property
    def phase(self) -> Phase:
        """The phase that the boot is in."""
        return self._timeline.phase

    @property
    def phases(self) -> list[PhaseStart]:
        """The phases so far, in the order they came."""
        return list(self._timeline.starts)

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, in the order they were made."""
        return list(self._findings.values())

    @property
    def verdict(self) -> str:
        """What was found, in one sentence."""
        reached = "No phase of a boot was recognised" if self.phase is Phase.UNKNOWN else f"It reached {self.phase}"
        if not self._findings:
            return f"{reached}, and nothing was found wrong."
        return f"{reached}; found: {', '.join(self._findings)}."

    def _listen(self, now_ms: int, since_ms: int) -> None:
        if now_ms <= self._last_byte_ms:
            return
        unended = self._cutter.unended
        if unended is not None:
            self._timeline.see(unended)  # a login prompt ends without a line's end
        if self.phase is Phase.UNKNOWN and not self._is_from_start:
            return
        silent_ms = now_ms - max(self._last_byte_ms, since_ms)
        for silence in self._table.silences[self.phase]:
            if silent_ms >= silence.seconds * _MS_PER_S:
                self._hear_silence(silence, unended)

    def _see(self, block: Block) -> None:
        text = block.text
        if b"\x1b" in text:
            text = CONTROL_SEQUENCE.sub(b"", text)
        if self._needles.found_in(text):  # most lines tell nothing
            lines = text.split(b"\n")
            index = 0
            while index < len(lines):
                index = self._see_from(block, lines, index)
        if text.strip(b"\n"):
            self._last_text = text

    @property
    def _needles(self) -> Needles:
        """Texts one of which is in every line that tells something now."""
        return _united(self._timeline.needles, self._table.needles[self.phase])

    def _see_from(self, block: Block, lines: list[bytes], start: int) -> int:
        """See the lines from `start` on until one changes what is looked for; return the number of the next."""
        text = b"\n".join(lines[start:])
        needles = self._timeline.needles
        for index in sorted(lines_with(text, self._needles.found_in(text))):
            number = start + index
            line = block.line(number)._replace(data=lines[number])
            self._timeline.see(line)
            for signature in self._table.of_phase[self.phase]:
                if signature.needle in line.data and signature.pattern.search(line.data):
                    self._find(signature, line.offset, line.at_ms, line.data)
            if self._timeline.needles is not needles:
                return number + 1
        return len(lines)

    def _hear_silence(self, silence: Silence, unended: Line | None) -> None:
        known = self._findings.get(silence.id)
        if known is None or known.offset != self._end:
            last_line = self._last_text.strip(b"\n").rpartition(b"\n")[2] if unended is None else unended.data
            at_ms = self._last_byte_ms + silence.seconds * _MS_PER_S
            self._find(silence, self._end, at_ms, last_line)

    def _find(self, entry: Signature | Silence, offset: int, at_ms: int, data: bytes) -> None:
        known = self._findings.get(entry.id)
        if known is not None:
            known.count += 1
            return
        self._findings[entry.id] = Finding(
            entry.id, self.phase, offset, at_ms, _shown(data), entry.meaning, entry.advice
        )


@cache
def _united(phases: Needles, signatures: Needles) -> Needles:
    """Return both. There are few: two for each phase."""
    return phases | signatures


def _shown(data: bytes) -> str:
    """Return a line for a person: printable, and at most SHOWN_LENGTH characters."""
    text = data.decode(errors="backslashreplace").strip()
    text = "".join(char if char.isprintable() else _escape(char) for char in text)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"


def _escape(char: str) -> str:
    return " " if char == "\t" else char.encode("unicode_escape").decode()
