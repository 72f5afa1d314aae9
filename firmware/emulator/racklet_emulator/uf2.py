"""UF2, the files that a Pico in BOOTSEL mode takes from a drive: blocks of flash, each with its address."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

FLASH_BASE = 0x10000000
_FAMILY_RP2040 = 0xE48BFF56
_BLOCK = struct.Struct("<8I476sI")
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_HAS_FAMILY = 0x2000
_PAGE_BYTES = 256  # of the flash; the boot ROM takes no other size


def to_uf2(image: bytes, offset: int = 0) -> bytes:
    """Return a flash image that starts at `offset` as UF2. The last page is filled up with zeros."""
    count = -(-len(image) // _PAGE_BYTES)
    blocks = []
    for number in range(count):
        at = number * _PAGE_BYTES
        page = image[at : at + _PAGE_BYTES].ljust(_PAGE_BYTES, b"\0")
        address = FLASH_BASE + offset + at
        head = (*_MAGIC, _HAS_FAMILY, address, _PAGE_BYTES, number, count, _FAMILY_RP2040)
        blocks.append(_BLOCK.pack(*head, page, _MAGIC_END))
    return b"".join(blocks)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(to_uf2(Path(sys.argv[1]).read_bytes()))
