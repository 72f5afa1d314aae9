"""Runs a script of what a log ring's kernels do, in CPython and MicroPython, and tells all that came of it."""

import binascii
from array import array

from racklet_link import kernels

RING_SIZE = 64
MOST = 60


def run(size, head, script):
    """Return all results and what is left. The first record stands at `head`.

    Steps: `t` takes, `n` tells, `f` frees, `d` drops the oldest, `c` lets time go.
    """
    marks = array("i", (int(size), int(head), 0, 0, -1, 0))
    log = bytearray(int(size))
    ring = array("H", bytes(2 * RING_SIZE))
    job = array("i", (0, 0, 0, 0, 1, 0, 0))
    slots = array("i", bytes(4 * 15))
    came = [0]
    said = []
    for step in script.split(","):
        count = int(step[1:] or 0)
        if step[0] == "c":
            job[5] = (job[5] + count) & 0x3FFFFFFF
            job[6] += count & 1
        elif step[0] == "t":
            for _ in range(count % RING_SIZE):
                ring[came[0] % RING_SIZE] = 0x141 if came[0] % 29 == 28 else 97 + came[0] % 26
                came[0] += 1
            job[1] = came[0]
            total = came[0] + count // RING_SIZE  # when it was taken
            said.append(kernels.log_take(marks, log, job, ring, RING_SIZE, b"\0", lambda total=total: total, MOST))
            if said[-1] > 0 or job[1] - job[0] >= RING_SIZE // 2:
                job[0] = job[1]
        elif step[0] == "n":
            said.append(kernels.log_next(marks, log, slots, job[5], job[6]))
        elif step[0] == "f":
            said.append(kernels.log_free(marks, log, count))
        elif step[0] == "d" and marks[2]:
            said.append(kernels.log_bytes(log, marks[1]))
            kernels.log_drop(marks, log)
        said.append(kernels.log_room(marks, log, job[5]) if marks[4] >= 0 else -9)
    told = said + list(marks) + [job[0], job[4]] + list(slots)
    return " ".join([str(number) for number in told]) + " " + str(binascii.crc32(log))
