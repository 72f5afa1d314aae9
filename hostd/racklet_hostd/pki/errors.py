"""What can be wrong with certificates."""

from pathlib import Path

from racklet_hostd.errors import RackletError


class PkiError(RackletError):
    """A certificate cannot be made or used. Its text says why, for a person."""


class PkiFileError(PkiError):
    """A file does not hold what it should."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")
