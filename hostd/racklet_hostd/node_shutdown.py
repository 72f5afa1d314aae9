"""Asking a node to shut down by more than the HAT's pin: on its console, or by a command."""

import asyncio
import logging
from collections.abc import Callable

from racklet_hostd.config import NodeConfig
from racklet_hostd.hat_session import HatSession
from racklet_hostd.watchdog.probe import CommandProbe

log = logging.getLogger(__name__)


class NodeShutdown:
    """Asks one node as its config says. What fails is told to `failed` as a sentence, and stops nothing."""

    def __init__(self, node: NodeConfig, failed: Callable[[str], None]) -> None:
        self._node = node
        self._keys = node.shutdown_console.encode()
        self._failed = failed
        self._wanted = asyncio.Event()

    def ask(self, session: HatSession) -> None:
        """Type on the console now, before anything else is asked of the HAT, or have `run` run the command."""
        if self._keys:
            log.info("shutdown typed", extra={"node": self._node.name})
            taken = session.type_console(self._keys)
            if taken < len(self._keys):
                why = f"the line took {taken} bytes of {len(self._keys)}, for others are still to be typed"
                self._failed(f"The shutdown of {self._node.name} was not typed on its console as a whole: {why}.")
        elif self._node.shutdown_command:
            self._wanted.set()

    async def run(self) -> None:
        """Run the command whenever it is asked for, for ever. While one runs, what is asked for becomes one more run.

        Cancelling kills the command.
        """
        command, timeout_s = CommandProbe(self._node.shutdown_command), self._node.shutdown_timeout_s
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            log.info("shutdown command starts", extra={"node": self._node.name, "command": command.command[0]})
            if why := await command.ask(timeout_s):
                self._failed(f"The shutdown command of {self._node.name} failed: {why}.")
