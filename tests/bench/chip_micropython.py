"""Measures the firmware and minipb on the chip that runs this, which has the firmware's files. Prints one line of JSON.

`measure(ROUNDS)`: microseconds of each round, in each of which the processor is never idle.
"""

import gc
import json
import time

import machine

CALLS = 4
RECORD_BYTES = 448  # the most that a LogRecord holds
TURN_MS = 5
TURNS = 8  # 448 bytes at 115200 baud take 39 ms
TELEMETRY_TAG = 66  # of Frame
LOG_RECORD_TAG = 50
PACK_END = 256
BOOT_CAUSE_SUPPLY_ON = 1
TEXT = b"[    2.718281] usb 1-1: new high-speed USB device number 2 using xhci_hcd\r\n"
BLOCK_BYTES = 16  # of the heap, the least that it gives
GARBAGE_BYTES = 2 * BLOCK_BYTES  # of a bytearray of one block: that, and the object

# Every field of Telemetry. Energy and charge need 64 bits; ours holds them in two halves, of which the turns are 2**30.
SLOTS = (
    (0, 4711), (3, 3), (4, 10), (5, 5_098_000), (6, 5_090_000), (7, 5_102_000), (8, -612_000), (9, -620_000),
    (10, -600_000), (11, 3_120_000), (12, 31_500), (15, 12_000_000), (16, 448), (17, 7), (18, 9), (19, 11),
    (20, 126_000), (21, 3),
)  # fmt: skip
AT_MS = 86_400_123
ENERGY = (28, 123_456_649)
CHARGE = (1, 77)
PEER_TELEMETRY = "[TTTTTTTzzzTzTTTTTTTTT@30]@8"
PEER_VALUES = (
    4711, AT_MS, 3, 10, 5_098_000, 5_090_000, 5_102_000, -612_000, -620_000, -600_000, 3_120_000, 31_500,
    (28 << 30) + 123_456_649, 12_000_000, 448, 7, 9, 11, 126_000, 3, (1 << 30) + 77,
)  # fmt: skip
PEER_LOG_RECORD = "[TTTa@8]@6"


def pause_us():
    """Return how long a collection takes: the longer of one with nothing to do and one of a heap full of garbage."""
    gc.collect()
    clean_us = timed(gc.collect)
    gc.disable()
    try:
        while True:
            bytearray(BLOCK_BYTES)
    except MemoryError:
        full_us = timed(gc.collect)
    gc.enable()
    return max(clean_us, full_us)


def timed(work):
    since = time.ticks_us()
    work()
    return time.ticks_diff(time.ticks_us(), since)


