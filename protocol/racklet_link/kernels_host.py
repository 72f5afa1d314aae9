"""The byte kernels for CPython, and what each of them does.

The frame kernels stand on C (`cobs`, `zlib`). The field kernels are plain Python: here they serve only tests and
simulations of the HAT's end, for hostd reads and writes messages with google.protobuf.

A message's table holds four bytes for each field, in field order: the tag as the wire has it (two bytes, the second 0
for fields below 16), the kind, and the first 32-bit slot the field occupies. Kinds: 0 unsigned, 1 signed (zigzag),
2 unsigned 64 bits (two slots, low word first), 3 bool, 4 message (two slots: where its bytes start and how many there
are), 5 + n bytes in blob n (two slots likewise).
"""

from __future__ import annotations

import hmac
import select
import zlib
from typing import TYPE_CHECKING, BinaryIO

from cobs import cobs  # type: ignore[import-untyped]

from racklet_link.kernels_log import (
    log_bytes,
    log_drop,
    log_free,
    log_grow,
    log_rest_after,
    log_room,
    log_taker,
    log_teller,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

__all__ = ["log_bytes", "log_drop", "log_free", "log_grow", "log_rest_after", "log_room"]  # beside what is here

UNSIGNED, SIGNED, UNSIGNED_64, BOOL, MESSAGE, BYTES = range(6)
CTRL_C, CR = 3, 13
USB_PACKET = 64
_VARINT_MAX = 10


def const(value: int) -> int:
    """Return the value. MicroPython's compiler sets it in wherever the name stands."""
    return value


def crc32_append(buf: bytearray, start: int, end: int, to: int) -> None:
    """Write the CRC-32 (IEEE 802.3) of `buf[start:end]` to the four bytes from `to` on, low byte first."""
    buf[to : to + 4] = zlib.crc32(memoryview(buf)[start:end]).to_bytes(4, "little")


def crc32_matches(buf: bytearray, start: int, end: int) -> bool:
    """Tell whether the four bytes at `end` are the CRC-32 of `buf[start:end]`; the four behind may be overwritten."""
    return zlib.crc32(memoryview(buf)[start:end]) == int.from_bytes(buf[end : end + 4], "little")


def cobs_encode(src: bytearray, start: int, end: int, dst: bytearray) -> int:
    """Write COBS of `src[start:end]` and the closing 0x00 to the start of `dst`; return how many bytes that are.

    `src` and `dst` may be one when `start` is at least 2 more than a 254th of the size.
    """
    encoded = cobs.encode(src[start:end])
    size = len(encoded)
    dst[:size] = encoded
    dst[size] = 0
    return size + 1


def cobs_decode(buf: bytearray, end: int) -> int:
    """Decode `buf[:end]`, which holds no closing 0x00, in place; return the new length, or -1 when it is no COBS."""
    try:
        decoded = cobs.decode(buf[:end])
    except cobs.DecodeError:
        return -1
    buf[: len(decoded)] = decoded
    return len(decoded)


def copy(dst: bytearray, dst_pos: int, src: bytes | bytearray, src_pos: int, size: int) -> None:
    """Copy `size` bytes from `src[src_pos:]` to `dst[dst_pos:]`. The two do not overlap."""
    dst[dst_pos : dst_pos + size] = src[src_pos : src_pos + size]


def hmac_key(key: bytes) -> hmac.HMAC:
    """Return `key`, of at most 64 bytes, in the form that `hmac_sha256` takes: begun, which is half of the work."""
    return hmac.new(key, digestmod="sha256")


def hmac_sha256(key: hmac.HMAC, buf: bytes | bytearray, start: int, end: int) -> bytes:
    """Return the HMAC-SHA-256 of `buf[start:end]`, 32 bytes."""
    mac = key.copy()
    mac.update(memoryview(buf)[start:end])
    return mac.digest()


def hmac_matches(key: hmac.HMAC, buf: bytes | bytearray, end: int) -> bool:
    """Tell whether the eight bytes at `end` begin the HMAC-SHA-256 of `buf[:end]`; it takes as long if they do not."""
    return hmac.compare_digest(hmac_sha256(key, buf, 0, end)[:8], bytes(buf[end : end + 8]))


def frame_message(
    table: bytes,
    slots: array[int],
    blobs: Sequence[bytes | bytearray],
    tag: int,
    key: hmac.HMAC | None,
    number: int,
    wire: bytearray,
) -> int:
    """Write the frame of a message to the start of `wire`, closing 0x00 included; return how many bytes that are.

    `tag` is that of the message's field in Frame, one byte. With a key, as `hmac_key` makes it, the payload is sealed
    with this number, as `seal` says. `wire` must have the room, and is used up to its end.
    """
    body = bytearray(len(wire))
    body = body[pack_fields(table, len(table), slots, blobs, body, len(body)) :]
    payload = bytes([tag]) + _varint(len(body)) + body
    if key is not None:
        payload += b"\x62\x0c" + number.to_bytes(4, "little")
        payload += hmac_sha256(key, payload, 0, len(payload))[:8]
    encoded: bytes = cobs.encode(payload + zlib.crc32(payload).to_bytes(4, "little")) + b"\0"
    wire[: len(encoded)] = encoded
    return len(encoded)


def read_waiting(stream: BinaryIO, buf: bytearray, last: int) -> int:
    """Read what waits into `buf`, until that is full or behind CR, Ctrl-C; return how many bytes.

    `last` is the byte that was read before.
    """
    count = 0
    while count < len(buf) and select.select([stream], [], [], 0)[0] and (byte := stream.read(1)):
        buf[count : count + 1] = byte
        count += 1
        if (last, byte) == (CR, bytes([CTRL_C])):
            break
        last = byte[0]
    return count


def write_ready(stream: BinaryIO, buf: bytearray, start: int, end: int) -> int:
    """Write `buf[start:end]`, in packets of 64 bytes, while the stream takes them; return where the rest starts.

    A HAT's chip waits for 0.1 ms when the stream is full: its USB port has room for another packet after half of that.
    """
    while start < end and select.select([], [stream], [], 0)[1]:
        start += stream.write(buf[start : min(end, start + USB_PACKET)])
    return start


def find_zero(buf: bytes | bytearray, pos: int, end: int) -> int:
    """Return the index of the first 0x00 in `buf[pos:end]`, or `end`."""
    found = buf.find(0, pos, end)
    return end if found < 0 else found


def put_time(slots: array[int], slot: int, turns: int, now_ms: int) -> None:
    """Store `turns` * 2**30 + `now_ms` in the two slots from `slot` on."""
    put_unsigned_64(slots, slot, (turns << 30) + now_ms)


def put_unsigned_64(slots: array[int], slot: int, value: int) -> None:
    """Store a 64-bit number in the two slots from `slot` on."""
    slots[slot] = _as_word(value)
    slots[slot + 1] = _as_word(value >> 32)


def take_entries(job: array[int], ring: array[int], ring_size: int, dst: bytearray, banners: bytes) -> int:
    """Move bytes from a ring of UART entries to `dst`; return why it ended.

    An entry is a byte and, from bit 8 on, what was wrong with it. The ring's size is a power of two. `job` holds: the
    first entry and the one behind the last (positions, modulo the size), where in `dst` to put the next byte and where
    to end, and 1 when the next byte begins a line. The first, third and fifth are brought up to date.

    0: no entry is left, or no room. 1: the next entry has something wrong. 2: what is there begins a line as a banner
    does, and ends too soon to tell. 3 + n: the next entry begins banner n. `banners` holds each behind its length, with
    a 0 at the end; a byte 1 in one stands for any.
    """
    pos, end, to, to_end, begins_line = job[:5]
    why = 0
    while pos != end and to != to_end:
        entry = ring[pos % ring_size]
        if entry > 255:  # noqa: PLR2004 - a byte
            why = 1
            break
        why = _banner_at(range(pos, end), ring, ring_size, banners) if begins_line else 0
        if why:
            break
        dst[to] = entry
        begins_line = int(entry == 10)  # noqa: PLR2004 - the line feed
        pos += 1
        to += 1
    job[0], job[2], job[4] = pos, to, begins_line
    return why


def _banner_at(entries: range, ring: array[int], ring_size: int, banners: bytes) -> int:
    number = 3
    while size := banners[0]:
        banner, banners = banners[1 : size + 1], banners[size + 1 :]
        seen = [ring[at % ring_size] for at in entries[:size]]
        if all(want in {entry, 1} for want, entry in zip(banner, seen, strict=False)):
            return number if len(seen) == size else 2
        number += 1
    return 0


log_next = log_teller(put_time)
log_take = log_taker(take_entries)


def clear(slots: array[int], count: int) -> None:
    """Set the first `count` slots to 0."""
    for slot in range(count):
        slots[slot] = 0


def pack_fields(
    table: bytes, table_size: int, slots: array[int], blobs: Sequence[bytes | bytearray], buf: bytearray, end: int
) -> int:
    """Write the fields that are not 0 or empty so that they end before `buf[end]`; return where they start."""
    for entry in range(table_size - 4, -1, -4):
        tag, tag_more, kind, slot = table[entry : entry + 4]
        if kind == MESSAGE:
            continue
        value = slots[slot] & 0xFFFFFFFF
        field = b""
        if kind == SIGNED:
            value = (slots[slot] << 1) ^ (slots[slot] >> 31)
            value &= 0xFFFFFFFF
        elif kind == UNSIGNED_64:
            value |= (slots[slot + 1] & 0xFFFFFFFF) << 32
        elif kind >= BYTES:
            start, value = slots[slot], slots[slot + 1]
            field = bytes(blobs[kind - BYTES][start : start + value]) if value else b""
        if value:
            field = bytes([tag, tag_more] if tag_more else [tag]) + _varint(value) + field
            buf[end - len(field) : end] = field
            end -= len(field)
    return end


def unpack_fields(table: bytes, table_size: int, slots: array[int], buf: bytearray, pos: int, end: int) -> bool:
    """Read the fields in `buf[pos:end]` into slots; False when the bytes are no message.

    Unknown fields are passed over; of a repeated one the last counts. Bytes and messages are left where they are.
    """
    fields = {table[entry] | table[entry + 1] << 8: table[entry + 2 : entry + 4] for entry in range(0, table_size, 4)}
    while pos < end:
        key, pos = _read_varint(buf, pos, end, 5)
        if key >> 3 == 0:
            return False
        value, wire = 0, key & 7
        if wire in {0, 2}:
            value, pos = _read_varint(buf, pos, end, _VARINT_MAX)
        start = pos
        pos += {0: 0, 1: 8, 2: value, 5: 4}.get(wire, end)
        if pos > end or value < 0:
            return False
        tag = key if key < 128 else (key & 127 | 128) | key >> 7 << 8  # noqa: PLR2004 - the varint's seven bits
        if tag in fields:
            kind, slot = fields[tag]
            _store(slots, slot, kind, value, start)
    return True


def _store(slots: array[int], slot: int, kind: int, value: int, start: int) -> None:
    if kind >= MESSAGE:
        slots[slot] = start
        slots[slot + 1] = value
    elif kind == UNSIGNED_64:
        put_unsigned_64(slots, slot, value)
    elif kind == SIGNED:
        value &= 0xFFFFFFFF
        slots[slot] = (value >> 1) ^ -(value & 1)
    elif kind == BOOL:
        slots[slot] = int(value != 0)
    else:
        slots[slot] = _as_word(value)


def _as_word(value: int) -> int:
    """Return the low 32 bits as the signed number that an array of 'i' holds."""
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:  # noqa: PLR2004 - the varint's seven bits
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(buf: bytearray, pos: int, end: int, size_max: int) -> tuple[int, int]:
    """Return the number at `pos` and where it ends; (-1 or 0, beyond `end`) when it is cut off or too long."""
    value = 0
    for count in range(size_max):
        if pos >= end:
            break
        byte = buf[pos]
        pos += 1
        value |= (byte & 127) << (7 * count)
        if byte < 128:  # noqa: PLR2004 - the varint's seven bits
            return value, pos
    return -1, end + 1
