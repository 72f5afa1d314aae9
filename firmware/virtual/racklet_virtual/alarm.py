"""A timer of the event loop that can be set anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Calls back once, at the newest time it was set to."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """True until it has rung or was cancelled."""
        return self._timer is not None

    def set(self, delay_s: float) -> None:
        """Ring after this delay, and not when it was to ring before."""
        self.cancel()
        self._timer = self._loop.call_later(max(0.0, delay_s), self._ring)

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._callback()
