"""Starts a virtual HAT from its flash, as an RP2040's MicroPython does: mounts the file system and runs main.py.

The flash is flash.img in the folder it is started in; made when it is not there. With the argument `repl` nothing is
run, as behind a soft reset from the raw REPL.
"""

import asyncio
import sys

import vfs

import machine  # noqa: F401 - from here, before the flash hides this folder
import rp2  # noqa: F401 - likewise
from flash import PAGE, SECTOR, FileStore, Flash

SECTORS = 352  # of a Raspberry Pi Pico, behind MicroPython
# What MicroPython loads when it is first asked for; on a chip it is frozen in.
FROZEN = (asyncio.Event, asyncio.open_connection)


def opened():
    try:
        return open("flash.img", "rb+")
    except OSError:
        file = open("flash.img", "wb+")
        file.writelines(b"\xff" * SECTOR for _ in range(SECTORS))
        return file


def mount():
    flash = Flash(FileStore(opened()), SECTORS)
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(flash, progsize=PAGE), "/")
    except OSError:
        vfs.VfsLfs2.mkfs(flash, progsize=PAGE)
        vfs.mount(vfs.VfsLfs2(flash, progsize=PAGE), "/")


def main_script():
    try:
        with open("main.py") as file:
            return file.read()
    except OSError:
        return ""


mount()
sys.path[:] = ["", ".frozen", "/lib"]
if "repl" not in sys.argv:
    exec(main_script(), {"__name__": "__main__"})  # noqa: S102 - as a chip does
