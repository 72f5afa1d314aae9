"""Updates over the link: the chip verifies signatures, and its file system lies in a flash whose power is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from racklet.link.v1 import link_pb2
from racklet_bundle.bundle import Bundle
from racklet_bundle.lms_tree import LmsTree
from racklet_bundle.manifest import BundledFile
from racklet_emulator.chip import Cut
from racklet_emulator.firmware_files import compile_module
from racklet_emulator.parts import find_parts
from tests.chip.conftest import MakeHat
from tools.chip_host import ChipHost
from tools.chip_update import UpdateRefusedError, bundle_for_chip, flashed_image, update
from tools.firmware_build import CHIP

TREE = LmsTree(5, 3, bytes(range(16)), bytes(32))
OTHER_TREE = LmsTree(5, 3, b"o" * 16, bytes(32))
SLOT_A, SLOT_B = 1, 2
HANGS = """
import time
def main(start):
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def flashed(image: bytes) -> bytes:
    """Return the flash of a HAT with version 1.0.0 in slot a. Depends on `image` to skip as that does."""
    assert image
    return flashed_image(find_parts(), bundle_for_chip("1.0.0", 1, TREE, 0), TREE.public_key)


def hat_that_is_on(make_hat: MakeHat, flash: bytes) -> ChipHost:
    host = ChipHost(make_hat(image=flash))
    hello = host.greet()
    assert (hello.firmware, hello.slot, hello.on_probation) == ("1.0.0", SLOT_A, False)
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    return host


@pytest.mark.timeout(240)
def test_an_update_goes_on_after_each_power_cut_and_every_start_is_from_a_slot_that_verifies(
    make_hat: MakeHat, flashed: bytes, figures: list[str]
) -> None:
    host = hat_that_is_on(make_hat, flashed)
    sending = [(60, Cut.TORN), (90, Cut.BEFORE)]
    finishing = [(2, Cut.TORN), (6, Cut.AFTER)]  # as the state is written that names the new slot, and as it is tried
    begun_ms = host.hat.now_ms
    course = update(host, bundle_for_chip("1.1.0", 2, TREE, 1), sending, finishing)
    took_s = (host.hat.now_ms - begun_ms) / 1000

    figures.append(
        f"an update over the link: {course.head_ms:,} ms to check its signature, {course.check_ms:,} ms to check all"
        f" that is written, {course.starts[-1].at_ms:,} ms from a start to Hello;"
        f" {took_s:.0f} s with {len(sending + finishing)} power cuts"
    )
    assert len(course.starts) > len(sending) + len(finishing)
    standings = {(start.firmware, start.slot, start.on_probation) for start in course.starts}
    assert standings <= {("1.0.0", SLOT_A, False), ("1.1.0", SLOT_B, True), ("1.1.0", SLOT_B, False)}
    host.hat.reset()
    hello = host.greet()
    assert (hello.firmware, hello.slot, hello.on_probation, hello.security_version) == ("1.1.0", SLOT_B, False, 2)
    supply = host.hat.hardware.supply
    assert (supply.latch_on, supply.switch_ons, host.hat.hardware.node.starts) == (True, 1, 1), "the supply moved"
    for bundle, reason in (
        (bundle_for_chip("1.0.1", 1, TREE, 2), "OLDER"),
        (bundle_for_chip("9.0.0", 9, OTHER_TREE, 0), "KEY"),
    ):
        with pytest.raises(UpdateRefusedError, match=f"UPDATE_REFUSAL_{reason}"):
            update(host, bundle)


def test_firmware_that_hangs_is_ended_by_the_watchdog_and_the_old_one_comes_back(
    make_hat: MakeHat, flashed: bytes, tmp_path: Path
) -> None:
    host = hat_that_is_on(make_hat, flashed)
    begun_ms = host.hat.now_ms
    course = update(host, hanging_bundle(tmp_path))
    [start] = course.starts
    assert host.hat.now_ms - begun_ms > 8_000
    assert (start.firmware, start.slot, start.on_probation, start.fell_back) == ("1.0.0", SLOT_A, False, True)
    assert host.hat.hardware.supply.latch_on
    assert host.hat.chip.resets == 2  # into the new one, and out of it


def hanging_bundle(folder: Path) -> Bundle:
    """Return a signed bundle that holds nothing but what hangs."""
    source, target = folder / "app.py", folder / "app.mpy"
    source.write_text(HANGS)
    compile_module(source, target, CHIP)
    whole = bundle_for_chip("1.1.0", 2, TREE, 3)
    names = [file.name for file in whole.manifest.files]
    package = "racklet_hat/__init__.mpy"
    contents = {package: whole.files[names.index(package)], "racklet_hat/app.mpy": target.read_bytes()}
    files = tuple(BundledFile.of(name, content) for name, content in contents.items())
    manifest = replace(whole.manifest, files=files)
    signature = TREE.identity + TREE.sign(4, bytes(32), manifest.encode())
    return Bundle(manifest, tuple(contents.values()), signature)
