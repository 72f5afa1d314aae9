"""A message of the link as the HAT holds it: scalars in 32-bit slots, bytes where they lie."""

from array import array

from racklet_link.kernels import clear, pack_fields, unpack_fields


class Message:
    """Holds one message at a time, of any form in `messages` that it has room for. Only its making takes heap.

    `slots` holds the scalars, in the order of the fields. A 64-bit number takes two slots, low
    word first. Of a bytes, string or message field the two slots hold where it starts and how long it is, and, to be
    packed, `blobs` holds the bytes object it lies in. `table` is its form's.
    """

    def __init__(self, slots: int, blobs: int) -> None:
        self.slots = array("i", bytes(4 * slots))
        self.blobs: "list[bytes | bytearray]" = [b""] * blobs
        self.table = b""

    def begin(self, form: "tuple[bytes, int, int]") -> None:
        """Be an empty message of this form."""
        self.table = form[0]
        clear(self.slots, form[1])

    def pack(self, buf: bytearray, end: int) -> int:
        """Write the message so that it ends before `buf[end]`; return where it starts. `buf` must have the room."""
        return pack_fields(self.table, len(self.table), self.slots, self.blobs, buf, end)

    def unpack(self, form: "tuple[bytes, int, int]", buf: bytearray, pos: int, end: int) -> bool:
        """Be the message in `buf[pos:end]`; False when that is none of this form. Bytes fields stay in `buf`."""
        self.table = form[0]
        clear(self.slots, form[1])
        return unpack_fields(self.table, len(self.table), self.slots, buf, pos, end)

    def number(self, slot: int) -> int:
        """Return the 64-bit number in the two slots from `slot` on. Below 2**30 it is no heap object."""
        low = self.slots[slot]
        high = self.slots[slot + 1]
        if high == 0 and low >= 0:
            return low
        return (high & 0xFFFFFFFF) << 32 | low & 0xFFFFFFFF

    def put_number(self, slot: int, value: int) -> None:
        """Store a 64-bit number in the two slots from `slot` on. Below 2**30 that takes no heap."""
        if value <= 0x3FFFFFFF:
            self.slots[slot] = value
            self.slots[slot + 1] = 0
            return
        for word in (value & 0xFFFFFFFF, value >> 32):
            self.slots[slot] = word - 0x100000000 if word > 0x7FFFFFFF else word
            slot += 1

    def put_bytes(self, slot: int, blob: int, data: "bytes | bytearray") -> None:
        """Let the bytes field of `slot`, which is blob number `blob`, be the whole of `data`."""
        self.blobs[blob] = data
        self.slots[slot] = 0
        self.slots[slot + 1] = len(data)
