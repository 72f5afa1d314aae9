"""Asking a node over the network whether it lives."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import aiohttp

_OUTPUT_BYTES = 200  # of a command's last words, for the event


class Probe(Protocol):
    """One way of asking."""

    async def ask(self, timeout_s: float) -> str:
        """Return "" when the node answered in time, else why it counts as failed. Cancelling leaves nothing behind."""
        ...


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """The node answers when a TCP port of it takes a connection."""

    host: str
    port: int

    async def ask(self, timeout_s: float) -> str:
        """Connect, and hang up at once."""
        try:
            async with asyncio.timeout(timeout_s):
                _, writer = await asyncio.open_connection(self.host, self.port)
        except TimeoutError:
            return f"{self.host}:{self.port} took no connection within {timeout_s:g} s"
        except OSError as error:
            return f"{self.host}:{self.port}: {os.strerror(error.errno) if error.errno else error}"
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return ""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """The node answers when a GET ends with a status below 400."""

    url: str

    async def ask(self, timeout_s: float) -> str:
        """Get the page's head."""
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self.url) as response:
                return "" if response.ok else f"{self.url} answered {response.status} {response.reason}"
        except TimeoutError:
            return f"{self.url} gave no answer within {timeout_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"{self.url}: {error}"


@dataclass(frozen=True, slots=True)
class CommandProbe:
    """The node answers when a command, which no shell sees, ends with exit code 0."""

    command: Sequence[str]

    async def ask(self, timeout_s: float) -> str:
        """Run the command; kill it when it takes too long."""
        name = self.command[0]
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
            )
        except OSError as error:
            return f"{name} does not start: {error.strerror}"
        try:
            async with asyncio.timeout(timeout_s):
                _, words = await process.communicate()
        except TimeoutError:
            return f"{name} did not end within {timeout_s:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == 0:
            return ""
        last = words[-_OUTPUT_BYTES:].decode(errors="replace").strip()
        return f"{name} ended with {process.returncode}" + (f": {last}" if last else "")
