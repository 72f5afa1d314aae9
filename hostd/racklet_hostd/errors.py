"""What can go wrong in hostd, by who can mend it.

RackletError
├── ConfigError            the person who wrote racklet.toml
└── StoreError             the person who looks after the state folder
    ├── StoreLockedError   another hostd is using it
    ├── StoreBehindError   a HAT brings more than the disk takes
    ├── BadPositionError   a HAT names a position that cannot be
    └── NoSuchBootError    a caller asks for a boot that is not kept
"""

from dataclasses import dataclass
from pathlib import Path


class RackletError(Exception):
    """Base of hostd's own errors. Its text is a sentence for a person."""


@dataclass(frozen=True)
class ConfigProblem:
    """One thing that is wrong in a config file.

    Attributes:
        line: counted from 1; None when it concerns the file as a whole.
        key: such as `node[2].port`; empty when the text is not TOML.
        message: what was expected and what was found.
    """

    line: int | None
    key: str
    message: str


class ConfigError(RackletError):
    """A config file is missing, is not TOML, or says something that hostd refuses."""

    def __init__(self, path: Path, problems: tuple[ConfigProblem, ...]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(_place(path, problem) + problem.message for problem in problems))


def _place(path: Path, problem: ConfigProblem) -> str:
    line = "" if problem.line is None else f"{problem.line}:"
    key = f"{problem.key}: " if problem.key else ""
    return f"{path}:{line} {key}"


class StoreError(RackletError):
    """The state folder cannot be used, or refuses what it is given."""


class StoreLockedError(StoreError):
    """Another process has the state folder open."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder = folder
        super().__init__(f"the state folder {folder} is in use by another racklet-hostd{owner}")


class StoreBehindError(StoreError):
    """A HAT began more boots or sessions between two syncs than it can. Nothing was recorded; drop the link."""

    def __init__(self, node: str, limit: int) -> None:
        self.node = node
        super().__init__(f"{node} began more than {limit} boots or sessions before the first of them was stored")


class BadPositionError(StoreError):
    """A HAT names an offset or a boot that no HAT can have reached. Nothing was recorded."""

    def __init__(self, node: str, problem: str) -> None:
        self.node = node
        super().__init__(f"{node}: {problem}")


class NoSuchBootError(StoreError):
    """The boot never was, or is no longer kept."""

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.number = number
        super().__init__(f"boot {number} of {node} is not kept; see racklet boots {node}")
