"""The serial ports that the config names."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from racklet_hostd.checkup.finding import Finding, good, problem, unknown, warning
from racklet_hostd.checkup.system import System
from racklet_hostd.config import RackletConfig
from racklet_hostd.open_files import SPARE_FILES

AREA = "ports"
RULES = "60-racklet.rules"


def check_ports(config: RackletConfig, system: System) -> Iterator[Finding]:
    """Look at the ports of all nodes, without opening them: that is hostd's."""
    ports = {node.port: f"{node.name}: " for node in config.nodes if node.port is not None}
    for pattern in config.rack.ports:
        found = sorted(system.root.glob(pattern.lstrip("/")))
        ports |= {Path("/") / path.relative_to(system.root): "" for path in found if path not in ports}
    fine = 0
    for port, name in ports.items():
        findings = list(_check_port(name, port, system))
        yield from findings
        fine += not findings
    if fine:
        yield good(AREA, f"{fine} of {len(ports)} can be used")
    elif not ports:
        yield warning(AREA, f"none at {', '.join(config.rack.ports)}, and no node names one", "plug in a HAT")
    yield from _check_modem_manager(list(ports), system)


def _check_port(name: str, port: Path, system: System) -> Iterator[Finding]:
    path = system.path(port)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        yield problem(AREA, f"{name}there is no {port}", "plug the HAT in, or name its port; ls /dev/serial/by-path")
        return
    except OSError as error:
        yield unknown(AREA, f"{name}{port} cannot be looked at: {error.strerror}")
        return
    if not stat.S_ISCHR(mode):
        yield problem(AREA, f"{name}{port} is not a serial port", "name the port of its HAT; ls /dev/serial/by-path")
        return
    others = [holder for holder in system.holders(path.resolve()) if not holder.startswith(("racklet-hostd", "python"))]
    if others:
        yield problem(AREA, f"{name}{port} is in use by {', '.join(others)}", "end that program")
    elif not os.access(path, os.R_OK | os.W_OK):
        group = path.group()
        yield warning(AREA, f"{name}this user may not open {port}", f"whoever runs hostd must be in group {group}")


def _check_modem_manager(ports: list[Path], system: System) -> Iterator[Finding]:
    """ModemManager opens every new serial port and talks to it as to a modem, for seconds."""
    if not system.processes("ModemManager"):
        return
    there = [port for port in ports if system.path(port).exists()]
    asked = [system.ask("udevadm", "info", "--query=property", f"--name={port}") or "" for port in there]
    if any("ID_MM_DEVICE_IGNORE=1" not in answer for answer in asked):
        advice = "install Racklet's udev rules, or remove it: sudo apt purge modemmanager"
        yield warning(AREA, "ModemManager looks for modems on the ports of HATs", advice)


def check_udev(config: RackletConfig, system: System) -> Iterator[Finding]:
    """Look for the rules that name a HAT's port after its slot, if the config relies on them."""
    if not any(pattern.startswith("/dev/racklet/") for pattern in config.rack.ports):
        return
    folders = [system.path(folder) / "udev/rules.d" for folder in ("/etc", "/run", "/usr/lib", "/lib")]
    if any((folder / RULES).exists() for folder in folders):
        yield good("udev", f"{RULES} is installed")
    else:
        advice = (
            f"sudo cp deploy/udev/{RULES} /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger"
        )
        yield warning("udev", f"{RULES} is not installed, so there is no /dev/racklet", advice)


def check_open_files(config: RackletConfig, hard_limit: int) -> Iterator[Finding]:
    """Compare the ports with the files that one process may have open; -1 is no limit."""
    wanted = len(config.nodes) + SPARE_FILES
    if 0 <= hard_limit < wanted:
        what = f"one process may open {hard_limit} files, and {len(config.nodes)} nodes want {wanted}"
        yield problem("limits", what, "raise LimitNOFILE= of the service, or the hard limit of `ulimit -n`")
