"""The golden vectors: bytes of every message of every version. If one fails, the code is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from google.protobuf import json_format

from racklet.link.v1 import link_pb2
from racklet_link.framing import FrameDecoder
from racklet_link.host import HostLink
from racklet_link.limits import PROTOCOL_MAX, PROTOCOL_MIN
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ROOT / "protocol" / "vectors"
VECTORS = [
    pytest.param(vector, id=f"{path.parent.name}: {vector['name']}")
    for path in sorted(FOLDER.glob("v*/frames.json"))
    for vector in json.loads(path.read_text())
]


@pytest.mark.parametrize("vector", VECTORS)
def test_protobuf_writes_and_reads_the_payload(vector: dict[str, object]) -> None:
    frame = json_format.ParseDict(vector["message"], link_pb2.Frame())
    payload = bytes.fromhex(vector["payload"])
    assert frame.SerializeToString(deterministic=True) == payload
    assert link_pb2.Frame.FromString(payload) == frame


@pytest.mark.parametrize("vector", VECTORS)
def test_hostds_end_writes_the_frame(vector: dict[str, object]) -> None:
    link = HostLink(1, 1000, 0)
    link.take_output()
    link._say(link_pb2.Frame.FromString(bytes.fromhex(vector["payload"])))
    assert link.take_output() == bytes.fromhex(vector["frame"])


@pytest.mark.parametrize("vector", VECTORS)
def test_the_decoder_finds_the_payload_in_the_frame(vector: dict[str, object]) -> None:
    found: list[bytes] = []
    decoder = FrameDecoder(lambda buf, end: found.append(bytes(buf[:end])))
    wire = bytes.fromhex(vector["frame"])
    decoder.feed(wire, len(wire))
    assert found == [bytes.fromhex(vector["payload"])]
    assert decoder.bad_frames == 0


@pytest.mark.parametrize("vector", VECTORS)
def test_the_hats_end_seals_the_frame(ask: Callable[..., str], vector: dict[str, object]) -> None:
    assert ask("repack", "FRAME", vector["payload"]) == vector["payload"]
    body = next(iter(vector["message"]))
    field = link_pb2.Frame.DESCRIPTOR.fields_by_camelcase_name[body]
    if field.name not in {"request", "update_data"}:  # a HAT reads these only
        assert ask("seal", field.message_type.name, field.number, vector["payload"]) == vector["frame"]


def test_there_are_vectors_of_every_message_and_version() -> None:
    versions = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert versions == {f"v{version}" for version in range(PROTOCOL_MIN, PROTOCOL_MAX + 1)}
    for version in versions:
        bodies = {next(iter(v["message"])) for v in json.loads((FOLDER / version / "frames.json").read_text())}
        assert bodies == {field.camelcase_name for field in link_pb2.Frame.DESCRIPTOR.fields}
