"""What several parts' tests share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MODULE_FOLDERS = ("protocol", "firmware", "hostd", "firmware/virtual")
for folder in MODULE_FOLDERS:
    assert (ROOT / folder).is_dir()
FIGURE = "figure"  # a property of a test's report, which reaches another process
WITHOUT_CLOCK = ("cad", "chip", "firmware", "hardware", "protocol", "update")  # folders of tests that only compute


def pytest_configure() -> None:
    """Let no test fail by how long an example takes: that says more of the computer than of the code."""
    from hypothesis import settings  # noqa: PLC0415  benchmarks import this module too

    settings.register_profile("untimed", settings(settings.default, deadline=None))
    settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)  # for who runs the tests without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401  xdist has no types
    """Let one process run the tests that wait for others, one after another, and the other those that compute."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  benchmarks import this module too

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if path.split("/")[1] in WITHOUT_CLOCK else "clock"

    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests found on the emulated chip. Here, since the process that prints reads this file alone."""
    reports = [report for report in terminalreporter.stats.get("", []) if report.when == "teardown"]
    found = [figure for report in reports for name, figure in report.user_properties if name == FIGURE]
    if found:
        terminalreporter.section("on the emulated chip")
        for figure in found:
            terminalreporter.write_line(figure)


def micropython_path() -> str | None:
    """Return the MicroPython unix port beside this Python, else the one on PATH."""
    beside = Path(sys.executable).parent / "micropython"
    return str(beside) if beside.exists() else shutil.which("micropython")


def micropython32_path() -> str | None:
    """Return the 32-bit MicroPython that `tools/micropython32` fetches, if it was fetched."""
    wrapper = ROOT / ".cache" / "micropython32" / "micropython"
    return str(wrapper) if wrapper.exists() else None


def interpreter(name: str) -> str:
    """Return the path of an interpreter; skip the test where there is none."""
    path = {"cpython": sys.executable, "micropython": micropython_path(), "micropython32": micropython32_path()}[name]
    if path is None:
        pytest.skip(f"no {name} here; 'just setup' gets it")
    return path


def run_micropython(code: str, *, name: str = "micropython", heap: str = "4M") -> str:
    """Run `code` on a MicroPython that finds the project's modules; return what it printed."""
    done = subprocess.run(
        [interpreter(name), "-X", f"heapsize={heap}", "-c", code],
        env={"MICROPYPATH": ":".join(str(ROOT / folder) for folder in ("protocol", "firmware"))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
