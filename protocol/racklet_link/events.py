"""What hostd's end of a link tells: one class for each kind of news. All times are milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from racklet.link.v1 import link_pb2


@dataclass(frozen=True, slots=True)
class StoredPositions:
    """How far a HAT session is stored durably: the log up to (boot, offset), the events below `event_sequence`."""

    log_boot: int = 0
    log_offset: int = 0
    event_sequence: int = 1


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """A HAT introduced itself, for the first time or again. Answer with `HostLink.welcome`."""

    hello: link_pb2.Hello


@dataclass(frozen=True, slots=True)
class Incompatible:
    """The HAT speaks no protocol version that we speak."""

    hello: link_pb2.Hello


@dataclass(frozen=True, slots=True)
class Stranger:
    """A HAT came of which we hold no key. One that has none either can be adopted, or, when welcome, asked to blink."""

    hello: link_pb2.Hello


@dataclass(frozen=True, slots=True)
class Unproven:
    """Somebody says to be a HAT of which we hold the key, and does not prove it. Told once until the talk begins."""

    hello: link_pb2.Hello


@dataclass(frozen=True, slots=True)
class KeyAgreed:
    """A HAT has agreed on a key with us. Keep it, then `HostLink.knock`: from then on it must prove to have it."""

    hat_id: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class LinkLost:
    """Nothing valid came for LINK_LOST_AFTER_MS."""


@dataclass(frozen=True, slots=True)
class BootStarted:
    """A boot began at the HAT's `at_ms`, after `lost_boots` of which nothing but `lost_bytes`, their size, is known.

    `cause` is a BootCause; BOOT_CAUSE_UNSPECIFIED when the HAT no longer knows, or a newer one has others.
    """

    boot: int
    at_ms: int
    cause: link_pb2.BootCause.ValueType
    lost_boots: int
    lost_bytes: int


class Damage(NamedTuple):
    """How many bytes came without a stop bit, with a wrong parity, and how many stand for a line that was low."""

    framing_errors: int
    parity_errors: int
    breaks: int


class LogData(NamedTuple):
    """Console bytes that follow what was told before; when some came damaged, the first one did. Many, so a tuple."""

    boot: int
    offset: int
    at_ms: int
    data: bytes
    damage: Damage | None = None


@dataclass(frozen=True, slots=True)
class LogGap:
    """Lost console bytes. `reason` is the name of a GapReason, or GAP_REASON_NOT_KEPT when the HAT freed them."""

    boot: int
    offset: int
    at_ms: int
    lost_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class EventReceived:
    """Something happened on the HAT, after `lost_before` events that are lost."""

    event: link_pb2.Event
    lost_before: int


@dataclass(frozen=True, slots=True)
class TelemetryReceived:
    """A measurement."""

    telemetry: link_pb2.Telemetry


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """A request got its final reply."""

    request_id: int
    reply: link_pb2.Reply


@dataclass(frozen=True, slots=True)
class RequestTimedOut:
    """A request got no final reply in its time, or its HAT restarted. Whether it was executed is not known."""

    request_id: int
    hat_restarted: bool


@dataclass(frozen=True, slots=True)
class ConsoleTaken:
    """The HAT has taken console input up to `offset`, counted over all that was typed."""

    offset: int


@dataclass(frozen=True, slots=True)
class UpdateProgressed:
    """The HAT tells how an update stands."""

    progress: link_pb2.UpdateProgress


LinkEvent = (
    HelloReceived
    | Incompatible
    | Stranger
    | Unproven
    | KeyAgreed
    | LinkLost
    | BootStarted
    | LogData
    | LogGap
    | EventReceived
    | TelemetryReceived
    | RequestEnded
    | RequestTimedOut
    | ConsoleTaken
    | UpdateProgressed
)
