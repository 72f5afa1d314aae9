"""The byte kernels, in the form for what runs this: CPython, any MicroPython, or a HAT. All pass the same tests.

`kernels_host` and `kernels_log` state what each does. A HAT holds `kernels_chip`, C compiled for its processor
(protocol/chip), instead of `kernels_log` and `kernels_micropython`.
"""

import sys

TYPE_CHECKING = False  # a type checker takes it for True
if TYPE_CHECKING or sys.implementation.name != "micropython":
    from racklet_link import kernels_host as _form

    const = _form.const
else:  # MicroPython
    from micropython import const

    try:
        from racklet_link import kernels_chip as _form
    except ImportError:
        from racklet_link import kernels_micropython as _form

clear = _form.clear
cobs_decode = _form.cobs_decode
cobs_encode = _form.cobs_encode
copy = _form.copy
crc32_append = _form.crc32_append
crc32_matches = _form.crc32_matches
find_zero = _form.find_zero
frame_message = _form.frame_message
hmac_key = _form.hmac_key
hmac_matches = _form.hmac_matches
hmac_sha256 = _form.hmac_sha256
log_bytes = _form.log_bytes
log_drop = _form.log_drop
log_free = _form.log_free
log_grow = _form.log_grow
log_next = _form.log_next
log_rest_after = _form.log_rest_after
log_room = _form.log_room
log_take = _form.log_take
pack_fields = _form.pack_fields
put_time = _form.put_time
read_waiting = _form.read_waiting
take_entries = _form.take_entries
unpack_fields = _form.unpack_fields
write_ready = _form.write_ready

_TICK_MASK = const(0x3FFFFFFF)


def elapsed_ms(now_ms: int, then_ms: int) -> int:
    """Return the milliseconds from `then_ms` to `now_ms` on a clock that wraps at 2**30: spans of up to 12 days."""
    return (now_ms - then_ms) & _TICK_MASK
