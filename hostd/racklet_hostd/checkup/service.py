"""The service that the Debian package brings, as systemd sees it."""

from collections.abc import Iterator

from racklet_hostd.checkup.finding import Finding, good, problem, unknown, warning
from racklet_hostd.checkup.system import System

AREA = "service"
UNIT = "racklet-hostd.service"


def check_service(system: System) -> Iterator[Finding]:
    """Ask systemd, where it runs and the package is installed."""
    answer = system.ask("systemctl", "show", "--property=LoadState,ActiveState,UnitFileState,Result", UNIT)
    if answer is None:
        yield unknown(AREA, "systemd does not run here")
        return
    told = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    if told.get("LoadState") != "loaded":
        yield unknown(AREA, f"{UNIT} is not installed; hostd is started by hand")
        return
    if told["UnitFileState"] != "enabled":
        yield warning(AREA, f"{UNIT} does not start with the computer", f"sudo systemctl enable {UNIT}")
    match told["ActiveState"]:
        case "active":
            yield good(AREA, f"{UNIT} runs")
        case "failed":
            yield problem(AREA, f"{UNIT} failed ({told['Result']})", f"journalctl -u {UNIT} says why")
        case state:
            yield problem(AREA, f"{UNIT} is {state}", f"sudo systemctl start {UNIT}")
