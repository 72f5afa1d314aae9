"""Whatever stands in a config or a segment file: an answer, and no more memory than the file is worth."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from racklet_hostd.config_loading import load_config
from racklet_hostd.errors import ConfigError
from racklet_hostd.store import BootCause, Chunk, GapPiece, Store, StoreLimits
from tests.conftest import ROOT

CORPUS = Path(__file__).parent / "fuzz"  # what was found, and what is near the edges: append only
EXAMPLE = (ROOT / "docs" / "racklet.toml").read_bytes()
LINES = EXAMPLE.splitlines(keepends=True)
MEMORY_BYTES = 8 << 20

PLAIN = (b"1", b"-1", b"1e400", b"nan", b'""', b"[]", b"{}", b"true", b"1979-05-27", b"9999999999999999999")
ODD = (b'"../../x"', b"'\\u0000'", b"[[[[1]]]]", b"[1, 'x', {}]", b'"' + b"x" * 5000 + b'"')
VALUES = tuple(b"= " + value + b"\n" for value in (*PLAIN, *ODD))
values = st.sampled_from(VALUES)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """The example with lines lost, doubled, moved, given another value, or with bytes put in."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[at].partition(b"=")
        worse = draw(st.sampled_from(["lose", "double", "move", "value", "bytes"]))
        if worse == "lose" and len(lines) > 1:
            del lines[at]
        elif worse == "double":
            lines.insert(at, lines[at])
        elif worse == "move":
            lines.append(lines[at])
        elif worse == "value" and equals:
            lines[at] = key + draw(values)
        else:
            cut = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:cut] + draw(st.binary(max_size=8)) + lines[at][cut:]
    return b"".join(lines)


def answer_to(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "racklet.toml")
        path.write_bytes(text)
        told = "racklet.toml"
        tracemalloc.start()
        try:
            load_config(path)
        except ConfigError as error:
            told = str(error)
        finally:
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert "racklet.toml" in told
        assert most < MEMORY_BYTES + 40 * len(text)


@given(text=spoilt() | st.binary(max_size=400))
@example(b"a = " + b"[" * 200)
@example(b"[[node]]\n" * 300)
@example(b"node = [" + b"{}," * 300 + b"]")
@example(b"\xff\xfe")
@example(b"[rack]\nports = ['" + b"*" * 4000 + b"']\n")
@settings(max_examples=80, deadline=None)
def test_any_config_is_taken_or_refused_with_its_lines(text: bytes) -> None:
    answer_to(text)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("config-*")), ids=lambda path: path.name)
def test_the_configs_that_were_kept_are_still_answered(path: Path) -> None:
    answer_to(path.read_bytes())


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, int, bytes]]:
    kinds = st.sampled_from(["flip", "cut", "put", "grow"])
    return draw(
        st.lists(st.tuples(kinds, st.integers(0, 1 << 16), st.binary(min_size=1, max_size=40)), min_size=1, max_size=8)
    )


def damaged(data: bytes, hits: list[tuple[str, int, bytes]]) -> bytes:
    buf = bytearray(data)
    for kind, place, filler in hits:
        at = place % max(1, len(buf))
        if kind == "flip" and buf:
            buf[at] ^= 1 << filler[0] % 8
        elif kind == "cut":
            del buf[at:]
        elif kind == "put":
            buf[at : at + len(filler)] = filler
        else:
            buf += filler
    return bytes(buf)


@given(hits=damage(), whole=st.binary(max_size=300) | st.none())
@example(hits=[("cut", 0, b"x")], whole=None)
@example(hits=[("put", 0, b"\xff" * 40)], whole=None)
@example(hits=[("put", 0, b"\x00" * 40)], whole=None)
@example(hits=[("grow", 0, b"\xff" * 40)], whole=b"")
@settings(max_examples=40, deadline=None)
def test_a_damaged_segment_is_served_as_a_gap_and_what_is_sound_as_it_was(
    hits: list[tuple[str, int, bytes]], whole: bytes | None
) -> None:
    said = b"".join(b"[%5d] a line of the boot log\r\n" % number for number in range(400))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store.open(folder, StoreLimits())
        node = store.node("node-1")
        node.attach(1, b"hat", boot_continues=False)
        log = node.begin_boot(1, 1000, cause=BootCause.SUPPLY_ON, lost_boots=0)
        for offset in range(0, len(said), 440):
            log.append(offset, 1000 + offset, said[offset : offset + 440])
        store.close()
        for path in (folder / "logs").rglob("*"):
            if path.is_file() and path.stat().st_size:
                path.write_bytes(damaged(path.read_bytes(), hits) if whole is None else whole)
        again = Store.open(folder, StoreLimits())
        try:
            newest = again.node("node-1").newest
            assert newest is not None
            offset = 0
            while pieces := newest.read(offset, 4096):
                for piece in pieces:
                    assert piece.offset >= offset or isinstance(piece, GapPiece)
                    if isinstance(piece, Chunk):
                        assert said[piece.offset : piece.end] == piece.data
                assert pieces[-1].end > offset
                offset = pieces[-1].end
            assert offset == len(said)
        finally:
            again.close()
