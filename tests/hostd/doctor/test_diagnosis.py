"""Phases and findings of real captures, of the virtual rack's texts, and of what no node should send."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.doctor.diagnosis import BATCH_BYTES, BATCH_MS, SHOWN_LENGTH, Diagnosis, Finding
from racklet_hostd.doctor.lines import LINE_LIMIT, LineCutter
from racklet_hostd.doctor.phases import TIMELINE_LIMIT, PhaseStart
from racklet_hostd.doctor.signatures import known_signatures
from racklet_virtual.script import FLAVOURS, load_boot_text
from tests.conftest import ROOT

CAPTURES = ROOT.parent / "shared" / "bootlogs"
CAPTURED = {
    "qemu-edk2-https-refused": ({"firmware": b"UEFI firmware"}, ["uefi-server-refused"]),
    "qemu-raspi4b-linux6.1": (
        {"kernel": b"[    0.000000] Booting", "init": b"Run /init", "login": b"racklet-node login: "},
        [],
    ),
    "qemu-uboot2025-signed-fit-linux6.1": (
        {"u-boot": b"U-Boot 2025", "kernel": b"Starting kernel", "init": b"Run /init", "login": b"racklet-node login:"},
        [],
    ),
    "qemu-uboot2025-tampered-fit-refused": ({"u-boot": b"U-Boot 2025"}, ["image-refused"]),
    "qemu-virt-linux6.1": (
        {"kernel": b"[    0.000000] Booting", "init": b"Run /init", "login": b"racklet-node login: "},
        [],
    ),
    "rpi-zero-w-bootcode-linux6.6": (
        {"firmware": b"Raspberry Pi Bootcode", "kernel": b"[    0.000000] Booting Linux"},
        [],
    ),
    "rpi4-start4-tfa-optee-linux5.10": (
        {
            "rom": b"Read start4.elf",
            "firmware": b"Starting start4.elf",
            "tf-a": b"NOTICE:  BL31: v2.11.0",
            "kernel": b"[    0.000000] Booting Linux",
            "init": b"Run /sbin/init",
            "login": b"raspberrypi4-64-optee login: root",
        },
        ["no-lease"],
    ),
}
FLAVOUR_PHASES = {
    "raspi": ["rom", "firmware", "kernel", "init", "login"],
    "uboot": ["u-boot", "kernel", "init", "login"],
    "uefi": ["firmware", "kernel", "init", "login"],
}
PARTS = [
    b"U-Boot 2025.01 (x)\n",
    b"[    1.000000] a",
    b"Kernel panic - not syncing",
    b"\r\n",
    b"x" * 3000,
    b"a login: ",
    b"\x1b[0m",
]
HOSTILE = [
    b"x" * 4096,
    b"[ " * 2048,
    b"a@a:" * 1024,
    b"\x1b[" * 2048,
    b"\x1b[" + b"0;" * 2047,
    b"Run /" * 800,
    b"INFO: rcu_" + b"x" * 4000,
    b"INFO: task " * 300,
    b"BTRFS error (" * 300,
    b"ALERT!  " + b"x" * 4000,
    b"mmc0: error -1" * 300,
    bytes(range(256)) * 16,
    b"\r" * 4096,
    b"a" * 64 + b".login",
]


def diagnosed(data: bytes, sizes: tuple[int, ...] = (1 << 20,)) -> Diagnosis:
    """Diagnose `data` that comes in chunks of `sizes`, again and again, at one time."""
    diagnosis = Diagnosis(known_signatures(), 0)
    offset = turn = 0
    while offset < len(data):
        size = sizes[turn % len(sizes)]
        diagnosis.feed(offset, 1000, data[offset : offset + size])
        offset += size
        turn += 1
    diagnosis.break_off(1000)
    return diagnosis


def result(data: bytes, sizes: tuple[int, ...] = (1 << 20,)) -> tuple[list[PhaseStart], list[Finding]]:
    diagnosis = diagnosed(data, sizes)
    return diagnosis.phases, diagnosis.findings


def ids(diagnosis: Diagnosis) -> list[str]:
    return [finding.signature for finding in diagnosis.findings]


@pytest.mark.parametrize("name", sorted(CAPTURED))
def test_a_real_boot_is_told_right(name: str) -> None:
    path = CAPTURES / f"{name}.log"
    if not path.exists():
        pytest.skip("the captures of real boots are not here")
    data, (phases, findings) = path.read_bytes(), CAPTURED[name]
    diagnosis = diagnosed(data)
    assert [start.phase for start in diagnosis.phases] == list(phases)
    for start in diagnosis.phases:
        assert data[start.offset :].startswith(phases[start.phase])
    assert ids(diagnosis) == findings
    assert all(data[finding.offset :].lstrip().startswith(finding.line.encode()) for finding in diagnosis.findings)
    assert result(data, (1,)) == result(data, (448,)) == result(data)


@pytest.mark.parametrize("flavour", [*FLAVOURS, "refused"])
def test_a_boot_of_the_virtual_rack_is_told_right(flavour: str) -> None:
    diagnosis = diagnosed(b"".join(step.data for step in load_boot_text(flavour, "node-1")))
    if flavour == "refused":
        assert [start.phase for start in diagnosis.phases] == ["u-boot"]
        assert ids(diagnosis) == ["image-refused"]
        return
    assert [start.phase for start in diagnosis.phases] == FLAVOUR_PHASES[flavour]
    assert set(ids(diagnosis)) <= {"uefi-server-refused"}


@given(
    st.lists(st.sampled_from(PARTS) | st.binary(max_size=40)),
    st.lists(st.integers(1, 5000), min_size=1),
)
def test_where_chunks_are_cut_changes_nothing(parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(parts)
    assert result(data, tuple(sizes)) == result(data)


def test_a_prompt_is_a_login_although_its_line_has_not_ended() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 1000, b"\rnode-1 login: ")
    diagnosis.listen(1001, 0)
    assert diagnosis.phases == [PhaseStart(diagnosis.phase, 1, 1000)]
    assert diagnosis.phase == "login"


def test_what_streams_is_looked_at_when_enough_is_together_or_time_has_passed() -> None:
    line = b"Starting kernel ...\n"
    by_size, by_time = Diagnosis(known_signatures(), 0), Diagnosis(known_signatures(), 0)
    by_size.feed(0, 1000, line)
    by_time.feed(0, 1000, line)
    assert (by_size.phase, by_time.phase) == ("unknown", "unknown")
    by_size.feed(len(line), 1000, b"x" * BATCH_BYTES)
    by_time.feed(len(line), 1000 + BATCH_MS, b"x")
    assert (by_size.phase, by_time.phase) == ("kernel", "kernel")


def test_a_line_has_the_time_of_its_first_byte_wherever_the_batch_is_cut() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 1000, b"x\nStarting ")
    diagnosis.feed(11, 1100, b"kernel ...\nx\n")
    diagnosis.feed(24, 1200, b"node-1 login: \n")
    diagnosis.look()
    assert [(start.phase, start.offset, start.start_ms) for start in diagnosis.phases] == [
        ("kernel", 2, 1000),
        ("login", 24, 1200),
    ]


def test_a_node_that_went_down_is_halted_and_may_be_silent() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 1000, b"[    6.113631] Run /init as init process\n[   99.000001] reboot: Power down\n")
    diagnosis.listen(10**7, 0)
    assert diagnosis.phase == "halted"
    assert diagnosis.findings == []
    diagnosis.feed(83, 10**7, b"[    0.000000] Booting Linux on physical CPU 0x0\n")
    diagnosis.look()
    assert diagnosis.phase == "kernel"


def test_a_newer_eeprom_puts_the_seconds_before_its_lines() -> None:
    diagnosis = diagnosed(b"  7.52 Boot mode: NETWORK (02) order f\r\n  7.59 NVME off\r\n")
    assert [(start.phase, start.offset) for start in diagnosis.phases] == [("rom", 0)]


def test_a_reset_leads_back_to_the_loader_and_kernel_messages_shown_later_do_not() -> None:
    boot = b"U-Boot 2025.01-3 (Jun 24 2026)\nStarting kernel ...\nnode login: \n"
    shown = b"[    0.000000] Booting Linux on physical CPU 0x0\nD/TC:0 x\nMESS:00:00:01.0\n"
    diagnosis = diagnosed(boot + shown + boot)
    assert [start.phase for start in diagnosis.phases] == ["u-boot", "kernel", "login"] * 2
    assert all(before.offset < after.offset for before, after in pairwise(diagnosis.phases))


def test_a_kernel_without_a_loader_begins_again_after_its_farewell() -> None:
    boot = b"[    0.000000] Booting Linux on physical CPU 0x0\nnode login: \n"
    diagnosis = diagnosed(boot + b"[   99.000001] reboot: Restarting system\n" + boot)
    assert [start.phase for start in diagnosis.phases] == ["kernel", "login"] * 2


def test_the_timeline_of_a_node_that_resets_for_ever_is_bounded() -> None:
    boot = b"U-Boot 2025.01-3 (Jun 24 2026)\nStarting kernel ...\n"
    assert len(diagnosed(boot * 1000).phases) == TIMELINE_LIMIT


def test_a_signature_is_told_once_a_boot_and_counted() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    line = b"Under-voltage detected! (0x00050005)\n"
    diagnosis.feed(0, 1000, b"[    1.000000] x\n" + line)
    diagnosis.look()
    [finding] = diagnosis.take_news()
    assert (finding.offset, finding.at_ms, finding.phase) == (17, 1000, "kernel")
    diagnosis.feed(17 + len(line), 2000, line * 3)
    diagnosis.look()
    assert diagnosis.take_news() == []
    assert diagnosis.findings[0].count == 4


def test_a_line_is_shown_safely_and_cut() -> None:
    line = b"[    1.0] \x1b[31mKernel panic - not syncing\x1b[0m \x1b]0;title\x07 \xff\xc2\x9b" + b"x" * 1000
    [finding] = diagnosed(b"[    0.000000] x\n" + line).findings
    assert finding.line.startswith(r"[    1.0] Kernel panic - not syncing \x1b]0;title\x07 \xff\x9bxxx")
    assert len(finding.line) == SHOWN_LENGTH
    assert finding.line.isprintable()


def test_silence_is_counted_from_when_the_hat_could_hear() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 1000, b"Starting kernel ...\n")
    diagnosis.listen(100_000, 90_000)
    assert diagnosis.findings == []
    diagnosis.listen(150_000, 90_000)
    assert ids(diagnosis) == ["kernel-silent"]


def test_a_silence_within_a_log_is_found_when_the_log_is_read_later() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 1000, b"Starting kernel ...\n")
    diagnosis.feed(20, 62_000, b"[    0.000000] Booting Linux\n")
    diagnosis.look()
    [finding] = diagnosis.findings
    assert (finding.signature, finding.offset, finding.at_ms) == ("kernel-silent", 20, 61_000)
    assert finding.line == "Starting kernel ..."


def test_one_silence_counts_once_however_often_it_is_listened_to() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    for now_s in range(100):
        diagnosis.listen(now_s * 1000, 0)
    assert [finding.count for finding in diagnosis.findings] == [1]


def test_a_node_that_was_running_before_may_be_silent() -> None:
    diagnosis = Diagnosis(known_signatures(), 0, is_from_start=False)
    diagnosis.listen(10**6, 0)
    assert diagnosis.findings == []


def test_lines_on_both_sides_of_a_loss_are_not_joined() -> None:
    diagnosis = Diagnosis(known_signatures(), 0)
    diagnosis.feed(0, 0, b"Starting kernel \nKernel panic")
    diagnosis.break_off(0)
    diagnosis.feed(100, 0, b" - not syncing\n")
    diagnosis.look()
    assert diagnosis.findings == []


@pytest.mark.parametrize("part", HOSTILE)
def test_megabytes_of_anything_are_taken_in_bounded_memory(part: bytes) -> None:
    for opening in (b"", b"U-Boot 2025.01 (x)\n", b"Starting kernel ...\n", b"node login: \n"):
        diagnosis = diagnosed(opening + part * (1_000_000 // len(part)), (448,))
        assert len(diagnosis.findings) <= len(known_signatures().ids)
        assert all(len(finding.line) <= SHOWN_LENGTH for finding in diagnosis.findings)


def test_a_line_without_an_end_is_cut() -> None:
    cutter = LineCutter()
    blocks = [block for start in range(0, 10_000, 100) for block in cutter.feed(b"x" * 100, [(start, start)])]
    lines = [block.line(index) for block in blocks for index in range(len(block.lines))]
    assert [(line.offset, line.at_ms, len(line.data)) for line in lines] == [
        (0, 0, LINE_LIMIT),
        (LINE_LIMIT, 4000, LINE_LIMIT),
    ]
    assert cutter.unended is not None
    assert len(cutter.unended.data) == 10_000 - 2 * LINE_LIMIT
