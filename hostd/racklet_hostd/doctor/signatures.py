"""The table of failure signatures: what a line looks like, what it means, what to try."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from racklet_hostd.config_file import ConfigFile, Place
from racklet_hostd.doctor.needles import Needles, needle_of
from racklet_hostd.doctor.phases import Phase
from racklet_hostd.errors import ConfigError, ConfigProblem

TABLE_PATH = Path(__file__).with_name("signatures.toml")

# What is beyond a plain text: a set of characters, or an escaped one.
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
# Repetition without an end, or of a group. Without these a search's time is bounded by the length of the pattern.
_COSTLY = re.compile(r"[*+]|\{\d*,\}|\)\{")


def _pattern(value: object) -> re.Pattern[bytes]:
    if not isinstance(value, str) or not value:
        raise ValueError("a regular expression")
    if _COSTLY.search(_ATOM.sub("a", value)):
        raise ValueError("a regular expression that repeats no group, and nothing without an end: {0,80}, not * or +")
    try:
        pattern = re.compile(value.encode(), re.MULTILINE)  # for it is searched for in several lines at once
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    if pattern.search(b""):
        raise ValueError("a regular expression that does not find just anything")
    return pattern


def _phases(value: object) -> tuple[Phase, ...]:
    try:
        phases = tuple(Phase(each) for each in value) if isinstance(value, list) else ()
    except ValueError:
        phases = ()
    if not phases:
        raise ValueError(f"an array of phases: {', '.join(Phase)}")
    return phases


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.endswith(".") or not value.isprintable():
        raise ValueError("a sentence")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9-]{1,40}", value):
        raise ValueError("1 to 40 lowercase letters, digits and hyphens")
    return value


_Sentence = Annotated[str, BeforeValidator(_text)]
_Id = Annotated[str, BeforeValidator(_word)]
_Phases = Annotated[tuple[Phase, ...], BeforeValidator(_phases)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: _Id
    meaning: _Sentence
    advice: _Sentence


class Signature(_Entry):
    """A failure that a line tells of, in one of `phases`."""

    pattern: Annotated[re.Pattern[bytes], BeforeValidator(_pattern)]
    phases: _Phases = tuple(Phase)

    @cached_property
    def needle(self) -> bytes:
        """A text that is in every line that `pattern` finds; b"" when there is none."""
        is_plain = self.pattern.flags == re.MULTILINE  # what ignores case or spaces is not what it looks like
        return needle_of(self.pattern.pattern.decode()) if is_plain else b""


class Silence(_Entry):
    """A failure that `seconds` without a byte tell of, in one of `phases`."""

    phases: _Phases
    seconds: int = Field(ge=1, le=86_400)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    signature: list[Signature] = []
    silence: list[Silence] = []


@dataclass(frozen=True)
class SignatureTable:
    """The signatures in the order of the file, and those of each phase; of the silences, those of each phase.

    `needles` has, by phase, texts one of which is in every line that a signature finds.
    """

    signatures: tuple[Signature, ...]
    silences: dict[Phase, tuple[Silence, ...]]
    of_phase: dict[Phase, tuple[Signature, ...]]
    needles: dict[Phase, Needles]

    @classmethod
    def of(cls, signatures: Iterable[Signature], silences: Iterable[Silence]) -> Self:
        """Return the table of these entries."""
        signatures, silences = tuple(signatures), tuple(silences)
        of_phase = {phase: tuple(each for each in signatures if phase in each.phases) for phase in Phase}
        return cls(
            signatures,
            {phase: tuple(entry for entry in silences if phase in entry.phases) for phase in Phase},
            of_phase,
            {phase: Needles(signature.needle for signature in found) for phase, found in of_phase.items()},
        )

    @property
    def all_silences(self) -> tuple[Silence, ...]:
        """The silences of all phases."""
        return tuple({entry.id: entry for entries in self.silences.values() for entry in entries}.values())

    @property
    def ids(self) -> set[str]:
        """The ids of all of them."""
        return {entry.id for entry in (*self.signatures, *self.all_silences)}

    def with_own(self, own: "SignatureTable") -> "SignatureTable":
        """Return this table with those of `own` in it; an entry of `own` takes the place of one with the same id."""
        ids = own.ids
        signatures = [each for each in self.signatures if each.id not in ids]
        silences = [each for each in self.all_silences if each.id not in ids]
        return SignatureTable.of([*signatures, *own.signatures], [*silences, *own.all_silences])


def read_signatures(path: Path) -> SignatureTable:
    """Read a table. Raises ConfigError, with the line, when it is not as docs/doctor.md says."""
    file = ConfigFile.read(path)
    try:
        table = _File.model_validate(dict(file.data))
    except ValidationError as error:
        raise ConfigError(path, file.explain(error, _File)) from error
    places: list[tuple[Place, str]] = [
        (("signature", index, "id"), each.id) for index, each in enumerate(table.signature)
    ]
    places += [(("silence", index, "id"), each.id) for index, each in enumerate(table.silence)]
    if problems := _repeated(file, places):
        raise ConfigError(path, problems)
    return SignatureTable.of(table.signature, table.silence)


def _repeated(file: ConfigFile, places: list[tuple[Place, str]]) -> tuple[ConfigProblem, ...]:
    seen: set[str] = set()
    problems: list[ConfigProblem] = []
    for place, entry_id in places:
        if entry_id in seen:
            problems.append(file.problem(place, f'expected an id of its own, found "{entry_id}" again'))
        seen.add(entry_id)
    return tuple(problems)


@cache
def known_signatures() -> SignatureTable:
    """Return the table that comes with hostd."""
    return read_signatures(TABLE_PATH)


def signatures_with(own: Path | None) -> SignatureTable:
    """Return the table that comes with hostd, with a person's own file in it. Raises ConfigError for what is wrong."""
    return known_signatures() if own is None else known_signatures().with_own(read_signatures(own))
