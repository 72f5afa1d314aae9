"""The HAT's large rings, made before the other modules are loaded: among those the heap has no such room left."""

import gc
from array import array

from micropython import const
from uctypes import addressof

from racklet_hat import config
from racklet_link.log_ring import LogRing

UART_RING_BITS = const(13)  # the ring takes 2**13 bytes: 2 for each of config.UART_ENTRIES
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


gc.collect()
LOG = LogRing(config.LOG_RING_BYTES)
UART_RING = _aligned_ring()
