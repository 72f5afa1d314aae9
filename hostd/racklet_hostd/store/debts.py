"""The nodes whose supplies a run of faults has taken, so that a hostd that is killed in its middle can give them back.

A file of its own, not a table of the index: a debt must be on the disk before the deed, and neither waits for a sync
nor goes with one.
"""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from racklet_hostd.errors import StoreError

FILE_NAME = "faults.json"


@dataclass(frozen=True, slots=True)
class Debt:
    """A node that was on, and has to be on again.

    Attributes:
        node: the node's name.
        run: the run that took it, for a person.
        who: who the power requests to give it back are by.
        since_ms: unix time when it was taken.
    """

    node: str
    run: str
    who: str
    since_ms: int


class Debts:
    """The debts, at most one a node. `add` and `remove` are durable when they return; cancelling undoes neither.

    Raises StoreError when the file is damaged or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = Lock()
        self._debts = {debt.node: debt for debt in _read(self._path)}

    @property
    def all(self) -> list[Debt]:
        """Every debt that stands."""
        return list(self._debts.values())

    async def add(self, debt: Debt) -> None:
        """Note a debt down. Raises StoreError when the disk does not take it; then there is none."""
        await asyncio.to_thread(self._change, lambda debts: debts.update({debt.node: debt}))

    async def remove(self, node: str) -> None:
        """Strike a debt out, if there is one. Raises StoreError when the disk does not take it; then it stands."""
        await asyncio.to_thread(self._change, lambda debts: debts.pop(node, None))

    def _change(self, change: Callable[[dict[str, Debt]], object]) -> None:
        with self._lock:
            debts = dict(self._debts)
            change(debts)
            if debts == self._debts:
                return
            try:
                _write(self._path, list(debts.values()))
            except OSError as error:
                raise StoreError(f"{self._path}: {error.strerror}") from error
            self._debts = debts


def _read(path: Path) -> list[Debt]:
    try:
        return [Debt(**entry) for entry in json.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        advice = "look which nodes are off that should be on, and remove it"
        raise StoreError(f"{path} is damaged: {advice}") from error


def _write(path: Path, debts: list[Debt]) -> None:
    """Put a new file in the place of the old one, or remove it; either is whole after a crash."""
    if debts:
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump([asdict(debt) for debt in debts], file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
