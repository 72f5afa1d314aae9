"""Bundles: one way to write each, and everything else refused with a sentence."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_bundle.bundle import BUNDLE_MAX, Bundle
from racklet_bundle.errors import BundleError
from racklet_bundle.lms_tree import LmsTree
from racklet_bundle.manifest import SIZE_MAX, BundledFile, Manifest

TREE = LmsTree(5, 3, bytes(16), bytes(32))
CONTENTS = {"main.mpy": b"main", "racklet_hat/app.mpy": bytes(2000), "racklet_hat/empty.mpy": b""}


def manifest_of(contents: dict[str, bytes], **changes: object) -> Manifest:
    values: dict[str, object] = {
        "version": "1.2.3",
        "security_version": 7,
        "boards": ("hat-a",),
        "protocol": (1, 1),
        "mpy": 4870,
        "files": tuple(BundledFile.of(name, content) for name, content in contents.items()),
    }
    return Manifest(**(values | changes))  # type: ignore[arg-type]


def signed(contents: dict[str, bytes]) -> Bundle:
    manifest = manifest_of(contents)
    return Bundle(manifest, tuple(contents.values()), TREE.identity + TREE.sign(0, bytes(32), manifest.encode()))


ARCHIVE = signed(CONTENTS).encode()


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for about, content in members:
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return file.getvalue()


names = st.from_regex(r"(racklet_hat/)?[a-z_][a-z0-9_]{0,9}\.mpy", fullmatch=True)


@settings(deadline=None)  # a busy computer is no failure
@given(st.dictionaries(names, st.binary(max_size=300), min_size=1, max_size=8))
def test_what_is_written_is_read_again(contents: dict[str, bytes]) -> None:
    bundle = signed(contents)
    assert Bundle.decode(bundle.encode()) == bundle
    assert bundle.encode() == bundle.encode()


def test_a_bundle_is_signed_by_one_key() -> None:
    bundle = Bundle.decode(ARCHIVE)
    assert bundle.is_signed_by(TREE.public_key)
    assert not bundle.is_signed_by(LmsTree(5, 3, bytes(16), b"\1" * 32).public_key)


def test_an_ordinary_tar_lists_a_bundle() -> None:
    with tarfile.open(fileobj=io.BytesIO(ARCHIVE)) as tar:
        assert tar.getnames() == ["manifest.json", "manifest.sig", *CONTENTS]


@settings(deadline=None)  # a busy computer is no failure
@given(st.integers(0, 8 * len(ARCHIVE) - 1))
def test_a_flipped_bit_is_refused_or_breaks_the_signature(bit: int) -> None:
    damaged = bytearray(ARCHIVE)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    try:
        bundle = Bundle.decode(bytes(damaged))
    except BundleError:
        return
    assert not bundle.is_signed_by(TREE.public_key)


@settings(deadline=None)  # a busy computer is no failure
@given(st.integers(0, len(ARCHIVE) - 1))
def test_a_truncated_bundle_is_refused(length: int) -> None:
    with pytest.raises(BundleError):
        Bundle.decode(ARCHIVE[:length])


@settings(deadline=None)  # a busy computer is no failure
@given(st.binary(max_size=2000))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(BundleError):
        Bundle.decode(garbage)


@settings(deadline=None)  # a busy computer is no failure
@given(st.data())
def test_bytes_put_anywhere_are_refused_or_break_the_signature(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(ARCHIVE)))
    put = data.draw(st.binary(min_size=1, max_size=600))
    try:
        bundle = Bundle.decode(ARCHIVE[:at] + put + ARCHIVE[at:])
    except BundleError:
        return
    assert not bundle.is_signed_by(TREE.public_key)


def test_more_than_a_bundle_may_have_is_refused() -> None:
    with pytest.raises(BundleError, match="at most"):
        Bundle.decode(bytes(BUNDLE_MAX + 1))


def test_a_link_in_the_archive_is_refused() -> None:
    link = tarfile.TarInfo("manifest.json")
    link.type, link.linkname = tarfile.SYMTYPE, "elsewhere"
    with pytest.raises(BundleError, match="no bundle does"):
        Bundle.decode(archive_of((link, b"")))


def test_a_file_that_the_manifest_does_not_name_is_refused() -> None:
    manifest = manifest_of({"main.mpy": b"x"}).encode()
    with pytest.raises(BundleError, match="not those that its manifest names"):
        Bundle.decode(archive_of((tarfile.TarInfo("manifest.json"), manifest), (tarfile.TarInfo("other.mpy"), b"x")))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": ""},
        {"version": "x" * 40},
        {"security_version": -1},
        {"security_version": 1 << 40},
        {"boards": ()},
        {"boards": ("HAT A",)},
        {"protocol": (2, 1)},
        {"files": ()},
        {"keys": (b"short",)},
    ],
)
def test_a_manifest_with_a_value_out_of_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        manifest_of(CONTENTS, **changes).encode()


@pytest.mark.parametrize("name", ["../x.mpy", "/x.mpy", "a/b/c.mpy", "x.txt", "", "a//b.mpy", "A.mpy", "x.mpy\0"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(BundleError):
        manifest_of({name: b""}).encode()


def test_files_that_are_too_large_together_are_refused() -> None:
    files = (BundledFile("a.mpy", SIZE_MAX, "0" * 64), BundledFile("b.mpy", 1, "0" * 64))
    with pytest.raises(BundleError, match="more than"):
        manifest_of({}, files=files).encode()


@pytest.mark.parametrize(
    "written",
    [b"", b"[]", b"{}", b"{" * 5000, manifest_of(CONTENTS).encode() + b" ", b'{"format":true}', b"\xff", b"1" * 9000],
)
def test_what_is_no_manifest_is_refused(written: bytes) -> None:
    with pytest.raises(BundleError):
        Manifest.decode(written)


def test_a_manifest_written_another_way_is_refused() -> None:
    with pytest.raises(BundleError, match="one way"):
        Manifest.decode(manifest_of(CONTENTS).encode().replace(b":7", b": 7"))


def test_a_manifest_that_names_a_key_twice_is_refused() -> None:
    with pytest.raises(BundleError, match="one way"):
        Manifest.decode(b'{"boot":1,' + manifest_of(CONTENTS).encode()[1:])


@settings(deadline=None)  # a busy computer is no failure
@given(
    st.sampled_from(["boards", "files", "protocol", "keys", "version", "mpy", "format"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
    ),
)
def test_any_value_of_a_key_is_refused_or_written_again_as_it_was(key: str, value: object) -> None:
    content = json.loads(manifest_of(CONTENTS).encode()) | {key: value}
    written = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    try:
        manifest = Manifest.decode(written)
    except BundleError:
        return
    assert manifest.encode() == written
