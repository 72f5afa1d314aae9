"""What the checks ask the computer. Paths begin at `root`, so that tests lay out a computer of their own."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ANSWER_S = 5


@dataclass(frozen=True, slots=True)
class System:
    """The computer that is looked at."""

    root: Path = Path("/")

    def path(self, path: str | Path) -> Path:
        """Return where a path of that computer is."""
        return self.root / str(path).lstrip("/")

    def ask(self, *command: str) -> str | None:
        """Return what a command says; None when it is not there, fails or does not answer in ANSWER_S."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)  # noqa: S603 - ours
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    def processes(self, name: str) -> list[int]:
        """Return the processes whose program has that name, of at most 15 characters."""
        return [pid for pid, found in self._programs() if found == name]

    def holders(self, path: Path) -> list[str]:
        """Return the programs that have a file open, as far as this user may see."""
        found = []
        for pid, name in self._programs():
            try:
                links = [link.readlink() for link in (self.path("/proc") / str(pid) / "fd").iterdir()]
            except OSError:  # another user's, or it has ended
                continue
            if path in links:
                found.append(f"{name} ({pid})")
        return found

    def unix_s(self) -> float:
        """Return the time of day, in seconds since 1970."""
        return time.time()

    def _programs(self) -> Iterator[tuple[int, str]]:
        for folder in self.path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    yield int(folder.name), (folder / "comm").read_text().strip()
                except OSError:
                    continue
