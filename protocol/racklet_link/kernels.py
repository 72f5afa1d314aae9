"""The byte kernels, in the form for this interpreter. Both forms pass the same tests.

`kernels_host` states what each does.
"""

import sys

TYPE_CHECKING = False  # a type checker takes it for True
if TYPE_CHECKING or sys.implementation.name != "micropython":
    from racklet_link import kernels_host as _form
else:
    from racklet_link import kernels_micropython as _form

clear = _form.clear
const = _form.const
cobs_decode = _form.cobs_decode
cobs_encode = _form.cobs_encode
copy = _form.copy
crc32_append = _form.crc32_append
crc32_matches = _form.crc32_matches
find_zero = _form.find_zero
hmac_key = _form.hmac_key
hmac_matches = _form.hmac_matches
hmac_sha256 = _form.hmac_sha256
pack_fields = _form.pack_fields
put_time = _form.put_time
take_entries = _form.take_entries
unpack_fields = _form.unpack_fields

_TICK_MASK = const(0x3FFFFFFF)


def elapsed_ms(now_ms: int, then_ms: int) -> int:
    """Return the milliseconds from `then_ms` to `now_ms` on a clock that wraps at 2**30: spans of up to 12 days."""
    return (now_ms - then_ms) & _TICK_MASK


def pack_header(buf: bytearray, start: int, end: int, tag: int) -> int:
    """Write a one-byte `tag` and the length of `buf[start:end]`, at most 16383, before it; return where they start."""
    size = end - start
    if size > 127:
        start -= 1
        buf[start] = size >> 7
        size = size & 127 | 128
    buf[start - 1] = size
    buf[start - 2] = tag
    return start - 2
