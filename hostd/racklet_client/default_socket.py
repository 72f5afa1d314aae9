"""Where hostd's unix socket is when nobody says otherwise: for hostd and for the command."""

import warnings
from pathlib import Path

import platformdirs

# Where the service of the Debian package listens, for members of the group racklet.
SERVICE_SOCKET = Path("/run/racklet/racklet.sock")


def default_socket() -> Path:
    """Return the path of hostd's socket in this user's runtime folder."""
    with warnings.catch_warnings(action="ignore"):  # platformdirs warns without $XDG_RUNTIME_DIR, but has an answer
        return Path(platformdirs.user_runtime_dir("racklet", appauthor=False)) / "racklet.sock"
