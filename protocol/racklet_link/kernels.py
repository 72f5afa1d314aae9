"""The byte kernels, in the form for this interpreter. Both forms pass the same tests."""

import sys

TYPE_CHECKING = False  # a type checker takes it for True
if TYPE_CHECKING or sys.implementation.name != "micropython":
    from racklet_link import kernels_host as _form
else:
    from racklet_link import kernels_micropython as _form

const = _form.const
cobs_decode = _form.cobs_decode
cobs_encode = _form.cobs_encode
copy = _form.copy
crc32_append = _form.crc32_append
crc32_matches = _form.crc32_matches
find_zero = _form.find_zero
pack_fields = _form.pack_fields
pack_header = _form.pack_header
put_time = _form.put_time
unpack_fields = _form.unpack_fields
