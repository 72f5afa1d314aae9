"""The HAT's large rings, made before the other modules are loaded: among those the heap has no such room left."""

import gc

gc.collect()  # what checking the slot has left: the modules that follow are to stand where that did

from array import array  # noqa: E402 - see above

from micropython import const  # noqa: E402
from uctypes import addressof  # noqa: E402

from racklet_hat import config  # noqa: E402
from racklet_link.log_ring import LogRing  # noqa: E402

UART_RING_BITS = const(13)  # the ring takes 2**13 bytes: 2 for each of config.UART_ENTRIES
_CODE_BYTES = const(72 * 1024)
_PLACES_TRIED = const(4)  # mostly the first is right


def _aligned_ring() -> array:
    """Return a ring that stands at a multiple of its size, where the DMA's address wraps.

    A place with room for more shows where the next thing of such a size will stand; what is put there first reaches up
    to the multiple. That is larger than the ring, since a small thing would go into a hole somewhere else.
    """
    size = 1 << UART_RING_BITS
    empty = bytes(size)
    tried = None
    for _ in range(_PLACES_TRIED):
        at = addressof(bytearray(3 * size))
        gc.collect()
        spacer = bytearray(size + (-at & (size - 1)))
        ring = array("H", empty)
        if addressof(ring) & (size - 1) == 0:
            return ring
        tried = (tried, spacer, ring)
    raise MemoryError


def _made() -> "tuple[LogRing, array]":
    """Return both, behind room for the code: who looks for room in the heap begins at its start, again and again."""
    for room in (_CODE_BYTES, 0):
        gc.collect()
        try:
            front = bytearray(room)  # noqa: F841 - only to be there
            return LogRing(config.LOG_RING_BYTES), _aligned_ring()
        except MemoryError:
            continue
    raise MemoryError


LOG, UART_RING = _made()
gc.collect()  # the room in front is free again
