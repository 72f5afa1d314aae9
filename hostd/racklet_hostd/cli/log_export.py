"""A file that appears when it is whole, or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from racklet_hostd.cli.errors import CommandError


@contextmanager
def whole_file(name: str, *, replaces: bool) -> Iterator[BinaryIO]:
    """Yield a file to write to, which gets its name at the block's end; when the block fails nothing is left of it.

    Its bytes are on disk before it has its name. Raises CommandError when it cannot be written, and when there is a
    file of that name unless it `replaces` that.
    """
    path = Path(os.path.realpath(name))  # through a symbolic link, which stays one
    beside = path.with_name(f".racklet-{secrets.token_hex(8)}.part")
    try:
        _check_free(path, name, replaces=replaces)
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replaces:
            beside.replace(path)
        else:
            _link(beside, path)
    except FileExistsError as error:
        raise _exists(name) from error
    except OSError as error:
        raise CommandError(f"cannot write {name}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _check_free(path: Path, name: str, *, replaces: bool) -> None:
    if path.exists() and not path.is_file():
        raise CommandError(f"{name} is there and is no plain file")
    if path.exists() and not replaces:
        raise _exists(name)


def _link(beside: Path, path: Path) -> None:
    """Give the file its name; FileExistsError when somebody took it meanwhile, where the file system can tell."""
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:  # no hard links there
        if path.exists():
            raise FileExistsError from None
        beside.rename(path)


def _exists(name: str) -> CommandError:
    return CommandError(f"{name} is there already; --force replaces it")
