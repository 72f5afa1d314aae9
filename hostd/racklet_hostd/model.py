"""What hostd knows of a node at the moment. Integers; each name ends in its unit."""

from dataclasses import dataclass
from enum import Enum, IntEnum, auto


class SupplyState(IntEnum):
    """The state of a node's supply. The numbers are those of both .proto files."""

    UNSPECIFIED = 0
    OFF = 1
    STARTING = 2
    ON = 3
    STOPPING = 4
    TRIPPED = 5
    STUCK_ON = 6

    @classmethod
    def of(cls, number: int) -> "SupplyState":
        """Return the state of that number; UNSPECIFIED for one that a newer HAT may know."""
        return cls(number) if cls.OFF <= number <= cls.STUCK_ON else cls.UNSPECIFIED


class PowerAction(IntEnum):
    """Where a supply shall go. The numbers are those of both .proto files."""

    ON = 1
    OFF = 2
    FORCE_OFF = 3
    CYCLE = 4


class HatState(Enum):
    """How hostd and a HAT stand."""

    OFFLINE = auto()
    ONLINE = auto()
    INCOMPATIBLE = auto()


@dataclass(frozen=True, slots=True)
class Hat:
    """A node's HAT, as known at the moment.

    Attributes:
        state: how hostd and the HAT stand.
        problem: why it is not online, or what of the config it refused, for a person; "" when there is nothing to tell.
        state_ms: unix time since when `state` holds.
        protocol_version: the version in use; 0 unless online.
        hat_id: unique id of its microcontroller in hex; "" when it has not been seen.
        board: the board and its revision.
        firmware: the firmware's version.
        slot: "a" or "b"; "" when its firmware runs from no slot.
        on_probation: whether its firmware has yet to be confirmed.
        security_version: of its firmware.
        fell_back: whether the other slot was tried last and not confirmed.
    """

    state: HatState
    problem: str
    state_ms: int
    protocol_version: int = 0
    hat_id: str = ""
    board: str = ""
    firmware: str = ""
    slot: str = ""
    on_probation: bool = False
    security_version: int = 0
    fell_back: bool = False


class HatStanding(IntEnum):
    """How a HAT and this hostd stand. The numbers are those of rack.proto's HatStanding."""

    UNADOPTED = 1
    ADOPTED = 2
    FOREIGN = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class SeenHat:
    """A HAT that is plugged in, or one that is adopted and is not: `slot` is "" then.

    Attributes:
        hat_id: its unique id in hex, as it says.
        standing: how it and hostd stand.
        slot: where it is.
        node: whose it is; "" when nobody's.
        problem: what keeps it from being used, for a person.
        board: the board and its revision.
        firmware: the firmware's version.
        seen_ms: unix time since when it is there so; of one that is not, when it was adopted.
        is_keyless: whether it says to have no key.
    """

    hat_id: str
    standing: HatStanding
    slot: str
    node: str
    problem: str
    board: str
    firmware: str
    seen_ms: int
    is_keyless: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a HAT measured over one telemetry period. `measure_ms` is the unix time of the period's end."""

    measure_ms: int
    supply_uv: int
    supply_min_uv: int
    supply_max_uv: int
    supply_ua: int
    supply_min_ua: int
    supply_max_ua: int
    supply_uw: int
    temperature_mc: int
    input_uv: int
    samples: int
