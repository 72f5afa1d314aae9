"""How hostd comes to know whom it talks to."""

from __future__ import annotations

from racklet.link.v1 import link_pb2
from racklet_link.handshake import ADOPT_EVERY_MS, Handshake
from racklet_link.seal import agreed_key, talk_seals
from tests.protocol.hat_messages import frame_of
from tests.protocol.seals import HAT_ID, HAT_NONCE, KEY, with_seal

HELLO = link_pb2.Hello(hat_id=HAT_ID, nonce=HAT_NONCE)


class Dice:
    """Random bytes that are never the same."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return bytes([self.count]) * size


def handshake() -> Handshake:
    return Handshake({HAT_ID: KEY}.get, Dice())


def proof(nonce: bytes, hello: link_pb2.Hello = HELLO, key: bytes = KEY) -> bytes:
    """Return the payload by which a HAT proves to have the key."""
    _, seal = talk_seals(key, nonce, hello.nonce, hello.hat_id)
    return with_seal(frame_of(hello).SerializeToString(), seal)


def test_a_hello_that_answers_the_knock_with_the_key_is_proved_once() -> None:
    ours = handshake()
    payload = proof(ours.nonce)
    assert ours.is_proved(HELLO, payload)
    assert ours.host_seal is not None
    assert ours.hat_seal is not None
    assert ours.hat_seal.number == 1
    assert not ours.is_proved(HELLO, payload)


def test_another_key_nonce_or_id_proves_nothing() -> None:
    ours = handshake()
    stranger = link_pb2.Hello(hat_id=b"stranger", nonce=HAT_NONCE)
    short = link_pb2.Hello(hat_id=HAT_ID, nonce=b"short")
    assert not ours.is_proved(HELLO, proof(ours.nonce, key=bytes(32)))
    assert not ours.is_proved(HELLO, proof(bytes(16)))
    assert not ours.is_proved(stranger, proof(ours.nonce, stranger))
    assert not ours.is_proved(short, proof(ours.nonce, short))
    assert ours.hat_seal is None


def test_the_seals_of_a_talk_stay_until_there_are_others() -> None:
    ours = handshake()
    assert ours.is_proved(HELLO, proof(ours.nonce))
    assert not ours.is_proved(HELLO, b"no proof at all")
    assert ours.hat_seal is not None
    ours.drop_seals()
    assert ours.hat_seal is None
    assert ours.host_seal is None


def test_it_knows_the_hats_that_have_a_key() -> None:
    assert handshake().knows(HELLO)
    assert not handshake().knows(link_pb2.Hello(hat_id=b"stranger"))


def test_adopt_is_due_at_once_and_then_at_times_until_the_hats_part_comes() -> None:
    ours = handshake()
    assert not ours.is_adopt_due(10)
    ours.adopt(HAT_ID, 10)
    nonce = ours.adopting
    assert ours.is_adopt_due(10)
    assert not ours.is_adopt_due(9 + ADOPT_EVERY_MS)
    assert ours.is_adopt_due(10 + ADOPT_EVERY_MS)
    assert ours.take_part(b"short") is None
    assert ours.take_part(b"s" * 32) == (HAT_ID, agreed_key(b"s" * 32, nonce, HAT_ID))
    assert ours.take_part(b"s" * 32) is None
    assert not ours.is_adopt_due(9999)


def test_a_nonce_that_is_not_fit_is_drawn_again_for_a_while() -> None:
    assert Handshake({}.get, Dice(), lambda nonce: nonce[0] > 2).nonce == b"\3" * 16
    assert Handshake({}.get, Dice(), lambda _: False).nonce == b"\x15" * 16
