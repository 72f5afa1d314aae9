"""Runs on MicroPython: an update on a real littlefs, with the power cut at one flash write after another.

Arguments: two bundles as folders (OLD, NEW: `stream` as hostd sends it, and `sizes`), the key in hex, and which cuts:
FIRST, STEP, HOW. Prints how many writes one update takes; with FIRST below 0 nothing else. Else a line for each cut:
its number, and which slot ran after it, with which version, on probation or confirmed.

The life that is cut: the HAT starts, takes the update, checks it, restarts, runs it on probation, has it confirmed.
"""

import gc
import os
import sys

import vfs
from flash import PAGE, SECTOR, Flash, MemoryStore, PowerCutError

from racklet_boot import selector
from racklet_boot import slots as keeping
from racklet_hat.update import Updater
from racklet_link.limits import PROTOCOL_MAX

ROOT = "/flash"
SECTORS = 128  # two slots take some 90; a Pico has 352
CHUNK = 448
READY = 6
REFUSED = 7
FILES = 4


class Firmware:
    """A bundle as hostd streams it."""

    def __init__(self, folder):
        with open(folder + "/sizes") as file:
            self.manifest_bytes, self.signature_bytes, self.size = [int(word) for word in file.read().split()]
        with open(folder + "/stream", "rb") as file:
            self.stream = file.read()
        head = self.stream[: self.manifest_bytes + self.signature_bytes]
        self.digest = keeping.lms.hash_of((head,)).digest()


class FailedError(Exception):
    """What must not happen."""


def mount(flash):
    vfs.mount(vfs.VfsLfs2(flash, progsize=PAGE), ROOT)


def unmount():
    vfs.umount(ROOT)


def start():
    """Start the HAT: what its selector picks."""
    started = selector.choose(ROOT)
    if started is None:
        raise FailedError("neither slot verifies")
    return started


def send(started, firmware):
    """Bring an update to a HAT that runs, as hostd does; it is ready to be tried then."""
    updater = Updater(started, PROTOCOL_MAX)
    begun = updater.begin(firmware.manifest_bytes, firmware.signature_bytes, firmware.size, firmware.digest)
    if begun:
        raise FailedError("begin: %d" % begun)
    while updater.state != READY:
        offset = updater.offset
        piece = firmware.stream[offset : offset + CHUNK]
        updater.take(offset, piece, 0, len(piece))
        updater.turn()
        if offset == len(firmware.stream):
            updater.finish()
        if updater.state == REFUSED:
            raise FailedError("refused: %d" % updater.refusal)
    return updater


def update(firmware):
    """Do all of it; each start begins with what is on the flash."""
    started = start()
    if started.on_probation:  # the cut came after the update was complete
        started.slots.confirm(started.slot, started.manifest)
        started = start()
    send(started, firmware)
    tried = start()
    if not tried.on_probation or tried.slot == started.slot:
        raise FailedError("the update is not tried")
    tried.slots.confirm(tried.slot, tried.manifest)
    return start()


def fresh_image(old, key):
    """Return the bytes of a flash as `just flash` leaves it."""
    store = MemoryStore(bytearray(b"\xff" * (SECTORS * SECTOR)))
    flash = Flash(store, SECTORS)
    vfs.VfsLfs2.mkfs(flash, progsize=PAGE)
    mount(flash)
    os.mkdir(ROOT + "/slots")
    keeping.replace_file(ROOT + "/slots/keys", key.encode())
    keeping.replace_file(ROOT + "/slots/board", b"hat-a")
    provisional = selector.Start(keeping.Slots(ROOT), "b", {}, False)
    send(provisional, old)
    tried = start()
    tried.slots.confirm(tried.slot, tried.manifest)
    unmount()
    return bytes(store.data)


def one_cut(image, new, cut_at, how):
    """Cut the power once, then start, then update again. Return the slot and the version that ran after the cut."""
    store = MemoryStore(bytearray(image))
    flash = Flash(store, SECTORS, cut_at, how)
    mount(flash)
    try:
        update(new)
    except (PowerCutError, OSError, FailedError):  # what runs on behind the cut fails in its own way
        if not flash.is_dead:
            raise
    if not flash.is_dead:
        raise FailedError("there was no cut")
    unmount()
    store = MemoryStore(bytearray(store.data))  # whatever the collector still closes writes to the old one
    mount(Flash(store, SECTORS))
    started = start()
    found = (started.slot, started.manifest["version"], started.on_probation)
    after = update(new)
    if after.on_probation or after.fell_back or after.manifest["version"] != "2":
        raise FailedError("the next update does not run")
    unmount()
    return found


def main():
    old, new, key, first, step, how = sys.argv[1:7]
    old, new = Firmware(old), Firmware(new)
    image = fresh_image(old, key)
    flash = Flash(MemoryStore(bytearray(image)), SECTORS)
    mount(flash)
    update(new)
    unmount()
    print("writes", flash.writes)
    if int(first) < 0:
        return
    for cut_at in range(int(first), flash.writes, int(step)):
        gc.collect()
        try:
            slot, version, on_probation = one_cut(image, new, cut_at, int(how))
            print(cut_at, slot, version, "probation" if on_probation else "confirmed")
        except FailedError as error:
            print(cut_at, "FAILED", error)
            sys.exit(1)


main()
