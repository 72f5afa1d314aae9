"""How many files hostd may have open: one for each port, and some."""

import logging
import resource

# Databases, log segments, listeners, callers (each at least one), and what opening a port takes for a moment.
SPARE_FILES = 512

log = logging.getLogger(__name__)


def allow_open_files(ports: int) -> None:
    """Raise this process's limit to what so many ports take, as far as the system lets it; else warn."""
    wanted = ports + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        advice = "raise the hard limit: LimitNOFILE= of the systemd service, or ulimit -Hn"
        extra = {"allowed": allowed, "wanted": wanted, "ports": ports, "advice": advice}
        log.warning("too few open files are allowed, so some ports may not open", extra=extra)
