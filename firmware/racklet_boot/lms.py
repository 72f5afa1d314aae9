"""Verifies LMS signatures (RFC 8554, NIST SP 800-208), with SHA-256 of 32 bytes. Runs on MicroPython and CPython.

One pass over about 500 hashes with W4, done in steps so that nothing waits long. Names are those of the RFC.
"""

from hashlib import sha256

from racklet_boot.constant import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as Hash  # noqa: TID251 - for type checkers only: MicroPython's hash has another type

HASH_BYTES = const(32)
KEY_BYTES = const(56)  # of a public key: two types, I, T[1]
IDENTITY_BYTES = const(16)
_I_AT = const(8)  # in a public key
_ROOT_AT = const(24)
_LMS_H5 = const(5)  # to 9: a height of 5, 10, 15, 20, 25
_LMS_H25 = const(9)
_OTS_W1 = const(1)  # to 4: a width of 1, 2, 4, 8
_OTS_W8 = const(4)
_C_AT = const(8)  # in a signature: behind q and the type
_Y_AT = const(40)
_D_PBLC = b"\x80\x80"
_D_MESG = b"\x81\x81"
_D_LEAF = b"\x82\x82"
_D_INTR = b"\x83\x83"
_CHAIN_I_AT = const(20)  # in what a chain hashes: I, q, i, j, the value
_CHAIN_J_AT = const(22)
_CHAIN_VALUE_AT = const(23)
_CHAIN_BYTES = const(55)
# Of each width: chains, and by how much the checksum is shifted left.
_CHAINS = (265, 133, 67, 34)
_SHIFTS = (7, 6, 4, 0)


class MalformedError(Exception):
    """This is no key, or no signature, of a kind known here."""


def identity_of(public_key: bytes) -> bytes:
    """Return what tells a key from others: the I of its tree."""
    return public_key[_I_AT:_ROOT_AT]


def width_of(ots_type: int) -> "tuple[int, int, int]":
    """Return the bits of a digit, the number of chains and the checksum's shift. Raises MalformedError."""
    if not _OTS_W1 <= ots_type <= _OTS_W8:
        raise MalformedError
    return 1 << (ots_type - 1), _CHAINS[ots_type - 1], _SHIFTS[ots_type - 1]


def height_of(lms_type: int) -> int:
    """Return the height of the tree. Raises MalformedError."""
    if not _LMS_H5 <= lms_type <= _LMS_H25:
        raise MalformedError
    return 5 * (lms_type - _LMS_H5 + 1)


def signature_bytes(lms_type: int, ots_type: int) -> int:
    """Return how long a signature is. Raises MalformedError."""
    return _Y_AT + HASH_BYTES * (width_of(ots_type)[1] + height_of(lms_type)) + 4


def number_at(data: bytes, at: int) -> int:
    """Return the big-endian number of 32 bits there."""
    return int.from_bytes(data[at : at + 4], "big")


