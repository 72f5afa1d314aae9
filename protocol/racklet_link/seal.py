"""Seals of frames, and the keys they are made with: HMAC-SHA-256 (RFC 2104), HKDF (RFC 5869). Both ends run this.

A seal stands at a payload's end: 0x62 0x0C (the field `Frame.seal`), a number of 4 bytes, low byte first, and the first
8 bytes of the HMAC over the payload up to there.
"""

from racklet_link.kernels import const, hmac_key, hmac_matches, hmac_sha256

_SEAL_SIZE = const(14)
_SEAL_NUMBER_MAX = const(0x3FFFFFFF)
_MAC_SIZE = const(8)
_NUMBER_HIGH_MAX = const(63)  # the highest byte of a number that is not too large
_TAG = const(0x62)
_LENGTH = const(12)
_KEY_LABEL = b"racklet key"
_HOST_LABEL = b"racklet link 2 hostd"
_HAT_LABEL = b"racklet link 2 HAT"


class Seal:
    """One direction of one talk: a key, and the number that was used last.

    `put` makes seals, `opens` checks them; nobody does both with one. Whoever makes one without `put` counts
    `number` up first, and uses `key`, which is as `hmac_key` makes it.
    """

    def __init__(self, key: bytes) -> None:
        self.key = hmac_key(key)
        self.number = 0

    @property
    def is_used_up(self) -> bool:
        """True when there is no further number: the talk must begin anew."""
        return self.number >= _SEAL_NUMBER_MAX

    def put(self, buf: bytearray, start: int, end: int) -> None:
        """Seal the payload `buf[start:end]`, in the 14 bytes behind it. Not when it `is_used_up`."""
        self.number += 1
        buf[end] = _TAG
        buf[end + 1] = _LENGTH
        number = self.number
        for at in range(end + 2, end + 6):
            buf[at] = number & 255
            number >>= 8
        mac = hmac_sha256(self.key, buf, start, end + 6)
        for index in range(_MAC_SIZE):
            buf[end + 6 + index] = mac[index]

    def opens(self, buf: "bytes | bytearray", end: int) -> bool:
        """Tell whether `buf[:end]` ends with a seal of this key, newer than the last that did; it counts from then."""
        at = end - _SEAL_SIZE
        if at < 0 or buf[at] != _TAG or buf[at + 1] != _LENGTH or buf[at + 5] > _NUMBER_HIGH_MAX:
            return False
        number = buf[at + 2] | buf[at + 3] << 8 | buf[at + 4] << 16 | buf[at + 5] << 24
        if number <= self.number or not hmac_matches(self.key, buf, end - _MAC_SIZE):
            return False
        self.number = number
        return True


def agreed_key(secret: "bytes | bytearray", nonce: "bytes | bytearray", hat_id: bytes) -> bytes:
    """Return the key of 32 bytes that hostd and a HAT agree on."""
    return _hmac(secret, _KEY_LABEL + nonce + hat_id)


def talk_seals(
    key: bytes, host_nonce: "bytes | bytearray", hat_nonce: "bytes | bytearray", hat_id: bytes
) -> "tuple[Seal, Seal]":
    """Return the seals of a talk: hostd's, and the HAT's."""
    secret = _hmac(host_nonce + hat_nonce, key)
    return Seal(_hmac(secret, _HOST_LABEL + hat_id + b"\x01")), Seal(_hmac(secret, _HAT_LABEL + hat_id + b"\x01"))


def _hmac(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    return hmac_sha256(hmac_key(bytes(key)), data, 0, len(data))
