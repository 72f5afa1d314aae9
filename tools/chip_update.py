"""An update of an emulated HAT over the link, as hostd brings one, with the power cut where it is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from racklet.link.v1 import link_pb2
from racklet_bundle.bundle import Bundle
from racklet_emulator.image import flash_image
from tools.chip_host import PowerLostError
from tools.firmware_build import CHIP, build
from tools.hat_files import hat_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from racklet_bundle.lms_tree import LmsTree
    from racklet_emulator.chip import Cut
    from racklet_emulator.parts import Parts
    from tools.chip_host import ChipHost

_SEND_MS: Final = 120_000
_CHECK_MS: Final = 10_000
_START_MS: Final = 15_000  # a watchdog that ends firmware which hangs takes 8 s of it

PlannedCut = tuple[int, "Cut"]  # at which operation of the flash from then on, 1 being the next


class UpdateRefusedError(Exception):
    """The HAT has refused it; the message says the reason's name."""


@dataclass
class Course:
    """How an update went: every start of the HAT within it, and how long its parts took, in emulated milliseconds."""

    starts: list[link_pb2.Hello] = field(default_factory=list)
    after_cuts: list[link_pb2.Hello] = field(default_factory=list)  # those of them that a cut was before
    head_ms: int = 0  # to check the signature, while all else goes on
    send_ms: int = 0  # to take the files and write them
    check_ms: int = 0  # to check signature and files again
    sending_operations: int = 0  # of the flash


def bundle_for_chip(version: str, security_version: int, tree: LmsTree, leaf: int) -> Bundle:
    """Return this checkout's firmware for the chip, signed. Whose tree it is sees to it that no leaf is used twice."""
    bundle = build(CHIP, version=version, security_version=security_version)
    manifest = bundle.manifest.encode()
    return Bundle(bundle.manifest, bundle.files, tree.identity + tree.sign(leaf, bytes(32), manifest))


def flashed_image(parts: Parts, bundle: Bundle, key: bytes) -> bytes:
    """Return the flash as `just flash` leaves it."""
    return flash_image(parts.micropython.read_bytes(), hat_files(bundle, [key], "hat-a", CHIP))


def update(
    host: ChipHost, bundle: Bundle, sending: Sequence[PlannedCut] = (), finishing: Sequence[PlannedCut] = ()
) -> Course:
    """Bring an update until it is confirmed or left again; after each power cut go on as hostd does.

    The cuts of `sending` come one after the other, each counted from the start before it, and those of `finishing`
    after them, counted from where the HAT is asked for the last check. Raises UpdateRefusedError, and RuntimeError when
    a planned cut did not strike.
    """
    course = Course()
    left, left_finishing = list(sending), list(finishing)
    start = host.hellos[-1]
    while start.on_probation or start.firmware != bundle.manifest.version:
        try:
            if left:
                host.cut_power_at(*left.pop(0))
            if not start.on_probation:
                _bring(host, bundle, course)
                if not left and not host.awaits_cut and left_finishing:
                    host.cut_power_at(*left_finishing.pop(0))
                _finish(host, course)
                start = host.greet(_START_MS)
                course.starts.append(start)
            if start.fell_back:
                break
            _judge(host.ask(link_pb2.ConfirmUpdate()))
            break
        except PowerLostError:
            start = _power_up(host, course)
    if host.awaits_cut or left or left_finishing:
        raise RuntimeError("a cut was planned for later than the end of the update")
    return course


def _power_up(host: ChipHost, course: Course) -> link_pb2.Hello:
    """Give the power back; return what started."""
    host.hat.power_up()
    start = host.greet(_START_MS)
    course.starts.append(start)
    course.after_cuts.append(start)
    return start


def _bring(host: ChipHost, bundle: Bundle, course: Course) -> None:
    """Send it until all is written."""
    hat, stream = host.hat, bundle.stream
    before = hat.chip.flash_operations
    begin = link_pb2.BeginUpdate(
        manifest_bytes=len(bundle.manifest.encode()),
        signature_bytes=len(bundle.signature),
        files_bytes=bundle.manifest.size,
        digest=bundle.digest,
    )
    _judge(host.ask(begin))
    begun_ms, first = hat.now_ms, len(host.updates)  # what was told before may be of an earlier update
    host.link.send_update(stream, hat.now_ms)
    host.run_until(lambda: _is_written(host.updates[first:], len(stream)), _SEND_MS)
    host.link.send_update(b"", hat.now_ms)
    told = host.updates[first:]
    files_ms = _first_ms(told, link_pb2.UPDATE_STATE_FILES, begun_ms)
    verified_ms = _first_ms(told, link_pb2.UPDATE_STATE_CLEARING, files_ms)
    course.head_ms = verified_ms - _first_ms(told, link_pb2.UPDATE_STATE_VERIFYING, begun_ms)
    course.send_ms = hat.now_ms - files_ms
    course.sending_operations = hat.chip.flash_operations - before


def _is_written(told: Sequence[tuple[int, link_pb2.UpdateProgress]], size: int) -> bool:
    if not told:
        return False
    _, progress = told[-1]
    if progress.state == link_pb2.UPDATE_STATE_REFUSED:
        raise UpdateRefusedError(link_pb2.UpdateRefusal.Name(progress.refusal))
    return progress.state == link_pb2.UPDATE_STATE_FILES and progress.offset == size


def _first_ms(
    told: Sequence[tuple[int, link_pb2.UpdateProgress]], state: link_pb2.UpdateState.ValueType, default: int
) -> int:
    return next((at_ms for at_ms, progress in told if progress.state == state), default)


def _finish(host: ChipHost, course: Course) -> None:
    """Have all of it checked; the HAT starts anew then."""
    begun_ms = host.hat.now_ms
    _judge(host.ask(link_pb2.FinishUpdate(), _CHECK_MS))
    course.check_ms = host.hat.now_ms - begun_ms


def _judge(reply: link_pb2.Reply) -> None:
    if reply.result != link_pb2.RESULT_DONE:
        raise UpdateRefusedError(f"{link_pb2.Result.Name(reply.result)}, {link_pb2.UpdateRefusal.Name(reply.detail)}")
