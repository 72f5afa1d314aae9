"""A message of the link as the HAT holds it: scalars in 32-bit slots, bytes where they lie."""

from array import array

from racklet_link.kernels import pack_fields, unpack_fields


class Message:
    """One message of the link, to be filled, packed, unpacked and used again. Only its making takes heap.

    `slots` holds the scalars at the indices that `racklet_link.messages` names. A 64-bit number takes two slots, low
    word first. Of a bytes, string or message field the two slots hold where it starts and how long it is, and, to be
    packed, `blobs` holds the bytes object it lies in.
    """

    def __init__(self, form: "tuple[bytes, int, int]") -> None:
        self.table, self.slot_count, blob_count = form
        self._table_size = len(self.table)
        self.slots = array("i", bytes(4 * self.slot_count))
        self.blobs: "list[bytes | bytearray]" = [b""] * blob_count

    def clear(self) -> None:
        """Set every field to 0 or empty."""
        slots = self.slots
        for slot in range(self.slot_count):
            slots[slot] = 0

    def pack(self, buf: bytearray, end: int) -> int:
        """Write the message so that it ends before `buf[end]`; return where it starts. `buf` must have the room."""
        return pack_fields(self.table, self._table_size, self.slots, self.blobs, buf, end)

    def unpack(self, buf: bytearray, pos: int, end: int) -> bool:
        """Read the message in `buf[pos:end]`; False when that is none. Bytes fields stay in `buf`."""
        return unpack_fields(self.table, self._table_size, self.slots, self.slot_count, buf, pos, end)

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
