"""Which HAT belongs to which node, and the keys. Of the keys nothing else on this computer should know."""

from dataclasses import dataclass, field
from threading import Lock

from racklet_hostd.store.database import Database


@dataclass(frozen=True, slots=True)
class Adoption:
    """A HAT that belongs to a node, since the unix time `at_ms`, by the word of `who`. Its text leaves out the key."""

    hat_id: bytes
    node: str
    key: bytes = field(repr=False)
    at_ms: int
    who: str


class Adoptions:
    """The adoptions of a rack: a HAT has one node, a node one HAT. What changes them is durable when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changing = Lock()
        self._by_hat = {row[0]: Adoption(*row) for row in database.adoptions()}

    def of_hat(self, hat_id: bytes) -> Adoption | None:
        """Return the adoption of a HAT, if there is one."""
        return self._by_hat.get(hat_id)

    def of_node(self, node: str) -> Adoption | None:
        """Return the adoption of a node's HAT, if there is one."""
        return next((adoption for adoption in self._by_hat.values() if adoption.node == node), None)

    def all(self) -> list[Adoption]:
        """Return all of them, in the order of the HATs' ids."""
        return [self._by_hat[hat_id] for hat_id in sorted(self._by_hat)]

    def key_of(self, hat_id: bytes) -> bytes | None:
        """Return the key of a HAT that is adopted."""
        adoption = self._by_hat.get(hat_id)
        return adoption.key if adoption else None

    def adopt(self, adoption: Adoption) -> None:
        """Take in a HAT, in the place of what was on record of it and of its node. Raises StoreError."""
        with self._changing:
            gone = [each for each in self._by_hat.values() if each.node == adoption.node]
            with self._database.transaction():
                for each in gone:
                    self._database.forget_adoption(each.hat_id)
                self._database.save_adoption(
                    (adoption.hat_id, adoption.node, adoption.key, adoption.at_ms, adoption.who)
                )
            kept = {hat_id: each for hat_id, each in self._by_hat.items() if each not in gone}
            self._by_hat = kept | {adoption.hat_id: adoption}

    def forget(self, hat_id: bytes) -> None:
        """Know a HAT no more. Raises StoreError."""
        with self._changing:
            with self._database.transaction():
                self._database.forget_adoption(hat_id)
            self._by_hat = {each: adoption for each, adoption in self._by_hat.items() if each != hat_id}
