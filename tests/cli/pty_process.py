"""A command on a terminal of its own."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence


class PtyProcess:
    """Runs a command whose stdin, stdout, stderr and controlling terminal are a new pty of 80 columns and 24 lines."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._ours, self._its = os.openpty()
        fcntl.ioctl(self._its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        # A session's first process gets the terminal it opens as its controlling one, so that Ctrl-C is a signal.
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>"$0"', os.ttyname(self._its), *command],
            env=dict(environment),
            start_new_session=True,
        )
        self.output = b""

    def settings(self) -> list[object]:
        """Return the terminal's settings."""
        return termios.tcgetattr(self._its)

    def type(self, keys: bytes) -> None:
        """Type."""
        os.write(self._ours, keys)

    def expect(self, pattern: bytes, timeout_s: float = 20) -> re.Match[bytes]:
        """Read on until `pattern` was shown, and drop what is up to its end."""
        deadline = time.monotonic() + timeout_s
        while not (match := re.search(pattern, self.output)):
            assert self._read(deadline), f"no {pattern!r} in {self.output!r}"
        self.output = self.output[match.end() :]
        return match

    def wait(self, timeout_s: float = 20) -> int:
        """Read on until the command has ended; return its exit code."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on after {self.output!r}"
            self._read(time.monotonic() + 0.02)
        while self._read(time.monotonic()):
            pass
        return self.process.returncode

    def close(self) -> None:
        """End the command, if it runs, and drop the terminal."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._its)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        if ready:
            self.output += os.read(self._ours, 65_536)
        return bool(ready)
