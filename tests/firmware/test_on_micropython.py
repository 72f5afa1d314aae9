"""What a HAT holds, on MicroPython: every module imports, and what is called all the time takes no heap.

Heap is measured on the 32-bit MicroPython, where integers and objects are as large as the HAT's.
"""

from __future__ import annotations

import subprocess

import pytest
from google.protobuf.message import Message as ProtobufMessage
from size import IDLE_MACHINE, IDLE_RP2, hat_modules

from racklet.link.v1 import link_pb2
from racklet_link import messages
from racklet_link.seal import Seal
from tests.conftest import ROOT, interpreter, run_micropython
from tests.protocol.conftest import constant
from tests.protocol.hat_messages import framed, held
from tests.protocol.seals import KEY, sealed_frame

# The unix port brings a `machine` of its own, and asyncio frozen in.
WITH_IDLE_MACHINE = f"""
import sys
sys.path.append(".frozen")
class machine: pass
class rp2: pass
for module, source in ((machine, {IDLE_MACHINE!r}), (rp2, {IDLE_RP2!r})):
    parts = {{}}
    exec(source, parts)
    for name in parts:
        setattr(module, name, parts[name])
sys.modules["machine"] = machine
sys.modules["rp2"] = rp2
"""
MODULES = [f"{path.parent.name}.{path.stem}" for path in hat_modules() if path.stem not in {"main", "__init__"}]

# `action` is called some times to warm up, then many times; no collection hides what it takes meanwhile.
MEASURE = """
import gc
before = 0
for _ in range(3):
    action()
gc.collect()
gc.disable()
before = gc.mem_alloc()
for _ in range(100):
    action()
print(gc.mem_alloc() - before)
"""


def heap_taken(code: str) -> int:
    """Return how many bytes 100 calls of `action`, which `code` defines, leave on the heap."""
    return int(run_micropython(code + MEASURE, name="micropython32", heap="1M").split()[-1])


@pytest.mark.parametrize("name", ["micropython", "micropython32"])
@pytest.mark.parametrize("module", MODULES)
def test_every_module_that_a_hat_holds_imports(module: str, name: str) -> None:
    assert run_micropython(f"{WITH_IDLE_MACHINE}\nimport {module}\nprint('imported')", name=name) == "imported\n"


