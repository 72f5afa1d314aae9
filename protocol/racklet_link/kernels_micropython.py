"""The byte kernels for MicroPython: viper, no heap, the same on 32 and 64 bits.

`kernels_host` states what each does. Two things shape this code. A viper integer is a machine word, so nothing
here depends on bits above 31: a varint is put together from parts of 28, 28 and 8 bits. And a literal of 2**31 or
more does not compile on a 32-bit part, so there is none.
"""

import select
from array import array
from hashlib import sha256

import micropython

from racklet_link.kernels_log import (  # noqa: F401 - these are kernels, or make one
    log_bytes,
    log_drop,
    log_free,
    log_grow,
    log_rest_after,
    log_room,
    log_taker,
    log_teller,
)

# CRC-32 of every nibble (IEEE 802.3, reflected), and all ones, which starts and ends the sum.
_CRC = array(
    "I",
    (
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
        0xFFFFFFFF,
    ),
)  # fmt: skip


@micropython.viper
def crc32_append(buf: ptr8, start: int, end: int, to: int):
    table = ptr32(_CRC)
    crc = uint(table[16])
    while start < end:
        crc = crc ^ buf[start]
        crc = uint(table[int(crc) & 15]) ^ (crc >> 4)
        crc = uint(table[int(crc) & 15]) ^ (crc >> 4)
        start += 1
    crc = crc ^ uint(table[16])
    buf[to] = int(crc) & 0xFF
    buf[to + 1] = int(crc >> 8) & 0xFF
    buf[to + 2] = int(crc >> 16) & 0xFF
    buf[to + 3] = int(crc >> 24) & 0xFF


def crc32_matches(buf, start, end):
    crc32_append(buf, start, end, end + 4)
    for index in range(end, end + 4):  # noqa: SIM110 - a generator would be a heap object
        if buf[index] != buf[index + 4]:
            return False
    return True


@micropython.viper
def cobs_encode(src: ptr8, start: int, end: int, dst: ptr8) -> int:
    code_at = 0
    code = 1
    out = 1
    while start < end:
        byte = src[start]
        start += 1
        if byte:
            dst[out] = byte
            out += 1
            code += 1
            if code < 255 or start == end:
                continue
        dst[code_at] = code
        code_at = out
        code = 1
        out += 1
    dst[code_at] = code
    dst[out] = 0
    return out + 1


@micropython.viper
def cobs_decode(buf: ptr8, end: int) -> int:
    pos = 0
    out = 0
    while pos < end:
        code = buf[pos]
        pos += 1
        stop = pos + code - 1
        if code == 0 or stop > end:
            return -1
        while pos < stop:
            byte = buf[pos]
            if byte == 0:
                return -1
            buf[out] = byte
            out += 1
            pos += 1
        if code < 255 and pos < end:
            buf[out] = 0
            out += 1
    return out


@micropython.viper
def copy(dst: ptr8, dst_pos: int, src: ptr8, src_pos: int, size: int):
    stop = src_pos + size
    while src_pos < stop:
        dst[dst_pos] = src[src_pos]
        dst_pos += 1
        src_pos += 1


def hmac_key(key):
    inner = bytearray(b"\x36" * 64)
    outer = bytearray(b"\x5c" * 64)
    for index in range(len(key)):
        inner[index] ^= key[index]
        outer[index] ^= key[index]
    return inner, outer


def hmac_sha256(key, buf, start, end):  # a hash can be neither reset nor copied here, so each takes heap
    inner = sha256(key[0])
    inner.update(memoryview(buf)[start:end])
    outer = sha256(key[1])
    outer.update(inner.digest())
    return outer.digest()


def hmac_matches(key, buf, end):
    mac = hmac_sha256(key, buf, 0, end)
    differ = 0
    for index in range(8):
        differ |= mac[index] ^ buf[end + index]
    return differ == 0


@micropython.viper
def put_header(buf: ptr8, start: int, end: int, tag: int) -> int:
    size = end - start
    if size > 127:
        start -= 1
        buf[start] = size >> 7
        size = size & 127 | 128
    buf[start - 1] = size
    buf[start - 2] = tag
    return start - 2


@micropython.viper
def put_seal(buf: ptr8, at: int, number: int):
    buf[at] = 0x62
    buf[at + 1] = 12
    buf[at + 2] = number & 255
    buf[at + 3] = (number >> 8) & 255
    buf[at + 4] = (number >> 16) & 255
    buf[at + 5] = (number >> 24) & 255


def frame_message(table, slots, blobs, tag, key, number, wire):
    # Packed from the buffer's end, stuffed from its start: the one never reaches the other.
    end = len(wire) - 4
    body_end = end if key is None else end - 14
    start = put_header(wire, pack_fields(table, len(table), slots, blobs, wire, body_end), body_end, tag)
    if key is not None:
        put_seal(wire, body_end, number)
        copy(wire, body_end + 6, hmac_sha256(key, wire, start, body_end + 6), 0, 8)
    crc32_append(wire, start, end, end)
    return cobs_encode(wire, start, end + 4, wire)


# Of each stream that is asked: what polls it. Bound once, since a method taken as a value is a heap object.
_polls = {}


def _polled(stream, event):
    key = id(stream) << 4 | event
    if key not in _polls:
        poll = select.poll()
        poll.register(stream, event)
        _polls[key] = poll.ipoll
    return _polls[key]


_one = bytearray(1)


def read_waiting(stream, buf, last):
    readable = _polled(stream, select.POLLIN)
    one = _one
    size = len(buf)
    count = 0
    while count < size:
        for _ in readable(0):
            break
        else:
            return count
        if not stream.readinto(one, 1):
            return count
        byte = one[0]
        buf[count] = byte
        count += 1
        if byte == 3 and last == 13:
            return count
        last = byte
    return count


