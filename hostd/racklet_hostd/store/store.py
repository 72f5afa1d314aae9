"""The state folder."""

from pathlib import Path
from typing import Self

from racklet_hostd.store.events import EventStore
from racklet_hostd.store.model import StoreLimits, SyncReport
from racklet_hostd.store.node_store import NodeStore


class Store:
    """Everything that hostd keeps."""

    events: EventStore

    @classmethod
    def open(cls, folder: Path, limits: StoreLimits) -> Self:
        """Open or make the state folder; raise StoreError."""
        raise NotImplementedError

    def close(self) -> None:
        """Sync and let go of the folder."""
        raise NotImplementedError

    def node(self, name: str) -> NodeStore:
        """Return what is stored of a node, always the same object for the same name."""
        raise NotImplementedError

    def sync(self) -> SyncReport:
        """Make durable what was appended before the call."""
        raise NotImplementedError
