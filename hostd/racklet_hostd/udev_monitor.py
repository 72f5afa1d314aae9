"""Tells when a serial port comes or goes. The only module that knows pyudev."""

import asyncio
import logging
from collections.abc import Callable

import pyudev  # type: ignore[import-untyped]

log = logging.getLogger(__name__)


class UdevMonitor:
    """Calls `changed` whenever udev has made or removed a serial port, once it is started.

    `monitor` stands for udev's own, in tests.
    """

    def __init__(self, changed: Callable[[], None], monitor: "pyudev.Monitor | None" = None) -> None:
        self._changed = changed
        self._monitor = monitor

    def start(self) -> bool:
        """Listen; False when this computer has no udev, or does not let us."""
        try:
            if self._monitor is None:
                self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
                self._monitor.filter_by("tty")
            self._monitor.start()
        except (ImportError, OSError) as error:
            log.warning("no word from udev; ports are looked for every second", extra={"problem": str(error)})
            self._monitor = None
            return False
        asyncio.get_running_loop().add_reader(self._monitor.fileno(), self._take_events)
        return True

    def stop(self) -> None:
        """Listen no more."""
        if self._monitor is not None:
            asyncio.get_running_loop().remove_reader(self._monitor.fileno())
            self._monitor = None

    def _take_events(self) -> None:
        if self._monitor is None:
            return
        while self._monitor.poll(timeout=0) is not None:
            pass
        self._changed()
