"""What a frame costs: bits on the line, and CPU of the host."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from racklet.link.v1 import link_pb2
from racklet_link.events import StoredPositions
from racklet_link.framing import FrameDecoder
from racklet_link.host import HostLink
from racklet_link.limits import LOG_DATA_MAX, NONCE_SIZE
from racklet_link.message import Message
from racklet_virtual.script import load_boot_text
from tests.bench.measure import cpu_us, interleaved
from tests.bench.report import Report, Row
from tests.bench.wire import KEY as BENCH_KEY
from tests.bench.wire import HatSeal, measured, seal, unseal
from tests.protocol.seals import HAT_ID, KEY
from tests.protocol.simulation import Hat, Host

BYTE_BITS = 8
UART_BITS = 10  # 8N1: a start bit and a stop bit
UART_BYTE_US = 87  # at 115 200 baud
TURN_MS = 5  # of the firmware's tasks
SYNC_MS = 1000
LINE_BYTES = 4 * 519  # what the firmware says in a turn: four frames
RING_BYTES = 16 << 10
FRAMES = 64  # in one timed call


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, the milliseconds of each run in a round, and the milliseconds of the boot."""

    rounds: int
    span_ms: int
    boot_ms: int


FULL = Size(rounds=5, span_ms=50, boot_ms=60_000)
SMALLEST = Size(rounds=1, span_ms=1, boot_ms=4_000)


@dataclass(slots=True)
class Traffic:
    """What a boot put on the link: console bytes, and bytes on the line by the kind of the message."""

    console_bytes: int
    line_bytes: Counter[str]


def run(size: Size) -> Report:
    """Count bits, time frames."""
    boot = play_boot(size.boot_ms)
    return Report(
        "framing: COBS(protobuf ‖ CRC-32) ‖ 0x00",
        [
            "Bits: of what carries console bytes, payload is those; else it is the message without its frame.",
            "peer: the same payload on a bare 8N1 UART, 10 bits a byte, no checksum, place or time. limit: 8 bits.",
            "Boot: the virtual rack's boot text 'raspi' at 115 200 baud with its pauses, through the HAT's and",
            f"hostd's ends of the link, with telemetry and acknowledgements every {SYNC_MS} ms.",
            "CPU: peer: cobs and zlib.crc32 alone, both C, on the same bytes.",
            f"Medians of {size.rounds} rounds in turns.",
        ],
        [_bits(boot), _cpu(size)],
    )


def play_boot(span_ms: int) -> Traffic:
    """Let a node boot for at most `span_ms` of its time behind a simulated HAT; return what the link carried."""
    hat, host = Hat(1000, RING_BYTES), Host(HostLink(1, SYNC_MS, 0, {HAT_ID: KEY}.get, os.urandom))
    hat.duties.fill_telemetry = _fill_telemetry  # type: ignore[method-assign]
    hat.log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, 0, 0)
    arriving = _arrivals()
    sent, line_bytes = 0, Counter[str]()
    to_hat = b""
    for now_ms in range(0, span_ms, TURN_MS):
        while arriving and arriving[-1][0] <= now_ms * 1000:
            data = arriving.pop()[1]
            hat.log.append(data, len(data), now_ms, 0)
            sent += len(data)
        to_host = hat.step(now_ms, to_hat, LINE_BYTES)
        to_hat = host.step(now_ms, to_host)
        if now_ms % SYNC_MS == 0:
            to_hat += host.sync(now_ms)
        for frame in (to_host + to_hat).split(b"\0")[:-1]:
            if frame:
                line_bytes[_kind(frame)] += len(frame) + 1
        if not arriving and not hat.log.held_bytes:
            break
    return Traffic(sent, line_bytes)


def _arrivals() -> list[tuple[int, bytes]]:
    """Return (microsecond, bytes) of what the node sends, the last first, a few bytes at a time."""
    arrivals: list[tuple[int, bytes]] = []
    now_us = 0
    for step in load_boot_text("raspi", "node-1"):
        now_us += step.pause_us
        for start in range(0, len(step.data), 16):
            part = step.data[start : start + 16]
            now_us += len(part) * UART_BYTE_US
            arrivals.append((now_us, part))
    return arrivals[::-1]


NOT_A_SLOT = ("sequence", "at_ms", "energy_uj", "charge_uc")  # the link fills two, two take more than a slot


def _fill_telemetry(telemetry: Message) -> None:
    """Do as the firmware does: every field."""
    fields = measured(1, 1)
    singles = [f.name for f in fields.DESCRIPTOR.fields if f.name not in NOT_A_SLOT]
    slots = [slot for slot in range(3, 22) if slot not in (13, 14)]
    for slot, name in zip(slots, singles, strict=True):
        telemetry.slots[slot] = getattr(fields, name)
    telemetry.put_number(13, fields.energy_uj)
    telemetry.put_number(22, fields.charge_uc)