def message_digits(identity: bytes, q: bytes, randomizer: bytes, message: bytes, ots_type: int) -> bytearray:
    """Return the hash of the message and its checksum, whose digits say how far each chain is gone."""
    width, _, shift = width_of(ots_type)
    hashed = hash_of((identity, q, _D_MESG, randomizer))
    hashed.update(message)
    digest = hashed.digest()
    top = (1 << width) - 1
    checksum = 0
    for index in range(8 * HASH_BYTES // width):
        checksum += top - digit(digest, index, width)
    checksum <<= shift
    digits = bytearray(HASH_BYTES + 2)
    digits[:HASH_BYTES] = digest
    digits[HASH_BYTES] = checksum >> 8
    digits[HASH_BYTES + 1] = checksum & 255
    return digits


def digit(digits: bytearray, index: int, width: int) -> int:
    """Return one digit of `width` bits."""
    bit = index * width
    return digits[bit >> 3] >> (8 - width - (bit & 7)) & ((1 << width) - 1)


def hash_of(parts: "tuple[bytes, ...]") -> "Hash":
    """Return the hash of the parts one after the other, to which more can be added."""
    hashed = sha256()
    for part in parts:
        hashed.update(part)
    return hashed


class Chains:
    """The chains of one leaf: hashes of hashes, each bound to its place."""

    def __init__(self, identity: bytes, q: bytes) -> None:
        self._block = bytearray(_CHAIN_BYTES)
        self._block[:IDENTITY_BYTES] = identity
        self._block[IDENTITY_BYTES:_CHAIN_I_AT] = q

    def walk(self, chain: int, start: int, end: int, value: bytes) -> bytes:
        """Return where a chain gets from step `start` to step `end`."""
        block = self._block
        block[_CHAIN_I_AT] = chain >> 8
        block[_CHAIN_I_AT + 1] = chain & 255
        for step in range(start, end):
            block[_CHAIN_J_AT] = step
            block[_CHAIN_VALUE_AT:] = value
            value = sha256(block).digest()
        return value


def ots_public_key(identity: bytes, q: bytes) -> "Hash":
    """Return the hash that becomes a leaf's public key when the ends of its chains are added."""
    return hash_of((identity, q, _D_PBLC))


def leaf_of(identity: bytes, node: int, ots_key: bytes) -> bytes:
    """Return a leaf of the tree; `node` is 2**h + q."""
    return hash_of((identity, node.to_bytes(4, "big"), _D_LEAF, ots_key)).digest()


def parent_of(identity: bytes, node: int, left: bytes, right: bytes) -> bytes:
    """Return an inner node of the tree."""
    return hash_of((identity, node.to_bytes(4, "big"), _D_INTR, left, right)).digest()


class Verification:
    """Whether one signature of one message holds. Call `step` until it says True; then `is_valid` tells.

    Raises MalformedError when the key or the signature is not of a kind known here, or they do not belong together.
    """

    def __init__(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        if len(public_key) != KEY_BYTES or len(signature) < _C_AT:
            raise MalformedError
        lms_type = number_at(public_key, 0)
        ots_type = number_at(public_key, 4)
        self._height = height_of(lms_type)
        self._width, self._count, _ = width_of(ots_type)
        self._path_at = _Y_AT + HASH_BYTES * self._count + 4
        q = number_at(signature, 0)
        if (
            len(signature) != signature_bytes(lms_type, ots_type)
            or number_at(signature, 4) != ots_type
            or number_at(signature, self._path_at - 4) != lms_type
            or q >> self._height
        ):
            raise MalformedError
        self._node = (1 << self._height) + q
        self._signature = signature
        self._root = public_key[_ROOT_AT:]
        self._identity = identity_of(public_key)
        q_bytes = bytes(signature[:4])
        self._digits = message_digits(self._identity, q_bytes, signature[_C_AT:_Y_AT], message, ots_type)
        self._chains = Chains(self._identity, q_bytes)
        self._ots_key = ots_public_key(self._identity, q_bytes)
        self._chain = 0
        self.is_valid = False

    def step(self) -> bool:
        """Walk one chain; after the last, the path to the root. Return True when all is done."""
        if self._chain < self._count:
            at = _Y_AT + HASH_BYTES * self._chain
            start = digit(self._digits, self._chain, self._width)
            value = bytes(self._signature[at : at + HASH_BYTES])
            self._ots_key.update(self._chains.walk(self._chain, start, (1 << self._width) - 1, value))
            self._chain += 1
            return False
        self.is_valid = self._candidate() == self._root
        return True

    def _candidate(self) -> bytes:
        """Return the root that the signature leads to."""
        node = self._node
        value = leaf_of(self._identity, node, self._ots_key.digest())
        for level in range(self._height):
            at = self._path_at + HASH_BYTES * level
            sibling = bytes(self._signature[at : at + HASH_BYTES])
            left, right = (sibling, value) if node & 1 else (value, sibling)
            node >>= 1
            value = parent_of(self._identity, node, left, right)
        return value


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the signature holds; False as well for what is none."""
    try:
        verification = Verification(public_key, message, signature)
    except MalformedError:
        return False
    while not verification.step():
        pass
    return verification.is_valid
