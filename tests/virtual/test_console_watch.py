"""What a console tells of a Linux node, however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.console_watch import ConsoleWatch, Sign

BOOT = (
    b"[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd034]\r\n"
    b"[    0.849955] Run /init as init process\r\n\r\nnode-3 login: root\r\n"
    b"[    1.281931] Kernel panic - not syncing: sysrq triggered crash\r\n"
)


@given(st.lists(st.integers(1, 80), max_size=100))
def test_each_sign_is_told_once_however_the_bytes_are_cut(sizes: list[int]) -> None:
    watch, told, rest = ConsoleWatch("node-3"), [], BOOT
    for size in [*sizes, len(BOOT)]:
        told += watch.feed(rest[:size])
        rest = rest[size:]
    assert told == [Sign.KERNEL, Sign.INIT, Sign.LOGIN, Sign.PANIC]


def test_two_prompts_in_one_chunk_are_two_signs() -> None:
    assert ConsoleWatch("node-3").feed(b"\nnode-3 login: \nnode-3 login: ") == [Sign.LOGIN, Sign.LOGIN]


def test_the_login_of_another_node_is_no_sign() -> None:
    assert ConsoleWatch("node-3").feed(b"node-4 login: ") == []
