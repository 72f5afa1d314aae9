"""A script of faults: a TOML file, checked once; docs/faults.md shows every key."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from racklet_hostd.config_file import ConfigFile, Place
from racklet_hostd.doctor.phases import Phase
from racklet_hostd.errors import ConfigError, ConfigProblem
from racklet_hostd.faults.pattern import Pattern
from racklet_hostd.faults.plan import Fault, Plan, Span

SEED_LIMIT = (1 << 32) - 1
LONGEST_S = 3600
FAULTS_LIMIT = 64
TIMES_LIMIT = 100
_MS_PER_S = 1000
_RANGE_ENDS = 2
_PHASES = [phase for phase in Phase if phase is not Phase.UNKNOWN]

Range = tuple[float, float]  # seconds, from the least to the most


def _range(value: object) -> object:
    ends = value if isinstance(value, list | tuple) else (value, value)
    if len(ends) != _RANGE_ENDS or not all(_is_time(end) for end in ends) or ends[0] > ends[1]:
        raise ValueError(f"seconds from 0 to {LONGEST_S}, or [least, most]")
    return float(ends[0]), float(ends[1])


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_S


def _off_range(value: object) -> object:
    ends = _range(value)
    if ends == (0, 0):
        raise ValueError("a time above 0, in which something can happen")
    return ends


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a regular expression")  # noqa: TRY004  pydantic's way
    return Pattern(value)


def _phase(value: object) -> Phase:
    if value not in _PHASES:
        raise ValueError(f"one of {', '.join(_PHASES)}")
    return Phase(str(value))


_Range = Annotated[Range, BeforeValidator(_range)]
_OffRange = Annotated[Range, BeforeValidator(_off_range)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)


class FaultEntry(_Section):
    """One [[fault]] as it is written."""

    node: str = Field(min_length=1, max_length=63)
    what: Literal["cut", "flap", "hold-off", "brown-out"]
    after_s: _Range | None = None
    console: Annotated[Pattern | None, BeforeValidator(_pattern)] = None
    phase: Annotated[Phase | None, BeforeValidator(_phase)] = None
    for_s: _OffRange | None = None
    times: int | None = Field(default=None, ge=2, le=TIMES_LIMIT)
    on_s: _Range | None = None
    off_s: _OffRange | None = None
    volts: float | None = Field(default=None, ge=3.0, le=5.0, strict=False)


class _Script(_Section):
    seed: int | None = Field(default=None, ge=0, le=SEED_LIMIT)
    limit_s: float = Field(default=600, ge=1, le=LONGEST_S, strict=False)
    faults: Annotated[tuple[FaultEntry, ...], Field(strict=False)] = Field(default=(), alias="fault")


# What each kind of fault must have, and what it may have.
_KEYS: Final = {
    "cut": ({"for_s"}, set[str]()),
    "flap": ({"times", "on_s", "off_s"}, set[str]()),
    "hold-off": (set[str](), {"for_s"}),
    "brown-out": ({"volts", "for_s"}, set[str]()),
}
_SHAPES: Final = ("for_s", "times", "on_s", "off_s", "volts")


class Script:
    """A script that is right as far as it can be without a rack."""

    def __init__(self, file: ConfigFile, content: _Script) -> None:
        self.entries = content.faults
        self._file = file
        self._content = content

    @classmethod
    def parse(cls, name: str, text: str) -> "Script":
        """Return the script. Raises ConfigError with every problem and its line; `name` is the file's."""
        file = ConfigFile.of_text(Path(name), text)
        try:
            content = _Script.model_validate(file.data)
        except ValidationError as error:
            raise ConfigError(file.path, file.explain(error, _Script)) from error
        if problems := tuple(_problems(content, file)):
            raise ConfigError(file.path, problems)
        return cls(file, content)

    def refusal(self, problems: dict[int, tuple[str, str]]) -> ConfigError:
        """Return an error with a problem for each of these entries: the key that it is about, and a sentence."""
        places: list[tuple[Place, str]] = [(("fault", index, key), words) for index, (key, words) in problems.items()]
        return ConfigError(self._file.path, tuple(self._file.problem(place, words) for place, words in places))

    def plan(self, seed: int | None) -> Plan:
        """Throw the dice: with `seed`, else the script's own, else one that nobody knows before."""
        if seed is None:
            seed = self._content.seed
        if seed is None:
            seed = random.SystemRandom().randrange(SEED_LIMIT + 1)
        dice = _Dice(seed)
        faults = tuple(_fault(number, entry, dice) for number, entry in enumerate(self.entries, 1))
        return Plan(self._file.path.name, seed, round(self._content.limit_s * _MS_PER_S), faults)


class _Dice:
    """Draws in the order of the script, so that a fault added at its end changes nothing before."""

    def __init__(self, seed: int) -> None:
        # Of all that Random draws, only random() is promised to stay the same in every Python.
        self._random = random.Random(seed)  # noqa: S311  to be replayed, not to be secret

    def draw_ms(self, ends: Range | None) -> int:
        """Return a time of the range; 0 when there is none. Only a true range costs a draw."""
        if ends is None:
            return 0
        least, most = ends
        drawn = least if least == most else least + (most - least) * self._random.random()
        return round(drawn * _MS_PER_S)


def _fault(number: int, entry: FaultEntry, dice: _Dice) -> Fault:
    delay_ms = dice.draw_ms(entry.after_s)
    return Fault(number, entry.node, entry.what, _spans(entry, dice), entry.phase, entry.console, delay_ms)


def _spans(entry: FaultEntry, dice: _Dice) -> tuple[Span, ...]:
    if entry.what != "flap":
        return (Span(None if entry.for_s is None else max(1, dice.draw_ms(entry.for_s)), 0),)
    last = (entry.times or 1) - 1
    return tuple(
        Span(max(1, dice.draw_ms(entry.off_s)), dice.draw_ms(entry.on_s) if index < last else 0)
        for index in range(last + 1)
    )


def _problems(content: _Script, file: ConfigFile) -> Iterator[ConfigProblem]:
    if not 1 <= len(content.faults) <= FAULTS_LIMIT:
        expected = f"expected 1 to {FAULTS_LIMIT} tables [[fault]], found {len(content.faults)}"
        yield file.problem(("fault",), expected)
    for index, entry in enumerate(content.faults):
        place = ("fault", index)
        must, may = _KEYS[entry.what]
        given = {key for key in _SHAPES if getattr(entry, key) is not None}
        for key in sorted(must - given):
            yield file.problem((*place, key), f"expected this key, since what is {entry.what}")
        for key in sorted(given - must - may):
            yield file.problem((*place, key), f"expected no such key, since what is {entry.what}")
        if entry.after_s is None and entry.console is None and entry.phase is None:
            yield file.problem((*place, "what"), "expected after_s, console or phase beside it, found none of them")
