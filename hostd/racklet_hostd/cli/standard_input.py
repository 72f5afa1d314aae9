"""Reading what is typed, in a way that Ctrl-C and the end of the command can break off."""

import asyncio
import errno
import os
import sys

_AT_ONCE = 1_024  # bytes of a paste; the rest waits in the terminal


async def read_typed() -> bytes:
    """Return what there is on stdin, at least a byte; nothing at its end, or when its terminal is gone."""
    descriptor = sys.stdin.fileno()
    await _until_readable(descriptor)
    try:
        return os.read(descriptor, _AT_ONCE)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


async def confirmed(question: str) -> bool:
    """Ask on the terminal, and return whether the answer was yes."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return (await read_typed()).strip().lower() in {b"y", b"yes"}


async def _until_readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:  # a file cannot be waited for, and need not be
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