@pytest.mark.parametrize("name", ["micropython", "micropython32"])
def test_the_firmware_starts_and_feeds_its_watchdog(name: str) -> None:
    run = """
def fed():
    print("fed", file=sys.stderr)  # the link speaks on stdout
    sys.exit()
machine.WDT.fed = fed
import main
"""
    done = subprocess.run(
        [interpreter(name), "-X", "heapsize=1M", "-c", WITH_IDLE_MACHINE + run],
        env={"MICROPYPATH": f"{ROOT}/protocol:{ROOT}/firmware"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert done.stderr == b"fed\n"


def test_an_action_that_takes_heap_is_measured_as_such() -> None:
    assert heap_taken("def action(): bytearray(16)\n") >= 1600


SAID = [
    link_pb2.Hello(
        protocol_min=1,
        protocol_max=1,
        session=2**30 - 1,
        reset_cause=1,
        supply_state=3,
        at_ms=2**40,
        boot=9,
        boot_continues=True,
        log_boot=8,
        log_offset=2**29,
        event_sequence=2**20,
    ),
    link_pb2.Reply(id=2**20, result=1, supply_state=3, supply_uv=5_100_000, supply_ua=-900_000, duration_ms=30_000),
    link_pb2.LogRecord(boot=9, offset=2**29, at_ms=2**40, lost_bytes=2**29, gap_reason=1, boot_cause=1, lost_boots=3),
    link_pb2.Event(sequence=2**20, at_ms=2**40, kind=2, value=-6_000_000, limit=5_500_000, detail=7, boot=9),
    link_pb2.Telemetry(
        sequence=2**20,
        at_ms=2**40,
        supply_state=3,
        samples=50,
        supply_uv=5_100_000,
        supply_min_uv=5_000_000,
        supply_max_uv=5_200_000,
        supply_ua=900_000,
        supply_min_ua=-3_000_000,
        supply_max_ua=4_000_000,
        supply_uw=4_600_000,
        temperature_mc=-41_000,
        energy_uj=2**50,
        charge_uc=2**50,
        input_uv=12_000_000,
        log_held_bytes=32_768,
        uart_lost_bytes=5,
        frames_bad=6,
        loop_max_ms=7,
        heap_free_bytes=150_000,
        boot=9,
    ),
    link_pb2.ConsoleAcknowledge(offset=2**29),
]
HEARD = [
    link_pb2.Knock(protocol_min=1, protocol_max=1),
    link_pb2.Welcome(
        version=1,
        protocol_min=1,
        protocol_max=1,
        session=2**30 - 1,
        host_session=2**30 - 2,
        unix_ms=1_795_000_000_000,
        telemetry_period_ms=1000,
        log_boot=9,
        log_offset=2**29,
        event_sequence=2**20,
    ),
    link_pb2.Request(id=2**20, set_power=link_pb2.SetPower(action=2, grace_ms=30_000, force=True, off_ms=2000)),
    link_pb2.Request(id=2**20, identify=link_pb2.Identify(duration_ms=5000)),
    link_pb2.Request(id=2**20, set_limits=link_pb2.SetLimits(over_current_ma=5000, over_temperature_mc=-1)),
    link_pb2.Acknowledge(
        log_boot=9, log_offset=2**29, event_sequence=2**20, log_resend=True, resend_boot=9, resend_offset=2**29
    ),
    link_pb2.ConsoleInput(offset=2**29, data=b"x" * 64),
]


def name_of(message: ProtobufMessage) -> str:
    operation = message.WhichOneof("op") if isinstance(message, link_pb2.Request) else None
    return message.DESCRIPTOR.name + (f" {operation}" if operation else "")


@pytest.mark.parametrize("message", SAID, ids=name_of)
def test_packing_and_sealing_what_a_hat_says_takes_no_heap(message: ProtobufMessage) -> None:
    field = next(f for f in link_pb2.Frame.DESCRIPTOR.fields if f.message_type == message.DESCRIPTOR)
    form = getattr(messages, constant(message.DESCRIPTOR.name))
    code = f"""
from array import array
from racklet_link import messages
from racklet_link.framing import FrameEncoder
from racklet_link.message import Message
message = Message({messages.HELLO[1]}, 4)
message.begin(messages.{constant(message.DESCRIPTOR.name)})
for slot, value in enumerate({held(message).slots.tolist()[: form[1]]}):
    message.slots[slot] = value
for blob, slot in enumerate({[form[0][entry + 3] for entry in range(0, len(form[0]), 4) if form[0][entry + 2] > 4]}):
    message.put_bytes(slot, blob, bytes(range(100)))
encoder = FrameEncoder()
def action():
    encoder.frame(message, {field.number << 3 | 2}, None)
"""
    assert heap_taken(code) == 0


@pytest.mark.parametrize("message", HEARD, ids=name_of)
def test_decoding_what_a_hat_hears_takes_no_heap(message: ProtobufMessage) -> None:
    bodies = [field.message_type for field in link_pb2.Frame.DESCRIPTOR.fields]
    code = f"""
from racklet_link import messages
from racklet_link.framing import FrameDecoder
from racklet_link.message import Message
frame, body = Message(messages.FRAME[1], 1), Message(messages.FRAME[1], 1)
SLOT = {2 * bodies.index(message.DESCRIPTOR)}
def read(buf, end):
    assert frame.unpack(messages.FRAME, buf, 0, end)
    start = frame.slots[SLOT]
    assert start
    assert body.unpack(messages.{constant(message.DESCRIPTOR.name)}, buf, start, start + frame.slots[SLOT + 1])
decoder = FrameDecoder()
wire = {framed(message)!r}
def action():
    decoder.feed(wire, {len(framed(message))})
    end = decoder.next_frame()
    assert end > 0
    read(decoder.payload, end)
"""
    assert heap_taken(code) == 0


LINK = """
from racklet_link import messages
from racklet_link.event_queue import EventQueue
from racklet_link.hat import HatLink
from racklet_link.log_ring import LogRing
from racklet_link.message import Message
from racklet_link.reply_cache import ReplyCache
said = Message(messages.HELLO[1], messages.HELLO[2])
class Time:
    ms = 2**30 - 2000
time = Time()
"""
LOG = (
    LINK
    + """
ring = LogRing(2048)
chunk = bytearray(b"console output  " * 8)
"""
)
ACTIONS = {
    "LogRing.append": LOG
    + """
def action():
    time.ms = (time.ms + 13) & 0x3FFFFFFF
    ring.append(chunk, 128, time.ms, 5)
""",
    "LogRing.begin_boot": LOG
    + """
def action():
    ring.begin_boot(1, 5, 5)
""",
    "LogRing.lose": LOG
    + """
def action():
    ring.lose(300, 2, 5, 5)
""",
    "LogRing.next_record": LOG
    + """
ring.begin_boot(1, 5, 5)
ring.append(chunk, 128, 5, 5)
ring.lose(3, 2, 5, 5)
def action():
    ring.rewind(0, 0)
    while ring.next_record(said, 1000):
        pass
""",
    "LogRing.next_record after a loss": LOG
    + """
for _ in range(40):
    ring.append(chunk, 128, 5, 5)
    ring.begin_boot(1, 5, 5)
def action():
    ring.rewind(0, 0)
    while ring.next_record(said, 1000):
        pass
""",
    "LogRing.acknowledge": LOG
    + """
def action():
    ring.append(chunk, 128, 5, 5)
    while ring.next_record(said, 1000):
        pass
    ring.acknowledge(0, ring.offset - 3)
""",
    "LogRing.acknowledge within a loss": LOG
    + """
for _ in range(40):
    ring.append(chunk, 128, 5, 5)
def action():
    ring.acknowledge(0, ring.acked_offset + 1)
""",
    "EventQueue": LINK
    + """
queue = EventQueue(4)
def action():
    for _ in range(6):
        queue.put(2, time.ms, 5, 9, -6000000, 5500000, 3)
    queue.rewind(0)
    while queue.next_event(said):
        pass
    queue.acknowledge(queue.next_sequence - 1)
""",
    "ReplyCache": LINK
    + """
cache = ReplyCache(8)
reply = Message(messages.REPLY[1], 0)
reply.begin(messages.REPLY)
def action():
    reply.slots[0] += 1
    cache.is_stale(3)
    if not cache.repeat(reply.slots[0]) and cache.has_room():
        cache.put(reply)
    while cache.next_reply(said):
        pass
""",
    "ReplyCache.clear": LINK
    + """
cache = ReplyCache(8)
def action():
    cache.clear()
""",
}
POWER = """
from racklet_hat.limits import Limits
from racklet_hat.power_gate import PowerGate
class Rail:
    uv = 0
    def set(self): self.uv = 5100000
    def clear(self): self.uv = 0
    def ask(self, active): pass
    def is_halted(self): return False
def report(kind, value, limit, detail): pass
def finish(request_id, result, duration_ms): pass
rail = Rail()
gate = PowerGate(rail, Limits(), report, finish, False)
class Time:
    ms = 0
time = Time()
def run(steps, ua=600000, mc=30000):
    for _ in range(steps):
        time.ms = (time.ms + 20) & 0x3FFFFFFF
        gate.step(rail.uv, ua if rail.uv else 0, mc, True, time.ms)
run(2)
"""
ACTIONS |= {
    "PowerGate.step while off": POWER
    + """
def action():
    run(5)
""",
    "PowerGate.step while on": POWER
    + """
gate.request(1, 1, 0, 0, 0, time.ms)
run(5)
def action():
    run(5)
    run(5, 6000000)
""",
    "PowerGate through all its states": POWER
    + """
def action():
    gate.request(1, 1, 0, 0, 0, time.ms)
    run(60)
    gate.request(2, 4, 0, 0, 0, time.ms)
    run(60)
    gate.request(3, 2, 500, 1, 0, time.ms)
    run(100)
    gate.request(4, 1, 0, 0, 0, time.ms)
    run(60)
    run(10, 9000000)
    gate.request(5, 3, 0, 0, 0, time.ms)
    run(60)
    gate.request(6, 9, 0, 0, 0, time.ms)
""",
}
METER = """
from array import array
from racklet_hat.meter import Meter
class Monitor:
    supply_uv = 5100000
    supply_ua = -900000
    supply_uw = 4600000
    temperature_mc = 41000
    def configure(self): return True
    def sample(self, now_ms): return True
    def sample_temperature(self): pass
    def take_energy_uj(self): return 900000000
    def take_charge_uc(self): return 90000000
meter = Meter(Monitor())
slots = array("i", bytes(96))
"""
MONITOR = """
from racklet_hat.ina228 import Ina228
class Registers:
    def readfrom_mem_into(self, address, register, buf):
        buf[0] = buf[1] = 0
        if register == 0x3E: buf[0] = 0x54
        if register == 0x3E: buf[1] = 0x49
        if register == 0x3F: buf[0], buf[1] = 0x22, 0x81
        if register == 0x07: buf[0] = 0xF0
        if register == 0x05: buf[0] = 0x19
        if register == 0x08: buf[0] = 0x01
        if register == 0x0B: buf[0], buf[1] = 0x80, 0x43
        if register == 0x09: buf[3] = self.read % 250; self.read += 1
        if register == 0x0A: buf[3] = self.read % 250
    read = 0
    def writeto_mem(self, address, register, buf): pass
monitor = Ina228(Registers(), 0x40, 10000)
"""
MONITOR_226 = """
from racklet_hat.ina226 import Ina226
class Registers:
    def readfrom_mem_into(self, address, register, buf):
        buf[0], buf[1] = 0x0F, 0xF0
        if register == 0xFE: buf[0], buf[1] = 0x54, 0x49
        if register == 0xFF: buf[0], buf[1] = 0x22, 0x60
        if register == 0x01: buf[0], buf[1] = 0x7D, 0x00
        if register == 0x06: buf[0], buf[1] = 0x80, 0x19
    def writeto_mem(self, address, register, buf): pass
monitor = Ina226(Registers(), 0x40, 10000)
"""
ACTIONS |= {
    "Meter.sample": METER
    + """
def action():
    meter.sample(7)
""",
    "Meter.fill": METER
    + """
def action():
    for _ in range(30):
        meter.sample(7)
    meter.fill(slots)
""",
    "Ina228": MONITOR
    + """
def action():
    monitor.configure()
    monitor.sample(1000)
    monitor.sample_temperature()
    monitor.take_energy_uj()
    monitor.take_charge_uc()
""",
    "Ina226": MONITOR_226
    + """
def action():
    monitor.configure()
    monitor.sample(1000)
    monitor.sample(1020)
    monitor.sample(1060)
    monitor.take_energy_uj()
    monitor.take_charge_uc()
""",
    "Limits.take": """
from array import array
from racklet_hat.limits import Limits
limits = Limits()
slots = array("i", [3000, 50, 5300, 4700, 200, 70000, 80, 400, 7000, 4000, 600000])
def action():
    limits.take(slots)
""",
    "Waveform": """
from racklet_hat.waveform import Waveform
waveform = Waveform()
def action():
    for _ in range(70):
        waveform.add(5100000, -900000)
    waveform.trip(5)
    for _ in range(65):
        waveform.add(5100000, -900000)
    waveform.clear()
""",
    "Restore": """
from racklet_hat.restore import Restore
restore = Restore(bytearray(4), True, False)
def action():
    restore.set(2, 600000)
    restore.follow(3)
    restore.step(12000000, 1, False, 2**30 - 1)
    restore.follow(1)
    restore.set(3, 0)
    restore.step(5, 1, False, 0)
""",
    "Clock.turn": """
from racklet_hat.clock import Clock
clock = Clock()
def action():
    clock.turn(2**30 - 1)
    clock.turn(0)
""",
}


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in ACTIONS.items()])
def test_what_is_called_all_the_time_takes_no_heap(code: str) -> None:
    assert heap_taken(code) == 0


