"""The Pico's flash as an image: MicroPython at its start, a littlefs behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from littlefs import LittleFS, UserContext

if TYPE_CHECKING:
    from collections.abc import Mapping

FLASH_BYTES = 2 * 1024 * 1024
_BLOCK_BYTES = 4096
# Of MicroPython's board RPI_PICO: MICROPY_HW_FLASH_STORAGE_BYTES, at the end of the flash.
FILES_OFFSET = 640 * 1024
_FILES_BYTES = FLASH_BYTES - FILES_OFFSET
_ERASED = b"\xff"


class ImageError(Exception):
    """The image cannot be made; the message says why."""


def flash_image(micropython: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return the whole flash with these files, named by their paths. Raises ImageError when something does not fit.

    The same files give the same image.
    """
    if len(micropython) > FILES_OFFSET:
        raise ImageError(f"MicroPython takes {len(micropython):,} bytes; the file system begins at {FILES_OFFSET:,}")
    return micropython.ljust(FILES_OFFSET, _ERASED) + file_system(files)


def file_system(files: Mapping[str, bytes]) -> bytes:
    """Return a littlefs with these files, as MicroPython mounts it. Raises ImageError when they do not fit."""
    context = UserContext(_FILES_BYTES)
    system = _mount(context)
    system.format()
    system.mount()
    try:
        for path, content in sorted(files.items()):
            if "/" in path:
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
            with system.open(path, "wb") as file:
                file.write(content)
    except OSError as error:
        raise ImageError(f"the files do not fit into {_FILES_BYTES:,} bytes") from error
    return bytes(context.buffer)


def files_of(image: bytes) -> dict[str, bytes]:
    """Return the files of a flash image by their paths. Raises ImageError when there is no file system in it."""
    context = UserContext(_FILES_BYTES)
    context.buffer[:] = image[FILES_OFFSET:]
    system = _mount(context)
    try:
        system.mount()
        paths = [f"{folder}/{name}".lstrip("/") for folder, _, names in system.walk("/") for name in names]
        files = {}
        for path in paths:
            with system.open(path, "rb") as file:
                files[path] = bytes(file.read())
    except OSError as error:
        raise ImageError(f"there is no file system at {FILES_OFFSET:#x}") from error
    return files


def _mount(context: UserContext) -> LittleFS:
    """Return a littlefs with MicroPython's parameters of vfs.VfsLfs2, not mounted yet."""
    return LittleFS(
        context=context,
        mount=False,
        block_size=_BLOCK_BYTES,
        block_count=_FILES_BYTES // _BLOCK_BYTES,
        prog_size=256,
        read_size=32,
        cache_size=1024,
        lookahead_size=32,
        block_cycles=100,
        disk_version=0x00020001,
    )
