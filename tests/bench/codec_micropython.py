"""Measures ours and minipb on the MicroPython that runs this: `codec_micropython.py ROUNDS SPAN_MS`. Prints JSON."""

import gc
import json
import sys
import time

import minipb

from racklet_link import messages
from racklet_link.kernels import copy, put_time
from racklet_link.message import Message

HEAP_CALLS = 16
WIRE = 64

# Eight fields of Telemetry. The energy needs 64 bits; ours holds it in two halves. Every slot is below 2**30: reading a
# larger one as a number makes a heap object on 32 bits.
FIELDS = (1, 2, 3, 5, 8, 11, 12, 13)
PEER_FORMAT = "TTTT@5z@8T@11z@12T@13"
SEQUENCE = 4711
AT_MS = 86_400_123
STATE = 3
SUPPLY_UV = 5_098_000
SUPPLY_UA = -612_000
SUPPLY_UW = 3_120_000
TEMPERATURE_MC = 31_500
ENERGY_TURNS = 28  # of 2**30 µJ
ENERGY_REST = 123_456_649
PEER_VALUES = (
    SEQUENCE, AT_MS, STATE, SUPPLY_UV, SUPPLY_UA, SUPPLY_UW, TEMPERATURE_MC, (ENERGY_TURNS << 30) + ENERGY_REST,
)  # fmt: skip


def form_of(numbers):
    """Return the form of a Telemetry that has only these fields."""
    table, slots, blobs = messages.TELEMETRY
    entries = [table[at : at + 4] for at in range(0, len(table), 4)]
    return b"".join(e for e in entries if (e[0] & 127 | e[1] << 7) >> 3 in numbers), slots, blobs


form = form_of(FIELDS)
message = Message(form[1], form[2])
wire = bytearray(WIRE)
target = bytearray(WIRE)
peer = minipb.Wire(PEER_FORMAT)
peer_wire = peer.encode(*PEER_VALUES)
start = WIRE - len(peer_wire)


def encode():
    message.begin(form)
    slots = message.slots
    slots[0] = SEQUENCE
    put_time(slots, 1, 0, AT_MS)
    slots[3] = STATE
    slots[5] = SUPPLY_UV
    slots[8] = SUPPLY_UA
    slots[11] = SUPPLY_UW
    slots[12] = TEMPERATURE_MC
    put_time(slots, 13, ENERGY_TURNS, ENERGY_REST)
    return message.pack(wire, WIRE)


def decode():
    message.unpack(form, wire, start, WIRE)
    slots = message.slots
    energy = slots[13] ^ slots[14]
    return slots[0] ^ slots[1] ^ slots[3] ^ slots[5] ^ slots[8] ^ slots[11] ^ slots[12] ^ energy  # each is read


def move():
    copy(target, 0, wire, start, WIRE - start)


def peer_encode():
    peer.encode(*PEER_VALUES)


def peer_decode():
    peer.decode(peer_wire)


RUNS = {
    "ours encode": encode,
    "peer encode": peer_encode,
    "ours decode": decode,
    "peer decode": peer_decode,
    "limit": move,
}


def heap_bytes(work):
    """Return the bytes of heap that one call takes."""
    work()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(HEAP_CALLS):
        work()
    after = gc.mem_alloc()
    gc.enable()
    return (after - before) / HEAP_CALLS


def per_second(work, span_us):
    """Return how often it runs a second. Garbage is collected meanwhile, as on a HAT."""
    calls = 1
    while True:
        since = time.ticks_us()
        for _ in range(calls):
            work()
        spent_us = time.ticks_diff(time.ticks_us(), since)
        if spent_us >= span_us:
            return calls * 1e6 / spent_us
        calls *= 2


def main():
    rounds, span_us = int(sys.argv[1]), int(sys.argv[2]) * 1000
    wire_start = encode()
    decode()
    fields = [message.number(slot) if slot in (1, 13) else message.slots[slot] for slot in (0, 1, 3, 5, 8, 11, 12, 13)]
    speeds = {name: [] for name in RUNS}
    for _ in range(rounds):
        for name, work in RUNS.items():
            speeds[name].append(per_second(work, span_us))
    result = {
        "ours": [wire[wire_start:].hex(), fields],
        "peer": [peer_wire.hex(), peer.decode(peer_wire)],
        "speeds": speeds,
        "heap": {name: heap_bytes(work) for name, work in RUNS.items()},
    }
    print(json.dumps(result))


main()
