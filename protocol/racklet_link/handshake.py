"""hostd's part of knowing whom it talks to: nonces, proofs, and the key that is agreed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from racklet_link.limits import KEY_SIZE, NONCE_SIZE
from racklet_link.seal import Seal, agreed_key, talk_seals

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet.link.v1 import link_pb2

ADOPT_EVERY_MS: Final = 300
_NONCES_TRIED: Final = 20


class Handshake:
    """The seals of one link, and how it comes to them.

    Attributes:
        nonce: what a Hello has to answer; new for every talk.
        host_seal: of what we say in the talk; None while the HAT has not proved itself.
        hat_seal: of what the HAT says.
        unproven: Hellos of a HAT with a key that did not prove it, since the last that did.
        adopting: our part of the key while we want to agree on one, else empty.
    """

    def __init__(
        self,
        key_of: Callable[[bytes], bytes | None],
        random: Callable[[int], bytes],
        is_fit: Callable[[bytes], bool] = bool,
    ) -> None:
        self._key_of = key_of
        self._random = random
        self._is_fit = is_fit
        self.nonce = self._new_nonce()
        self.host_seal: Seal | None = None
        self.hat_seal: Seal | None = None
        self.unproven = 0
        self.adopting = b""
        self._adopting_id = b""
        self._adopt_ms = 0

    def knows(self, hello: link_pb2.Hello) -> bool:
        """Tell whether we hold the key of who says Hello."""
        return self._key_of(hello.hat_id) is not None

    def is_proved(self, hello: link_pb2.Hello, payload: bytes) -> bool:
        """Tell whether the frame of a Hello answers our Knock with the key; if so, the talk's seals are there."""
        key = self._key_of(hello.hat_id)
        if key is None or len(hello.nonce) != NONCE_SIZE:
            return False
        host_seal, hat_seal = talk_seals(key, self.nonce, hello.nonce, hello.hat_id)
        if not hat_seal.opens(payload, len(payload)):
            return False
        self.host_seal, self.hat_seal = host_seal, hat_seal
        self.nonce = self._new_nonce()
        self.unproven = 0
        return True

    def _new_nonce(self) -> bytes:
        """Return a nonce that is fit; most are, and one in 2**40 cases none is found."""
        nonce = self._random(NONCE_SIZE)
        for _ in range(_NONCES_TRIED):
            if self._is_fit(nonce):
                break
            nonce = self._random(NONCE_SIZE)
        return nonce

    def drop_seals(self) -> None:
        """Talk to somebody without a key."""
        self.host_seal = self.hat_seal = None

    def adopt(self, hat_id: bytes, now_ms: int) -> None:
        """Begin to agree on a key with a HAT."""
        self.adopting, self._adopting_id, self._adopt_ms = self._random(KEY_SIZE), hat_id, now_ms

    def is_adopt_due(self, now_ms: int) -> bool:
        """Tell whether to say Adopt now; if so, the next time is later."""
        if not self.adopting or now_ms < self._adopt_ms:
            return False
        self._adopt_ms = now_ms + ADOPT_EVERY_MS
        return True

    def take_part(self, secret: bytes) -> tuple[bytes, bytes] | None:
        """Take the HAT's part of the key; return its id and the key, None when nothing is to be agreed on."""
        if not self.adopting or len(secret) != KEY_SIZE:
            return None
        key = agreed_key(secret, self.adopting, self._adopting_id)
        self.adopting = b""
        return self._adopting_id, key
