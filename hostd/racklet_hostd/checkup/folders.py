"""The state folder, and the room it has."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from racklet_hostd.checkup.finding import Finding, good, problem, unknown, warning
from racklet_hostd.config import RackletConfig

AREA = "state"
SPARE_BYTES = 256 << 20  # the least that makes sense beside an index and its journal
MIB = 1 << 20
_VOLATILE = frozenset({"tmpfs", "ramfs"})
_DISTANT = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p"})  # their locks and flushes are not to be trusted


def check_state(config: RackletConfig, mounts: Path) -> Iterator[Finding]:
    """Look at the state folder. `mounts` is the computer's /proc/self/mounts."""
    folder = config.state.folder
    try:
        found = folder.stat()
    except FileNotFoundError:
        yield from _check_missing(folder)
        return
    except PermissionError:
        yield unknown(AREA, f"this user may not look into {folder}", "run it as root: sudo racklet doctor")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield problem(AREA, f"{folder} is not a folder", "name another one as folder in [state]")
        return
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(AREA, f"others may look into {folder}", f"boot logs may hold secrets: chmod 700 {folder}")
    else:
        yield good(AREA, f"{folder} is for its owner only")
    yield from _check_room(config, folder)
    yield from _check_file_system(folder, mounts)


def _check_missing(folder: Path) -> Iterator[Finding]:
    parent = next(path for path in folder.parents if path.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        yield good(AREA, f"{folder} is not there yet; hostd makes it")
    else:
        yield unknown(AREA, f"{folder} is not there, and this user cannot make it", "hostd's user must")


def _check_room(config: RackletConfig, folder: Path) -> Iterator[Finding]:
    room = shutil.disk_usage(folder).free
    nodes = max(1, len(config.nodes))
    most = config.retention.log_bytes_per_node * nodes + config.retention.audit_bytes
    free = f"{room // MIB} MiB are free"
    if room < SPARE_BYTES:
        yield problem(AREA, free, "make room: what does not fit is lost, and each loss is a gap in its log")
    elif room < most:
        advice = "lower log_bytes_per_node in [retention], or give the folder a larger disk"
        yield warning(AREA, f"{free}, and the logs of {nodes} nodes may take {most // MIB} MiB", advice)
    else:
        yield good(AREA, f"{free}; the logs take at most {most // MIB} MiB")


def _check_file_system(folder: Path, mounts: Path) -> Iterator[Finding]:
    """Find the mount that the folder is on: the longest that is a parent of it."""
    real, longest, kind = folder.resolve(), Path(), ""
    for line in mounts.read_text().splitlines():
        _, place, found, *_ = line.split()
        path = Path(place.encode().decode("unicode_escape"))  # blanks are written as \040
        if real.is_relative_to(path) and len(path.parts) >= len(longest.parts):
            longest, kind = path, found
    if kind in _VOLATILE:
        yield problem(AREA, f"{folder} is in memory ({kind})", "its logs are gone with the next start; name a disk")
    elif kind in _DISTANT:
        yield warning(AREA, f"{folder} is on a network file system ({kind})", "use a local disk: its flushes are sure")