def _kind(frame: bytes) -> str:
    return link_pb2.Frame.FromString(unseal(frame + b"\0")).WhichOneof("body") or "none"


def _bits(boot: Traffic) -> list[Row]:
    record = _met().seal(_log_record(1 << 20))
    telemetry, acknowledge = measured(100_000, 86_400_000), _acknowledge()
    cases = {
        f"log record of {LOG_DATA_MAX} bytes": (len(record), LOG_DATA_MAX),
        "log records of a boot": (boot.line_bytes["log_record"], boot.console_bytes),
        "all frames of a boot, both ways": (boot.line_bytes.total(), boot.console_bytes),
        "telemetry": (len(_met().seal(link_pb2.Frame(telemetry=telemetry))), telemetry.ByteSize()),
        "acknowledge": (len(_met().seal(link_pb2.Frame(acknowledge=acknowledge))), acknowledge.ByteSize()),
    }
    return [
        Row(f"{what}, {line} on {payload}", "line bits/payload byte", BYTE_BITS * line / payload, UART_BITS, BYTE_BITS)
        for what, (line, payload) in cases.items()
    ]


def _cpu(size: Size) -> list[Row]:
    hat = _met()
    hat.hello()
    records = [hat.seal(_log_record(index * LOG_DATA_MAX)) for index in range(FRAMES)]
    telemetries = [hat.seal(link_pb2.Frame(telemetry=measured(index, 1000 * index))) for index in range(FRAMES)]
    acknowledge = link_pb2.Frame(acknowledge=_acknowledge()).SerializeToString()
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "log record to payload": (partial(_decode, records), partial(_unseal_all, records)),
        "log record to LogData": (partial(_receive, records), partial(_unseal_all, records)),
        "telemetry to payload": (partial(_decode, telemetries), partial(_unseal_all, telemetries)),
        "telemetry to Telemetry": (partial(_receive, telemetries), partial(_unseal_all, telemetries)),
        "stored positions to acknowledge": (_acknowledge_all, partial(_seal_all, acknowledge)),
    }
    return [_cpu_row(what, ours, peer, size) for what, (ours, peer) in cases.items()]


def _cpu_row(what: str, ours: Callable[[], object], peer: Callable[[], object], size: Size) -> Row:
    runs = {"ours": partial(cpu_us, ours, size.span_ms), "peer": partial(cpu_us, peer, size.span_ms)}
    medians = interleaved(size.rounds, runs)
    return Row(what, "µs of CPU/frame", medians["ours"] / FRAMES, medians["peer"] / FRAMES)


def _met() -> HatSeal:
    """Return the seal of a HAT that heard the Knock of a `_talking_link`."""
    hat = HatSeal(1)
    hat.hear(link_pb2.Frame(knock=link_pb2.Knock(nonce=bytes(NONCE_SIZE))))
    return hat


def _log_record(offset: int) -> link_pb2.Frame:
    text = b"[    1.234567] usb 1-1: new high-speed USB device number 2 using xhci_hcd\r\n"
    record = link_pb2.LogRecord(boot=1, offset=offset, at_ms=86_400_000, data=(text * 7)[:LOG_DATA_MAX])
    return link_pb2.Frame(log_record=record)


def _acknowledge() -> link_pb2.Acknowledge:
    return link_pb2.Acknowledge(log_boot=3, log_offset=1 << 20, event_sequence=12)


def _decode(frames: list[bytes]) -> None:
    decoder = FrameDecoder()
    for frame in frames:
        decoder.feed(frame, len(frame))
        while decoder.next_frame() >= 0:
            pass


def _unseal_all(frames: list[bytes]) -> None:
    for frame in frames:
        unseal(frame)


def _receive(frames: list[bytes]) -> None:
    """Take the frames on a link that is up and has the log's first boot."""
    link = _talking_link()
    for frame in frames:
        link.receive(frame, 1)


def _acknowledge_all() -> None:
    link = _talking_link()
    for offset in range(FRAMES):
        link.acknowledge(StoredPositions(3, (1 << 20) + offset, 12), 1)
        link.take_output()


def _seal_all(payload: bytes) -> None:
    for _ in range(FRAMES):
        seal(payload)


def _talking_link() -> HostLink:
    link = HostLink(1, SYNC_MS, 0, lambda _: BENCH_KEY, bytes)
    link.receive(_met().hello(), 0)
    link.welcome(StoredPositions(1, 0, 1), 0, 0)
    link.take_output()
    return link
