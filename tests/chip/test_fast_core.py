"""The fast core does what rp2040js's own does, cycle for cycle."""

from __future__ import annotations

import pytest

from racklet_emulator.hat import EmulatedHat
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots


@pytest.mark.timeout(120)
def test_the_start_of_the_firmware_ends_in_the_same_memory_with_either_core(
    image: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = []
    for use_fast_core in (True, False):
        hardware = HatHardware(NodeProfile("node-1"), SentBoots(tmp_path_factory.mktemp("sent")), seed=1)
        with EmulatedHat(image, hardware, use_fast_core=use_fast_core) as hat:
            hat.run_ms(700)  # Hello was said, the tasks run
            found.append((hat.chip.digest, hat.chip.cycles, hat.edges, hat.read()))
    assert found[0] == found[1]
    assert b"hat-a" in found[0][3]
