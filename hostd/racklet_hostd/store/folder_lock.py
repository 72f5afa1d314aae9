"""One hostd at a time in a state folder."""

import fcntl
import os
from pathlib import Path

from racklet_hostd.errors import StoreLockedError


class FolderLock:
    """Held from construction to `close`; the system lets go of it when the process ends in any way.

    Raises StoreLockedError when another process holds it, OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            owner = self._file.read(16).strip()
            self._file.close()
            raise StoreLockedError(folder, f" (process {owner})" if owner else "") from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def close(self) -> None:
        """Let go."""
        self._file.close()
