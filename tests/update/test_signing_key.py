"""Key files: no leaf ever signs twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from racklet_boot import lms
from racklet_bundle import signing_key
from racklet_bundle.errors import SigningError

H5, W4 = 5, 3


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "update.key"
    signing_key.create_key(path, H5, W4)
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def test_copies_that_sign_at_once_share_no_leaf(key: Path, ledger: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.key"
    shutil.copy2(key, copy)

    def leaves(path: Path) -> list[int]:
        signed = []
        for _ in range(4):
            try:
                signed.append(leaf_of(signing_key.sign(path, ledger, b"")))
            except SigningError as error:
                assert "old copy" in str(error)  # noqa: PT017 - some sign, some are refused
        return signed

    with ThreadPoolExecutor(2) as pool:
        used = [leaf for signed in pool.map(leaves, (key, copy)) for leaf in signed]
    assert len(set(used)) == len(used) >= 4


def leaf_of(signature: bytes) -> int:
    return lms.number_at(signature, 0)


def test_signatures_hold_and_each_has_a_leaf_of_its_own(key: Path, ledger: Path) -> None:
    public_key = signing_key.read_key(key).public_key
    signatures = [signing_key.sign(key, ledger, b"message") for _ in range(3)]
    assert all(lms.verify(public_key, b"message", each) for each in signatures)
    assert [leaf_of(each) for each in signatures] == [0, 1, 2]


def test_only_the_owner_may_read_a_key(key: Path, ledger: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    signing_key.sign(key, ledger, b"")
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_may_read_is_refused(key: Path, ledger: Path) -> None:
    key.chmod(0o640)
    with pytest.raises(SigningError, match="chmod 600"):
        signing_key.sign(key, ledger, b"")


def test_a_key_is_never_overwritten(key: Path) -> None:
    before = key.read_bytes()
    with pytest.raises(SigningError, match="never overwritten"):
        signing_key.create_key(key, H5, W4)
    assert key.read_bytes() == before


def test_a_key_that_is_used_up_says_so(key: Path, ledger: Path) -> None:
    for _ in range(32):
        signing_key.sign(key, ledger, b"")
    with pytest.raises(SigningError, match="used up: all its 32 signatures"):
        signing_key.sign(key, ledger, b"")


def test_an_old_copy_of_a_key_is_refused_here(key: Path, ledger: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup.key"
    shutil.copy2(key, copy)
    signing_key.sign(key, ledger, b"")
    with pytest.raises(SigningError, match="old copy"):
        signing_key.sign(copy, ledger, b"")


def test_nothing_is_signed_when_the_ledger_is_damaged(key: Path, ledger: Path) -> None:
    signing_key.sign(key, ledger, b"")
    [known] = ledger.iterdir()
    known.write_bytes(b"what?")
    with pytest.raises(SigningError, match="damaged"):
        signing_key.sign(key, ledger, b"")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"kind": 5}', b"x" * 9000])
def test_a_file_that_is_no_key_is_refused(key: Path, ledger: Path, content: bytes) -> None:
    key.write_bytes(content)
    with pytest.raises(SigningError, match="no signing key"):
        signing_key.sign(key, ledger, b"")


def test_a_key_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="No such file"):
        signing_key.read_key(tmp_path / "none")


def test_those_who_sign_at_once_get_leaves_of_their_own(key: Path, ledger: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        signatures = list(pool.map(lambda _: signing_key.sign(key, ledger, b""), range(16)))
    assert sorted(map(leaf_of, signatures)) == list(range(16))


KILLED_WHILE_SIGNING = """
import os, signal, sys
from pathlib import Path
from racklet_bundle import lms_tree, signing_key
place = int(sys.argv[3])
def die_at(number):
    if number == place:
        os.kill(os.getpid(), signal.SIGKILL)
def dying(function, before, after):
    def called(*arguments):
        die_at(before)
        result = function(*arguments)
        die_at(after)
        return result
    return called
signing_key._write_durably = dying(signing_key._write_durably, 0, 1)
signing_key._replace_durably = dying(signing_key._replace_durably, 2, 3)
signing_key._note = dying(signing_key._note, 4, 5)
signed = lms_tree.LmsTree.sign
def sign(*arguments):
    signature = signed(*arguments)
    sys.stdout.write(str(arguments[1]))
    sys.stdout.flush()
    die_at(6)
    return signature
lms_tree.LmsTree.sign = sign
signing_key.sign(Path(sys.argv[1]), Path(sys.argv[2]), b"")
"""


def test_a_crash_anywhere_loses_at_most_a_leaf(key: Path, ledger: Path) -> None:
    """What signed before the crash is told on stdout: the next signature is by another leaf."""
    used = []
    for place in range(7):
        died = subprocess.run(
            [sys.executable, "-c", KILLED_WHILE_SIGNING, str(key), str(ledger), str(place)],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr
        used += [int(died.stdout)] if died.stdout else []
        used.append(leaf_of(signing_key.sign(key, ledger, b"")))
    assert len(used) == 8
    assert len(set(used)) == len(used)
