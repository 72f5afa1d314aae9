"""What the log of one boot tells, kept up as the log streams."""

import re
from dataclasses import dataclass

from racklet_hostd.doctor.lines import Line, LineCutter
from racklet_hostd.doctor.phases import Phase, PhaseStart, Timeline
from racklet_hostd.doctor.signatures import Signature, SignatureTable, Silence

SHOWN_LENGTH = 200  # characters of a line in a finding
_MS_PER_S = 1000
_CONTROL_SEQUENCE = re.compile(rb"\x1b\[[0-?]{0,48}[ -/]{0,2}[@-~]")


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
    Memory: one line, TIMELINE_LIMIT phases, one finding for each signature.
    """

    def __init__(self, table: SignatureTable, start_ms: int, *, is_from_start: bool = True) -> None:
        self._table = table
        self._is_from_start = is_from_start
        self._cutter = LineCutter()
        self._timeline = Timeline()
        self._findings: dict[str, Finding] = {}
        self._last_line = b""
        self._told = 0
        self._end = 0
        self._last_byte_ms = start_ms

    def feed(self, offset: int, at_ms: int, data: bytes) -> None:
        """Take bytes. They go on where those before ended, or a `break_off` came between."""
        if not data:
            return
        self.listen(at_ms, self._last_byte_ms)
        self._see(self._cutter.feed(offset, at_ms, data))
        self._end = offset + len(data)
        self._last_byte_ms = max(self._last_byte_ms, at_ms)

    def break_off(self, at_ms: int) -> None:
        """Take note that bytes are lost here, or that nothing follows."""
        self._see(self._cutter.finish())
        self._last_byte_ms = max(self._last_byte_ms, at_ms)

    def listen(self, now_ms: int, since_ms: int) -> None:
        """Take note that nothing came until now. `since_ms`: from when on it would have been heard."""
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

    def _see(self, lines: list[Line]) -> None:
        if not lines:
            return
        block = b"\n".join([line.data for line in lines])
        if b"\x1b" in block:
            lines = [line._replace(data=_CONTROL_SEQUENCE.sub(b"", line.data)) for line in lines]
            block = b"\n".join([line.data for line in lines])
        # Most signatures are in none of the lines, which one search over all of them tells at half the cost.
        possible = [signature for signature in self._table.signatures if signature.pattern.search(block)]
        for line in lines:
            self._timeline.see(line)
            for signature in possible:
                if self.phase in signature.phases and signature.pattern.search(line.data):
                    self._find(signature, line.offset, line.at_ms, line.data)
        self._last_line = lines[-1].data

    def _hear_silence(self, silence: Silence, unended: Line | None) -> None:
        known = self._findings.get(silence.id)
        if known is None or known.offset != self._end:
            last_line = self._last_line if unended is None else unended.data
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


def _shown(data: bytes) -> str:
    """Return a line for a person: printable, and at most SHOWN_LENGTH characters."""
    text = data.decode(errors="backslashreplace").strip()
    text = "".join(char if char.isprintable() else _escape(char) for char in text)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"


def _escape(char: str) -> str:
    return " " if char == "\t" else char.encode("unicode_escape").decode()
