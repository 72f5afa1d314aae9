"""The accounts as a person starts them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT, interpreter

ACCOUNT = (sys.executable, str(ROOT / "tools" / "account"))


@pytest.mark.timeout(120)
def test_seven_nodes_at_once_never_pass_the_limit_of_their_supply() -> None:
    interpreter("micropython")
    done = subprocess.run([*ACCOUNT, "power-budget"], capture_output=True, text=True, timeout=110, check=False)
    sys.stdout.write(done.stdout)  # for `pytest -s`
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("power_admitted") == 7
    assert done.stdout.count("power_queued") == 3
    assert done.stdout.count(" ok ") == 3
    assert done.stderr == ""


@pytest.mark.timeout(120)
def test_two_hats_that_are_swapped_while_they_run_keep_their_nodes_and_a_rogue_is_refused() -> None:
    interpreter("micropython")
    done = subprocess.run([*ACCOUNT, "swap"], capture_output=True, text=True, timeout=110, check=False)
    sys.stdout.write(done.stdout)  # for `pytest -s`
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" ok ") == 11
    assert done.stderr == ""


def test_the_accounts_are_listed_when_none_is_named() -> None:
    done = subprocess.run([*ACCOUNT, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    for name in ("power-budget", "energy", "requests", "swap", "trip-latency"):
        assert name in done.stdout


def test_an_account_that_there_is_not_is_wrong_usage() -> None:
    done = subprocess.run([*ACCOUNT, "nothing"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