# A link that is up, and what it hears in its round.
ROUND = (
    LINK
    + """
from racklet_link import kernels_micropython, seal
MAC = bytes(32)
kernels_micropython.hmac_sha256 = lambda key, buf, start, end: MAC  # it takes heap here, and on a HAT's chip none
seal.hmac_matches = lambda key, buf, end: True
class Duties:
    hat_id = bytes(8)
    def load_key(self): return MAC
    def random(self, size): return bytes(size)
    def set_power(self, request_id, action, grace_ms, force, off_ms): return 1
    def identify(self, duration_ms): return 1
    def set_limits(self, slots): return 1
    def set_clock(self, unix_ms): pass
    def type_console(self, buf, start, size): return size
    def fill_hello(self, hello): pass
    def fill_reply(self, reply): pass
    def fill_telemetry(self, telemetry): pass
ring = LogRing(2048)
queue = EventQueue(4)
link = HatLink(7, ring, queue, Duties())
knock = {knock!r}
welcome = {welcome!r}
heard = {heard!r}
time.ms = 0
link.receive(knock, len(knock), 0)
link.poll(0, 0)
link.receive(welcome, len(welcome), 0)
assert link.is_up
def action():
    time.ms = (time.ms + 50) & 0x3FFFFFFF
    {work}
    link._host_seal.number = 0
    link.receive(heard, len(heard), time.ms)
    while link.poll(time.ms, 5):
        pass
"""
)
ACKNOWLEDGE = link_pb2.Acknowledge(event_sequence=1)
ROUNDS = {
    "a link with nothing to do": (ACKNOWLEDGE, "pass", 60_000),
    "telemetry": (ACKNOWLEDGE, "pass", 50),
    "an event": (ACKNOWLEDGE, "queue.put(2, time.ms, 5, 9, -6000000)", 60_000),
    "console output": (ACKNOWLEDGE, "ring.append(welcome, 20, time.ms, 5)", 60_000),
    "a repeated request": (link_pb2.Request(id=3, identify=link_pb2.Identify()), "pass", 60_000),
    "console input": (link_pb2.ConsoleInput(data=b"abc"), "pass", 60_000),
}


