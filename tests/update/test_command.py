"""`racklet firmware keygen`, `sign` and `inspect` as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from racklet_bundle.bundle import Bundle
from racklet_bundle.manifest import BundledFile, Manifest

CONTENTS = {"racklet_hat/app.mpy": b"code"}
MANIFEST = Manifest(
    version="1.2.3",
    security_version=4,
    boards=("hat-a",),
    protocol=(1, 2),
    mpy=4870,
    files=tuple(BundledFile.of(name, content) for name, content in CONTENTS.items()),
)


def racklet(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "racklet"), "firmware", *words],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_bundle_is_signed_looked_at_and_not_signed_twice(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(Bundle(MANIFEST, tuple(CONTENTS.values())).encode())
    assert racklet(tmp_path, "keygen", "--height", "5", "k")[0] == 0
    code, output, errors = racklet(tmp_path, "sign", "--key", "k", "b")
    assert (code, "good for 31 more" in output) == (0, True), errors
    code, output, _ = racklet(tmp_path, "inspect", "--json", "--key", "k.pub", "b")
    told = json.loads(output)
    assert (code, told["verifies"], told["version"], told["security_version"]) == (0, True, "1.2.3", 4)
    code, _, errors = racklet(tmp_path, "sign", "--key", "k", "b")
    assert (code, "signed with this key already" in errors) == (1, True)
    assert racklet(tmp_path, "keygen", "--height", "5", "k")[0] == 1
    assert racklet(tmp_path, "keygen", "--height", "5", "other")[0] == 0
    code, output, _ = racklet(tmp_path, "inspect", "--key", "other.pub", "b")
    assert (code, "DOES NOT VERIFY" in output) == (1, True)


def test_what_is_no_bundle_and_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing")
    code, _, errors = racklet(tmp_path, "inspect", "x")
    assert (code, "no bundle of Racklet's firmware" in errors) == (1, True)
    (tmp_path / "b").write_bytes(Bundle(MANIFEST, tuple(CONTENTS.values())).encode())
    code, _, errors = racklet(tmp_path, "sign", "--key", "none", "b")
    assert (code, "No such file" in errors) == (1, True)
    code, _, errors = racklet(tmp_path, "inspect", "--key", "x", "b")
    assert (code, "no public key" in errors) == (1, True)