def write_ready(stream, buf, start, end):
    writable = _polled(stream, select.POLLOUT)
    while start < end:
        for _ in writable(0):
            break
        else:
            return start
        taken = stream.write(buf, start, min(64, end - start))
        if not taken:
            return start
        start += taken
    return start


@micropython.viper
def find_zero(buf: ptr8, pos: int, end: int) -> int:
    while pos < end and buf[pos]:
        pos += 1
    return pos


@micropython.viper
def put_time(slots: ptr32, slot: int, turns: int, now_ms: int):
    slots[slot] = now_ms | (turns << 30)
    slots[slot + 1] = turns >> 2


@micropython.viper
def take_entries(job: ptr32, ring: ptr16, ring_size: int, dst: ptr8, banners: ptr8) -> int:
    mask = ring_size - 1
    pos = job[0]
    end = job[1]
    to = job[2]
    to_end = job[3]
    begins_line = job[4]
    why = 0
    while pos != end and to != to_end:
        entry = ring[pos & mask]
        if entry > 255:
            why = 1
            break
        if begins_line:
            at = 0
            number = 3
            while banners[at]:
                stop = at + 1 + banners[at]
                at += 1
                then = pos
                while at < stop and then != end and (banners[at] == ring[then & mask] or banners[at] == 1):
                    at += 1
                    then += 1
                if at == stop or then == end:
                    why = number if at == stop else 2
                    break
                at = stop
                number += 1
            if why:
                break
            begins_line = 0
        dst[to] = entry
        if entry == 10:
            begins_line = 1
        pos += 1
        to += 1
    job[0] = pos
    job[2] = to
    job[4] = begins_line
    return why


log_next = log_teller(put_time)
log_take = log_taker(take_entries)


@micropython.viper
def clear(slots: ptr32, count: int):
    while count:
        count -= 1
        slots[count] = 0


@micropython.viper
def pack_fields(table: ptr8, table_size: int, slots: ptr32, blobs, buf: ptr8, end: int) -> int:
    entry = table_size
    while entry:
        entry -= 4
        kind = table[entry + 2]
        slot = table[entry + 3]
        low = slots[slot]
        middle = 0
        high = 0
        if kind == 1:  # signed: zigzag
            sign = 0 - ((low >> 31) & 1)
            middle = ((low >> 27) ^ sign) & 15
            low = ((low << 1) ^ sign) & 0xFFFFFFF
        elif kind == 2:  # 64 bits
            upper = slots[slot + 1]
            middle = ((low >> 28) & 15) | ((upper & 0xFFFFFF) << 4)
            high = (upper >> 24) & 255
            low = low & 0xFFFFFFF
        elif kind >= 5:  # bytes; the number of the blob is kind - 5
            size = slots[slot + 1]
            if size:
                blob = ptr8(blobs[kind - 5])
                pos = low + size
                while pos > low:
                    pos -= 1
                    end -= 1
                    buf[end] = blob[pos]
            low = size
        elif kind == 4:  # a message: packed by the caller, behind these fields
            continue
        else:
            middle = (low >> 28) & 15
            low = low & 0xFFFFFFF
        # The groups of seven bits, the most significant first, since everything is written from its end.
        part = high
        shift = 7
        more = 0
        parts = 3
        while parts:
            if part | more:
                while shift >= 0:
                    group = (part >> shift) & 127
                    if group | more:
                        end -= 1
                        buf[end] = group | more
                        more = 128
                    shift -= 7
            part = middle if parts == 3 else low
            shift = 21
            parts -= 1
        if more:
            if table[entry + 1]:
                end -= 1
                buf[end] = table[entry + 1]
            end -= 1
            buf[end] = table[entry]
    return end


@micropython.viper
def unpack_fields(table: ptr8, table_size: int, slots: ptr32, buf: ptr8, pos: int, end: int) -> bool:
    entry = 0
    tag = 0  # 0 while the next number is a tag
    while pos < end or tag:
        low = 0
        middle = 0
        high = 0
        shift = 0
        byte = 128
        while byte > 127:
            if pos >= end or shift > 63:
                return False
            byte = buf[pos]
            pos += 1
            group = byte & 127
            if shift < 28:
                low |= group << shift
            elif shift < 56:
                middle |= group << (shift - 28)
            else:
                high |= group << (shift - 56)
            shift += 7

        if tag == 0:
            if high or middle > 15 or (low < 8 and middle == 0):
                return False  # more than 32 bits, or field number 0
            tag = low if middle == 0 else low | 0x8000000  # a number that no table has
            wire = low & 7
            if wire == 5 or wire == 1:
                pos += 4 if wire == 5 else 8
                tag = 0
                if pos > end:
                    return False
            elif wire & 5:
                return False  # a group
            continue

        if tag & 2 and (middle | high or low > end - pos):
            return False
        searched = 0
        while searched < table_size:
            if (table[entry] & 127) | (table[entry + 1] << 7) == tag and tag < 0x4000:
                kind = table[entry + 2]
                slot = table[entry + 3]
                if kind == 1:
                    slots[slot] = ((low >> 1) | ((middle & 15) << 27)) ^ (0 - (low & 1))
                elif kind == 3:
                    slots[slot] = 1 if low | middle | high else 0
                elif kind > 3:
                    slots[slot] = pos
                    slots[slot + 1] = low
                else:
                    slots[slot] = low | ((middle & 15) << 28)
                    if kind == 2:
                        slots[slot + 1] = ((middle >> 4) & 0xFFFFFF) | ((high & 255) << 24)
                break
            entry += 4
            searched += 4
            if entry == table_size:
                entry = 0
        if tag & 2:
            pos += low
        tag = 0
    return True
