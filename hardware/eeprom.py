"""The content of the HAT+ EEPROM: `python -m hardware.eeprom OUT.eep [--uuid UUID]`, `--show FILE` reads one back.

The format is Raspberry Pi's (HAT+, header version 2): a header, then atoms, each with a CRC-16. Ours are who made the
board, and that it supplies 5 A, without which a Pi 5 limits its USB ports.
"""

from __future__ import annotations

import argparse
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

SIZE = 4096  # CAT24C32
SUPPLY_MA = 5000
VENDOR, PRODUCT = "Racklet", "Racklet HAT"
PRODUCT_ID, PRODUCT_VERSION = 0x0001, 0x0001  # revision A

_SIGNATURE = b"R-Pi"
_VERSION = 2
_HEADER = struct.Struct("<4sBBHI")
_ATOM = struct.Struct("<HHI")
_VENDOR = struct.Struct("<16sHHBB")
_SUPPLY = struct.Struct("<I")
_VENDOR_ATOM, _SUPPLY_ATOM = 1, 6
_CRC_BYTES = 2
_POLYNOMIAL = 0xA001  # 0x8005, bits reversed


class BadImageError(ValueError):
    """The bytes are no HAT+ image, or a damaged one."""


@dataclass(frozen=True)
class Content:
    """What an image says: the board's own id, who made it, and the current it supplies to the node, in mA."""

    identity: uuid.UUID
    vendor: str
    product: str
    product_id: int
    product_version: int
    supply_ma: int


def crc16(data: bytes) -> int:
    """Return the CRC-16 of the atoms (polynomial 0x8005, reflected, starting at 0)."""
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register


def ours(identity: uuid.UUID) -> Content:
    """Return what the EEPROM of a HAT, revision A, says."""
    return Content(identity, VENDOR, PRODUCT, PRODUCT_ID, PRODUCT_VERSION, SUPPLY_MA)


def build(content: Content) -> bytes:
    """Return the image of an EEPROM, without the unused rest."""
    names = content.vendor.encode("ascii"), content.product.encode("ascii")
    lengths = len(names[0]), len(names[1])
    # The id is kept as four words, the least significant first: the bytes from the last to the first.
    head = _VENDOR.pack(content.identity.bytes[::-1], content.product_id, content.product_version, *lengths)
    bodies = [(_VENDOR_ATOM, head + names[0] + names[1]), (_SUPPLY_ATOM, _SUPPLY.pack(content.supply_ma))]
    atoms = b"".join(_atom(kind, number, body) for number, (kind, body) in enumerate(bodies))
    return _HEADER.pack(_SIGNATURE, _VERSION, 0, len(bodies), _HEADER.size + len(atoms)) + atoms


def _atom(kind: int, number: int, body: bytes) -> bytes:
    atom = _ATOM.pack(kind, number, len(body) + _CRC_BYTES) + body
    return atom + crc16(atom).to_bytes(_CRC_BYTES, "little")


def parse(image: bytes) -> Content:
    """Read an image back. Raises BadImageError."""
    if len(image) < _HEADER.size:
        raise BadImageError(f"{len(image)} bytes are less than a header")
    signature, version, _, count, length = _HEADER.unpack_from(image)
    if (signature, version) != (_SIGNATURE, _VERSION):
        raise BadImageError(f"no HAT+ image: it starts with {signature!r}, version {version}")
    if length > len(image):
        raise BadImageError(f"{len(image)} bytes of {length}")
    bodies = {}
    at = _HEADER.size
    for number in range(count):
        kind, body, at = _read_atom(image[:length], at, number)
        bodies[kind] = body
    if set(bodies) != {_VENDOR_ATOM, _SUPPLY_ATOM}:
        raise BadImageError(f"atoms of the kinds {sorted(bodies)}, not vendor (1) and supply (6)")
    return _content(bodies[_VENDOR_ATOM], bodies[_SUPPLY_ATOM])


def _read_atom(image: bytes, at: int, number: int) -> tuple[int, bytes, int]:
    start = at + _ATOM.size
    if start > len(image):
        raise BadImageError(f"atom {number} is cut off")
    kind, found, size = _ATOM.unpack_from(image, at)
    end = start + size
    if end > len(image) or size < _CRC_BYTES:
        raise BadImageError(f"atom {number} says {size} bytes, {len(image) - start} are there")
    body, crc = image[start : end - _CRC_BYTES], int.from_bytes(image[end - _CRC_BYTES : end], "little")
    if found != number or crc != crc16(image[at : end - _CRC_BYTES]):
        raise BadImageError(f"atom {number} is damaged: its number or its CRC is wrong")
    return kind, body, end


def _content(vendor: bytes, supply: bytes) -> Content:
    if len(supply) != _SUPPLY.size or len(vendor) < _VENDOR.size:
        raise BadImageError("an atom is too short")
    identity, product_id, product_version, vendor_size, product_size = _VENDOR.unpack_from(vendor)
    names = vendor[_VENDOR.size :]
    if len(names) != vendor_size + product_size:
        raise BadImageError("the names are not as long as they say")
    return Content(
        uuid.UUID(bytes=identity[::-1]),
        names[:vendor_size].decode("ascii", "replace"),
        names[vendor_size:].decode("ascii", "replace"),
        product_id,
        product_version,
        _SUPPLY.unpack(supply)[0],
    )


def main() -> None:
    """Write an image, or show one."""
    parser = argparse.ArgumentParser(description="The content of the HAT+ EEPROM.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--uuid", type=uuid.UUID, help="the board's own id; a new one when left out")
    parser.add_argument("--show", action="store_true", help="read the file instead of writing it")
    arguments = parser.parse_args()
    if not arguments.show:
        arguments.file.write_bytes(build(ours(arguments.uuid or uuid.uuid4())))
    content = parse(arguments.file.read_bytes())
    print(f"{content.vendor}, {content.product}, revision {content.product_version}, {content.identity}")
    print(f"supplies {content.supply_ma} mA")


if __name__ == "__main__":
    main()