@pytest.mark.parametrize(
    ("heard", "work", "period_ms"),
    [pytest.param(*row, id=name) for name, row in ROUNDS.items()],
)
def test_a_round_of_the_link_takes_no_heap(heard: ProtobufMessage, work: str, period_ms: int) -> None:
    welcome = link_pb2.Welcome(version=2, session=7, host_session=3, telemetry_period_ms=period_ms, event_sequence=1)
    knock = framed(link_pb2.Knock(nonce=bytes(16)))
    wires = {"knock": knock, "welcome": sealed_frame(welcome, Seal(KEY)), "heard": sealed_frame(heard, Seal(KEY))}
    assert heap_taken(ROUND.format(work=work, **wires)) == 0


HASH_BYTES = 448  # two hashes, their digests, a view of the buffer


@pytest.mark.parametrize("action", ["seal.put(buf, 0, 400)", "seal.opens(buf, 414)"])
def test_a_seal_takes_two_hashes_of_heap_and_no_more(action: str) -> None:
    code = f"""
from racklet_link.seal import Seal
seal = Seal(bytes(32))
buf = bytearray(500)
seal.put(buf, 0, 400)
def action():
    seal.number = 0
    {action}
"""
    assert 0 < heap_taken(code) / 100 <= HASH_BYTES
