"""How far the counters of HATs went: see docs/decisions/0006-who-owns-a-joule.md."""

from collections.abc import Iterable

from racklet_hostd.store.database import HATS_KEPT, Database

# A counter that goes on over a restart of its HAT does so modulo these (Hello.counters_continue).
ENERGY_MODULUS_UJ = 1000 << 40
CHARGE_MODULUS_UC = 625 << 35


class HatPlaces:
    """At which node each HAT was seen last. Of all nodes; at most HATS_KEPT, those seen last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._places = database.hats()

    def move(self, hat_id: bytes, node: str) -> str | None:
        """Note that a HAT is seen at a node; return where it was seen last, None when nowhere yet."""
        before = self._places.pop(hat_id, None)
        self._places[hat_id] = node
        if len(self._places) > HATS_KEPT:
            self._places.pop(next(iter(self._places)))
        return before

    def of(self, hat_ids: set[bytes]) -> dict[bytes, str]:
        """Return where these HATs were seen last; those seen last come last."""
        return {hat_id: node for hat_id, node in self._places.items() if hat_id in hat_ids} if hat_ids else {}

    def save(self, seen: Iterable[dict[bytes, str]]) -> None:
        """Write where HATs were seen into the index, within its transaction."""
        for places in seen:
            for hat_id, node in places.items():
                self._database.save_hat(hat_id, node)


def gone_on(before: int | None, told: int, modulus: int) -> int | None:
    """Return how far a counter went from `before` to `told`; None when it went back.

    `before` is None when nothing that it told before counts. A way back of more than half the modulus leads over its
    end.
    """
    if before is None:
        return 0
    if told >= before:
        return told - before
    over = (told - before) % modulus
    return over if over < modulus // 2 else None
