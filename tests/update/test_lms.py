"""LMS against the RFC's own vectors, and against everything that is nearly a signature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_boot import lms
from racklet_bundle.lms_tree import LmsTree

VECTORS = json.loads((Path(__file__).parent / "rfc8554.json").read_text())
MESSAGE = b"firmware"
TREE = LmsTree(5, 3, bytes(range(16)), bytes(range(32)))
SIGNATURE = TREE.sign(7, b"c" * 32, MESSAGE)


def lms_parts(case: dict[str, str]) -> list[tuple[bytes, bytes, bytes]]:
    """Return the LMS signatures in an HSS signature of two levels, each as key, message and signature."""
    key, signature = bytes.fromhex(case["public_key"])[4:], bytes.fromhex(case["signature"])[4:]
    size = lms.signature_bytes(lms.number_at(key, 0), lms.number_at(key, 4))
    second_key = signature[size : size + lms.KEY_BYTES]
    return [
        (key, second_key, signature[:size]),
        (second_key, bytes.fromhex(case["message"]), signature[size + lms.KEY_BYTES :]),
    ]


PARTS = [part for case in VECTORS["cases"] for part in lms_parts(case)]


@pytest.mark.parametrize("part", PARTS)
def test_the_signatures_of_the_rfc_hold(part: tuple[bytes, bytes, bytes]) -> None:
    assert lms.verify(*part)


@pytest.mark.parametrize("part", PARTS)
def test_a_signature_of_the_rfc_does_not_hold_for_another_message(part: tuple[bytes, bytes, bytes]) -> None:
    key, message, signature = part
    assert not lms.verify(key, message + b"\0", signature)


def test_the_key_of_the_rfc_grows_from_its_seed() -> None:
    wanted = VECTORS["key_generation"]
    public_key = bytes.fromhex(wanted["public_key"])
    tree = LmsTree(5, 4, public_key[8:24], bytes.fromhex(wanted["seed"]))
    assert tree.public_key == public_key


@pytest.mark.parametrize("ots_type", [1, 2, 3, 4])
def test_every_width_signs_what_verifies(ots_type: int) -> None:
    tree = LmsTree(5, ots_type, bytes(16), bytes(32))
    assert lms.verify(tree.public_key, MESSAGE, tree.sign(31, bytes(32), MESSAGE))


def test_every_leaf_signs_what_verifies() -> None:
    for leaf in range(TREE.leaves):
        assert lms.verify(TREE.public_key, MESSAGE, TREE.sign(leaf, bytes(32), MESSAGE))


@settings(deadline=None)  # a busy computer is no failure
@given(st.integers(0, 8 * len(SIGNATURE) - 1))
def test_a_signature_with_one_bit_flipped_does_not_hold(bit: int) -> None:
    damaged = bytearray(SIGNATURE)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    assert not lms.verify(TREE.public_key, MESSAGE, bytes(damaged))


@settings(deadline=None)  # a busy computer is no failure
@given(st.integers(0, 8 * lms.KEY_BYTES - 1))
def test_a_key_with_one_bit_flipped_verifies_nothing(bit: int) -> None:
    damaged = bytearray(TREE.public_key)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    assert not lms.verify(bytes(damaged), MESSAGE, SIGNATURE)


@settings(deadline=None)  # a busy computer is no failure
@given(st.integers(0, len(SIGNATURE) - 1))
def test_a_truncated_signature_does_not_hold(length: int) -> None:
    assert not lms.verify(TREE.public_key, MESSAGE, SIGNATURE[:length])


@settings(deadline=None)  # a busy computer is no failure
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=3000))
def test_garbage_is_no_signature(key: bytes, message: bytes, signature: bytes) -> None:
    assert not lms.verify(key, message, signature)


@pytest.mark.parametrize("at", [3, 7])
def test_a_key_of_an_unknown_type_is_malformed(at: int) -> None:
    key = bytearray(TREE.public_key)
    key[at] = 99
    with pytest.raises(lms.MalformedError):
        lms.Verification(bytes(key), MESSAGE, SIGNATURE)


@pytest.mark.parametrize("change", [lms.KEY_BYTES - 1, lms.KEY_BYTES + 1])
def test_a_key_of_another_length_is_malformed(change: int) -> None:
    with pytest.raises(lms.MalformedError):
        lms.Verification((TREE.public_key + b"x")[:change], MESSAGE, SIGNATURE)


def test_what_is_no_signature_at_all_does_not_hold() -> None:
    assert not lms.verify(TREE.public_key, MESSAGE, b"")


def test_a_leaf_beyond_the_tree_is_malformed() -> None:
    with pytest.raises(lms.MalformedError):
        lms.Verification(TREE.public_key, MESSAGE, (32).to_bytes(4, "big") + SIGNATURE[4:])


def test_the_work_is_done_in_steps_of_one_chain() -> None:
    verification = lms.Verification(TREE.public_key, MESSAGE, SIGNATURE)
    assert [verification.step() for _ in range(68)] == [False] * 67 + [True]
    assert verification.is_valid
