"""How many files hostd may have open, in processes whose limits may be changed."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from racklet_hostd.open_files import SPARE_FILES

CODE = """
import logging, resource, sys
soft, hard, ports = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logging.basicConfig(format="%(message)s %(allowed)s %(wanted)s", stream=sys.stdout)
from racklet_hostd.open_files import allow_open_files
allow_open_files(ports)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
HARD = 1500


def allowed(soft: int, ports: int) -> list[str]:
    """Return what a process says that is to open so many ports."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < HARD:
        pytest.skip("this process may not open so many files")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(soft), str(HARD), str(ports)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_limit_is_raised_to_what_the_ports_take() -> None:
    assert allowed(256, 500) == [str(500 + SPARE_FILES)]


def test_a_limit_that_suffices_stays() -> None:
    assert allowed(1200, 500) == ["1200"]


def test_a_hard_limit_that_does_not_suffice_is_warned_of() -> None:
    warning, limit = allowed(256, 1000)
    assert warning == f"too few open files are allowed, so some ports may not open {HARD} {1000 + SPARE_FILES}"
    assert limit == str(HARD)