def halt_collection(is_early):
    """Collect, and no more until it is enabled again. Unless `is_early`, half of the free heap becomes garbage.

    The frame of a call with many variables lies in the heap. The room for it is searched from the place up to which
    single blocks were given away since the last collection: right after one that is the heap's start.
    """
    gc.collect()
    half = gc.mem_free() // 2
    gc.disable()
    if not is_early:
        for _ in range(half // GARBAGE_BYTES):
            bytearray(BLOCK_BYTES)


def call_us(work, is_early=False):
    """Return how long one call takes, garbage collection left out."""
    work()
    halt_collection(is_early)
    since = time.ticks_us()
    for _ in range(CALLS):
        work()
    spent_us = time.ticks_diff(time.ticks_us(), since)
    gc.enable()
    return spent_us / CALLS


def heap_bytes(work):
    """Return the bytes of heap that one call takes."""
    work()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(CALLS):
        work()
    after = gc.mem_alloc()
    gc.enable()
    return (after - before) / CALLS


class Telemetry:
    """Our telemetry message: filled and packed; or filled, packed, sealed if there is a seal, and framed."""

    def __init__(self, seal):
        from racklet_link import messages
        from racklet_link.framing import FrameEncoder
        from racklet_link.kernels import put_time
        from racklet_link.message import Message

        self.form = messages.TELEMETRY
        self.message = Message(24, 0)
        self.encoder = FrameEncoder()
        self.put_time = put_time
        self.seal = seal
        self.size = 0

    def fill(self):
        message = self.message
        message.begin(self.form)
        slots = message.slots
        for slot, value in SLOTS:
            slots[slot] = value
        put_time = self.put_time
        put_time(slots, 1, 0, AT_MS)
        put_time(slots, 13, ENERGY[0], ENERGY[1])
        put_time(slots, 22, CHARGE[0], CHARGE[1])

    def pack(self):
        self.fill()
        self.message.pack(self.encoder.wire, PACK_END)

    def frame(self):
        self.fill()
        self.size = self.encoder.frame(self.message, TELEMETRY_TAG, self.seal)

    def wire(self):
        return self.encoder.wire[: self.size]


class LogPath:
    """The way of the node's bytes from the UART's ring into a frame, by the firmware's own capture and log.

    The DMA is stopped. What it would have written is written between the measurements.
    """

    def __init__(self, app):
        from racklet_link.framing import FrameEncoder
        from racklet_link.message import Message

        uart = app._board.uart
        uart.stop()
        self.fed = 0
        self.total = uart.total
        self.uart = uart
        self.capture = app._capture
        self.capture._total = uart.total = self.count
        self.log = app._log
        self.record = Message(15, 1)
        self.encoder = FrameEncoder()
        self.size = 0
        self.now_ms = 1000
        self.capture.forget()
        self.capture.begin_boot(BOOT_CAUSE_SUPPLY_ON, self.now_ms, 0)
        for _ in range(6):  # until the rate is found and the record of the boot's begin is sent
            self.one_record(TURNS, None)
            while self.say(None):
                pass

    def count(self):
        """Stand in for NodeUart.total, which it asks, so that it takes no less long."""
        return self.total() + self.fed & 0x7FFFFFF

    def feed(self, count):
        pos = self.count()
        ring = self.uart.ring
        for index in range(count):
            ring[(pos + index) & 4095] = TEXT[(self.fed + index) % len(TEXT)]
        self.fed += count

    def turn(self):
        self.capture.turn(self.now_ms, 0, True)

    def say(self, seal):
        if not self.log.next_record(self.record, self.now_ms):
            return False
        self.size = self.encoder.frame(self.record, LOG_RECORD_TAG, seal)
        return True

    def values(self):
        """Return the newest record as the peer wants it."""
        slots = self.record.slots
        data = self.log.ring[slots[10] : slots[10] + slots[11]]
        return slots[0], self.record.number(1), self.record.number(3), bytes(data)

    def one_record(self, turns, seal, is_early=False):
        """Return the microseconds that one full record takes when its bytes come in so many parts."""
        halt_collection(is_early)
        spent_us = 0
        for _ in range(turns):
            self.feed(RECORD_BYTES // turns)
            spent_us += timed(self.turn)
            self.now_ms += TURN_MS
        spent_us += timed(lambda: self.say(seal))
        gc.enable()
        self.log.acknowledge(self.log.boot, self.log.offset)
        return spent_us

    def wire(self):
        return self.encoder.wire[: self.size]


class Peer:
    """The same frames by minipb, binascii and COBS in plain Python."""

    def __init__(self, pattern, values):
        import binascii

        import minipb

        self.encode = minipb.Wire(pattern).encode
        self.crc32 = binascii.crc32
        self.values = values
        self.made = b""

    def pack(self):
        self.encode(self.values)

    def frame(self):
        payload = self.encode(self.values)
        self.made = cobs(payload + self.crc32(payload).to_bytes(4, "little"))

    def wire(self):
        return self.made


def cobs(data):
    """Return the bytes without a zero but the last."""
    out = bytearray()
    start = 0
    while True:
        stop = data.find(b"\0", start)
        end = len(data) if stop < 0 else stop
        while end - start >= 254:
            out.append(255)
            out += data[start : start + 254]
            start += 254
            if start == len(data):
                out.append(0)
                return out
        out.append(end - start + 1)
        out += data[start:end]
        if stop < 0:
            out.append(0)
            return out
        start = stop + 1


def mover(size):
    """Return what copies so many bytes in machine code."""
    from racklet_link.kernels import copy

    source = bytearray(size)
    target = bytearray(size)
    return lambda: copy(target, 0, source, 0, size)


def measure(rounds):
    pauses = {"peer": pause_us()}
    from racklet_hat import board
    from racklet_hat.app import App

    app = App(board.Board(), None)
    pauses["ours"] = pause_us()

    from racklet_link.seal import Seal

    plain = Telemetry(None)
    sealed = Telemetry(Seal(bytes(32)))
    peer = Peer(PEER_TELEMETRY, PEER_VALUES)
    plain.frame()
    log = LogPath(app)
    log.one_record(1, None)
    log_peer = Peer(PEER_LOG_RECORD, log.values())
    log_peer.frame()
    wires = {"log": log.wire(), "log peer": log_peer.wire()}

    messages = {
        "packed": plain.pack,
        "peer packed": peer.pack,
        "plain": plain.frame,
        "sealed": sealed.frame,
        "peer": peer.frame,
        "limit": mover(plain.size),
    }
    log_seal = Seal(bytes(32))
    rounds_of = {name: lambda work=work: call_us(work) for name, work in messages.items()}
    rounds_of["plain early"] = lambda: call_us(plain.frame, True)
    rounds_of["log"] = lambda: log.one_record(1, None)
    rounds_of["log in turns"] = lambda: log.one_record(TURNS, None)
    rounds_of["log in turns early"] = lambda: log.one_record(TURNS, None, True)
    rounds_of["log sealed"] = lambda: log.one_record(1, log_seal)
    rounds_of["log peer"] = lambda: call_us(log_peer.frame)
    log_move = mover(RECORD_BYTES)
    rounds_of["log limit"] = lambda: call_us(log_move)
    spent = {name: [] for name in rounds_of}
    for _ in range(rounds):
        for name, one_round in rounds_of.items():
            spent[name].append(one_round())
    wires["plain"] = plain.wire()
    wires["sealed"] = sealed.wire()
    wires["peer"] = peer.wire()
    result = {
        "hz": machine.freq(),
        "spent_us": spent,
        "pause_us": pauses,
        "heap": {name: heap_bytes(work) for name, work in messages.items()},
        "wires": {name: wire.hex() for name, wire in wires.items()},
    }
    print(json.dumps(result))
