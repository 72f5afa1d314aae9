"""What systemd is told when it runs hostd: that it is ready, that it lives, that it ends. See sd_notify(3)."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)

_US = 1_000_000


class ServiceManager:
    """The way to the service manager that started hostd, if one did.

    Without one every method does nothing. A message that does not get through is not sent again: systemd acts on
    silence, and a log line says why it is silent.

    Attributes:
        watchdog_s: in what time systemd must hear that hostd lives; 0 when it does not mind.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "") if is_ours and address else ""
        self.watchdog_s = int(usec) / _US if usec.isdecimal() else 0.0
        self._has_failed = False

    def ready(self, status: str) -> None:
        """Tell that the service is served, and a line that `systemctl status` shows."""
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Tell that hostd ends."""
        self._tell("STOPPING=1\nSTATUS=storing what came, letting go of callers")

    async def watch(self) -> None:
        """Tell twice in each `watchdog_s` that the event loop turns, until cancelled."""
        while self.watchdog_s:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 2)

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
                way.settimeout(0)
                way.connect(self._address)
                way.send(message.encode())
        except OSError as error:
            if not self._has_failed:
                log.warning("the service manager does not hear", extra={"problem": str(error)})
            self._has_failed = True
        else:
            self._has_failed = False
