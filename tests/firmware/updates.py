"""Updates of a HAT whose file system is a folder, and bundles for them."""

from __future__ import annotations

from pathlib import Path

from racklet_boot import selector, slots
from racklet_bundle.bundle import Bundle
from racklet_bundle.lms_tree import LmsTree
from racklet_bundle.manifest import BundledFile, Manifest
from racklet_hat.update import Updater

TREE = LmsTree(5, 3, bytes(16), bytes(32))
OTHER_TREE = LmsTree(5, 3, b"o" * 16, bytes(32))
LEAVES = iter(range(32))
READY, REFUSED = 6, 7
PIECE = 448


def bundle_of(version: str, security_version: int = 1, tree: LmsTree = TREE, **changes: object) -> Bundle:
    """Return a signed bundle. The leaves are used again and again, which only a test may do."""
    contents = {"racklet_hat/app.mpy": version.encode() * 3000, "racklet_hat/a.mpy": b"", "racklet_link/b.mpy": b"b"}
    values: dict[str, object] = {
        "version": version,
        "security_version": security_version,
        "boards": ("hat-a",),
        "protocol": (1, 1),
        "mpy": 0,  # of CPython
        "files": tuple(BundledFile.of(name, content) for name, content in contents.items()),
    }
    manifest = Manifest(**(values | changes))  # type: ignore[arg-type]
    signature = tree.sign(3, bytes(32), manifest.encode())
    return Bundle(manifest, tuple(contents.values()), tree.identity + signature)


OLD, NEW = bundle_of("1"), bundle_of("2", 2)


def begin(updater: Updater, bundle: Bundle) -> int:
    manifest_bytes = len(bundle.manifest.encode())
    return updater.begin(manifest_bytes, len(bundle.signature), bundle.manifest.size, bundle.digest)


def send(updater: Updater, stream: bytes, until: int | None = None) -> None:
    """Bring the stream as the link does, up to an offset, and let the updater work."""
    for _ in range(3000):
        if updater.state in {READY, REFUSED} or updater.offset >= (len(stream) if until is None else until):
            break
        piece = bytearray(stream[updater.offset : updater.offset + PIECE])
        updater.take(updater.offset, piece, 0, len(piece))
        updater.turn()
    idle(updater)


def idle(updater: Updater) -> None:
    """Let the updater do all that it can do without more of the stream."""
    for _ in range(500):
        updater.turn()


def finish(updater: Updater) -> int:
    refusal = updater.finish()
    for _ in range(500):
        updater.turn()
    return refusal or updater.refusal


def update(started: selector.Start, bundle: Bundle) -> int:
    """Bring a whole update; return the refusal, or 0."""
    updater = Updater(started, 1)
    refusal = begin(updater, bundle)
    if not refusal:
        send(updater, bundle.stream)
        refusal = updater.refusal or finish(updater)
    return refusal


def confirmed(root: Path, bundle: Bundle) -> Path:
    """Return the folder as a HAT's with this firmware confirmed in slot a."""
    (root / "slots").mkdir()
    (root / "slots" / "keys").write_text(TREE.public_key.hex())
    (root / "slots" / "board").write_text("hat-a")
    flashed = selector.Start(slots.Slots(str(root)), "b", {}, False)
    assert update(flashed, bundle) == 0
    start = start_of(root)
    start.slots.confirm(start.slot, start.manifest)
    return root


def start_of(root: Path) -> selector.Start:
    start = selector.choose(str(root))
    assert start is not None
    return start
