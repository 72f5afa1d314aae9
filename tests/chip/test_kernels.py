"""The byte kernels as a HAT has them, in C, on the emulated chip: the tests of all their forms."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from racklet_emulator.firmware_files import CHIP, compile_module, compiled_firmware
from racklet_emulator.image import flash_image
from racklet_emulator.parts import EmulatorUnavailableError, find_parts
from tests.conftest import ROOT
from tests.protocol.conftest import child_questions
from tests.protocol.test_kernels import *  # noqa: F403 - its tests, with the `ask` below
from tests.protocol.test_kernels_log import (  # noqa: F401 - likewise
    test_a_record_stands_for_so_many_of_the_nodes_bytes,
    test_any_history_comes_to_the_same_in_every_form,
    test_it_does_so_in_a_ring_whose_size_takes_17_bits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chip.conftest import MakeHat

STALE = 1  # of tools/chip-kernels --check


@pytest.fixture(scope="module")
def ask(make_module_hat: MakeHat) -> Callable[..., str]:
    """Return what asks `tests/protocol/conformance.py` on a chip."""
    try:
        parts = find_parts()
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))
    files = compiled_firmware() | {"main.py": b"import conformance\n"}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("conformance", "log_script"):
            program = Path(folder, f"{name}.mpy")
            compile_module(ROOT / "tests/protocol" / f"{name}.py", program, CHIP)
            files[program.name] = program.read_bytes()
    hat = make_module_hat(image=flash_image(parts.micropython.read_bytes(), files))
    hat.run_ms(500)
    hat.read()

    def answer(*words: object) -> str:
        said = bytearray()

        def has_answered() -> bool:
            said.extend(hat.read())
            return said.endswith(b"\n")

        hat.write(" ".join(str(word) for word in words).encode() + b"\n")
        hat.run_until(has_answered, 2000)
        return said.decode().strip()

    for question in child_questions():
        assert answer(*question) == "ok"
    return answer


def test_the_compiled_kernels_are_what_their_sources_give() -> None:
    done = subprocess.run([ROOT / "tools/chip-kernels", "--check"], capture_output=True, text=True, check=False)
    if done.returncode not in {0, STALE}:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
