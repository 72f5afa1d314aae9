"""The events of the rack."""

from racklet_hostd.store.model import Event


class EventStore:
    """Everything that happened, in the order in which hostd heard of it."""

    @property
    def newest_sequence(self) -> int:
        """The sequence of the newest event; 0 before the first."""
        raise NotImplementedError

    def append(  # noqa: PLR0913
        self,
        node: str,
        at_ms: int,
        kind: str,
        message: str,
        *,
        hat_sequence: int | None = None,
        hat_session: int | None = None,
        lost_before: int = 0,
    ) -> Event:
        """Record an event. A HAT's event that is recorded already is returned, not recorded again."""
        raise NotImplementedError

    def list(self, node: str | None, before: int | None, limit: int) -> list[Event]:
        """Return at most `limit` events below sequence `before`, newest first."""
        raise NotImplementedError

    def since(self, sequence: int, limit: int) -> list[Event]:
        """Return at most `limit` events from `sequence` on, oldest first."""
        raise NotImplementedError
