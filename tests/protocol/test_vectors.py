"""The golden vectors: bytes of every message of every version. If one fails, the code is wrong."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING

import pytest
from google.protobuf import json_format

from racklet.link.v1 import link_pb2
from racklet_link.framing import FrameDecoder
from racklet_link.host import HostLink
from racklet_link.limits import PROTOCOL_MAX, SEAL_SIZE
from racklet_link.seal import Seal
from tests.conftest import ROOT
from tests.protocol.hat_messages import payloads_in

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ROOT / "protocol" / "vectors"
VECTORS = [
    pytest.param(vector, id=f"{path.parent.name}: {vector['name']}")
    for path in sorted(FOLDER.glob("v*/frames.json"))
    for vector in json.loads(path.read_text())
]

HANDSHAKES = json.loads((FOLDER / "v2" / "handshakes.json").read_text())


@pytest.mark.parametrize("vector", VECTORS)
def test_protobuf_writes_and_reads_the_payload(vector: dict[str, object]) -> None:
    frame = json_format.ParseDict(vector["message"], link_pb2.Frame())
    payload = bytes.fromhex(vector["payload"])
    assert link_pb2.Frame.FromString(payload) == frame
    seal = payload[-SEAL_SIZE:] if frame.seal else b""  # which stands behind all, whatever its number
    frame.ClearField("seal")
    assert frame.SerializeToString(deterministic=True) + seal == payload


@pytest.mark.parametrize("vector", VECTORS)
def test_hostds_end_writes_the_frame(vector: dict[str, object]) -> None:
    link = HostLink(1, 1000, 0, {}.get, bytes)
    link.take_output()
    payload = bytes.fromhex(vector["payload"])
    seal = talk_seal(vector)
    link._say(link_pb2.Frame.FromString(payload[:-SEAL_SIZE] if seal else payload), seal)
    assert link.take_output() == bytes.fromhex(vector["frame"])


@pytest.mark.parametrize("vector", VECTORS)
def test_the_decoder_finds_the_payload_in_the_frame(vector: dict[str, object]) -> None:
    decoder = FrameDecoder()
    assert payloads_in(decoder, bytes.fromhex(vector["frame"])) == [bytes.fromhex(vector["payload"])]
    assert decoder.bad_frames == 0


@pytest.mark.parametrize("vector", VECTORS)
def test_the_hats_end_writes_the_frame(ask: Callable[..., str], vector: dict[str, object]) -> None:
    payload = bytes.fromhex(vector["payload"])
    about = vector.get("seal")
    bare = (payload[:-SEAL_SIZE] if about else payload).hex()
    assert ask("repack", "FRAME", bare) == bare
    body = next(iter(vector["message"]))
    field = link_pb2.Frame.DESCRIPTOR.fields_by_camelcase_name[body]
    if field.name not in {"request", "update_data"}:  # a HAT reads these only
        key = (about["talk_key"], about["number"]) if about else ()
        assert ask("frame", field.message_type.name, field.number, bare, *key) == vector["frame"]


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if "seal" in vector.values[0]])
def test_either_end_opens_the_seal_once(ask: Callable[..., str], vector: dict[str, object]) -> None:
    about = vector["seal"]
    assert ask("opens", about["talk_key"], about["number"] - 1, vector["payload"]) == f"1 {about['number']}"
    assert ask("opens", about["talk_key"], about["number"], vector["payload"]) == f"0 {about['number']}"


@pytest.mark.parametrize("handshake", HANDSHAKES)
def test_the_keys_of_a_talk_are_made_of_the_key_and_both_nonces(
    ask: Callable[..., str], handshake: dict[str, str]
) -> None:
    """HKDF by the RFC's words, with another library's HMAC."""
    salt = bytes.fromhex(handshake["host_nonce"] + handshake["hat_nonce"])
    secret = hmac.digest(salt, bytes.fromhex(handshake["key"]), "sha256")
    hat_id = bytes.fromhex(handshake["hat_id"])
    for who, label in (("host", b"racklet link 2 hostd"), ("hat", b"racklet link 2 HAT")):
        assert hmac.digest(secret, label + hat_id + b"\1", "sha256").hex() == handshake[f"{who}_talk_key"]
    agreed = b"racklet key" + bytes.fromhex(handshake["adopt_nonce"]) + hat_id
    assert hmac.digest(bytes.fromhex(handshake["secret"]), agreed, "sha256").hex() == handshake["key"]
    names = ("key", "host_nonce", "hat_nonce", "hat_id")
    host, hat, _ = ask("talk", *(handshake[name] for name in names)).split()
    assert ask("opens", handshake["host_talk_key"], 0, host) == "1 1"
    assert ask("opens", handshake["hat_talk_key"], 0, hat) == "1 1"
    assert (
        ask("talk", handshake["secret"], handshake["adopt_nonce"], "-", handshake["hat_id"]).split()[2]
        == (handshake["key"])
    )


def test_there_are_vectors_of_every_message_and_version() -> None:
    versions = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert versions == {f"v{version}" for version in range(1, PROTOCOL_MAX + 1)}
    for version in versions:
        bodies = {next(iter(v["message"])) for v in json.loads((FOLDER / version / "frames.json").read_text())}
        fields = link_pb2.Frame.DESCRIPTOR.oneofs_by_name["body"].fields
        is_old = version == "v1"
        assert bodies == {field.camelcase_name for field in fields if field.number not in {13, 14} or not is_old}


def talk_seal(vector: dict[str, object]) -> Seal | None:
    """Return the seal that is to make the one of a vector; None when it has none."""
    if "seal" not in vector:
        return None
    seal = Seal(bytes.fromhex(vector["seal"]["talk_key"]))
    seal.number = vector["seal"]["number"] - 1
    return seal
