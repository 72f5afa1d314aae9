"""Runs as root in a fresh Debian 12 with systemd: installs the package, uses it as people would, and removes it.

Prints a line of JSON for each thing it saw: `{"saw": NAME, "was": VALUE}`. Python of Debian, nothing else.
"""

import grp
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path("/try")
SERVICE = "racklet-hostd"
PTS = "[Service]\nDeviceAllow=char-pts rw\nWatchdogSec=2\n"  # ptys stand for serial ports here
TCP = "127.0.0.1:50551"
PATIENCE_S = 30
PAUSE_S = 0.05


def main() -> None:
    """See it all."""
    installed = run("dpkg", "--install", *map(str, HERE.glob("*.deb")))
    installed.check_returncode()
    until(lambda: state() == "active")
    saw("state after installation", state())
    saw("udev rules", Path("/lib/udev/rules.d/60-racklet.rules").exists())
    saw("unit", run("systemd-analyze", "verify", f"{SERVICE}.service").stderr)
    saw("empty rack", run("racklet", "nodes").stdout)
    saw("owner of the state folder", owner(Path("/var/lib/private/racklet")))
    saw("group of the socket's folder", grp.getgrgid(Path("/run/racklet").stat().st_gid).gr_name)
    saw("rights", rights())
    run("useradd", "--groups", "racklet", "member")
    run("useradd", "stranger")
    saw("member", run_as("member", "racklet", "nodes", "--json").returncode)
    verifying = run_as("member", "racklet", "audit", "--verify")
    saw("member who verifies the audit log", [verifying.returncode, verifying.stderr])
    stranger = run_as("stranger", "racklet", "nodes")
    saw("stranger", [stranger.returncode, stranger.stderr])
    with virtual_rack() as nodes:
        write_config(nodes)
        run("systemctl", "restart", SERVICE)
        use_the_rack()
    saw("doctor", run("racklet", "doctor").stdout)
    with Path("/etc/racklet/racklet.toml").open("a") as config:
        config.write("\n[grpcc]\n")
    run("systemctl", "restart", SERVICE)
    until(lambda: state() == "failed")
    saw("a wrong config", run("journalctl", "--unit", SERVICE, "--lines", "5", "--output", "cat").stdout)
    run("dpkg", "--remove", "racklet")
    saw("kept after removal", [str(path) for path in kept() if path.exists()])
    run("dpkg", "--purge", "racklet")
    saw("kept after purging", [str(path) for path in kept() if path.exists()])


def use_the_rack() -> None:
    """See what hostd does as a service, and that systemd starts it again."""
    until(lambda: "online" in run("racklet", "nodes").stdout)
    over_tls = run("racklet", "--address", TCP, "--credentials", "/root/.config/racklet/client", "info")
    saw("info over TLS", [over_tls.returncode, over_tls.stdout])
    saw("power", run("racklet", "power", "cycle", "node-1").stdout)
    for name, number in (("killed", signal.SIGKILL), ("hung", signal.SIGSTOP)):
        before = pid()
        os.kill(int(before), number)
        until(lambda before=before: pid() not in {before, "0"} and state() == "active")
        until(lambda: "online" in run("racklet", "nodes").stdout)
        saw(f"served again after it was {name}", pid() != before)


@contextmanager
def virtual_rack() -> Iterator[str]:
    """Run a virtual rack of one node; give the tables of its nodes."""
    libraries = (HERE / "firmware/virtual", HERE / "protocol", Path("/usr/lib/racklet"))
    environment = {
        **os.environ,
        "PYTHONPATH": ":".join(map(str, libraries)),
        "PATH": f"{HERE}:{os.environ['PATH']}",
    }
    folder = Path("/run/rack")  # the service has a /tmp of its own
    command = (sys.executable, "-m", "racklet_virtual", "--nodes", "1", "--folder", str(folder))
    with (HERE / "log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    run("mount", "-o", "remount,mode=666", "/dev/pts")
    try:
        config = folder / "racklet.toml"
        until(lambda: config.exists() and (folder / "ports/usb-1.1").exists())
        folder.chmod(0o755)
        yield config.read_text()
    finally:
        process.terminate()
        process.wait()


def write_config(nodes: str) -> None:
    """Let the service serve the virtual rack's nodes."""
    run("racklet", "pki", "init", "--folder", "/var/lib/racklet/pki", "--host", "rack.test")
    tables = nodes[nodes.index("[rack]") :]
    config = Path("/etc/racklet/racklet.toml")
    ours = config.read_text().replace("[grpc]\n", f'[grpc]\ntcp = "{TCP}"\n')
    config.write_text(f'{ours}\n[tls]\nfolder = "/var/lib/racklet/pki"\n{tables}')
    folder = Path("/etc/systemd/system") / f"{SERVICE}.service.d"
    folder.mkdir(parents=True)
    (folder / "pts.conf").write_text(PTS)
    run("systemctl", "daemon-reload")


def kept() -> list[Path]:
    """Return what belongs to the administrator."""
    return [Path("/etc/racklet/racklet.toml"), Path("/var/lib/private/racklet")]


def rights() -> dict[str, str]:
    """Return what the kernel says the service's process may do."""
    lines = Path(f"/proc/{pid()}/status").read_text().splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {name: status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}


def owner(path: Path) -> str:
    """Return the user that owns a file."""
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def state() -> str:
    """Return what systemd says of the service."""
    return run("systemctl", "is-active", SERVICE).stdout.strip()


def pid() -> str:
    """Return the service's process."""
    return run("systemctl", "show", "--property", "MainPID", "--value", SERVICE).stdout.strip()


def run_as(user: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody else."""
    return run("setpriv", f"--reuid={user}", "--init-groups", f"--regid={user}", "--reset-env", *command)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command; what it says goes to the log as well."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    with (HERE / "log").open("a") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}= {done.returncode}\n")
    return done


def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError
        time.sleep(PAUSE_S)


def saw(name: str, was: object) -> None:
    """Tell."""
    with (HERE / "seen").open("a") as seen:
        seen.write(json.dumps({"saw": name, "was": was}) + "\n")


if __name__ == "__main__":
    try:
        main()
    finally:
        run("journalctl", "--unit", SERVICE, "--lines", "20", "--no-pager")
