"""The console of a node that is up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.shell import Order, Shell

KERNEL_LINES = (b"[    1.000000] one", b"[    2.000000] two")


def typed(shell: Shell, text: bytes) -> tuple[bytes, list[Order]]:
    reactions = [shell.type(byte, 65) for byte in text]
    return b"".join(reaction.output for reaction in reactions), [r.order for r in reactions if r.order is not None]


def logged_in() -> Shell:
    shell = Shell("node-2", KERNEL_LINES)
    typed(shell, b"root\rsecret\r")
    return shell


def test_a_login_echoes_the_name_and_hides_the_password() -> None:
    output, _ = typed(Shell("node-2", KERNEL_LINES), b"root\rsecret\r")
    assert output == b"root\r\nPassword: \r\nWelcome to node-2. Type help.\r\nroot@node-2:~# "


def test_an_empty_name_asks_again() -> None:
    assert typed(Shell("node-2", KERNEL_LINES), b"\r")[0] == b"\r\nnode-2 login: "


def test_commands_answer() -> None:
    shell = logged_in()
    assert b"up 1 min 5 s" in typed(shell, b"uptime\r")[0]
    assert b"Linux node-2" in typed(shell, b"uname -a\r")[0]
    assert b"one\r\n[    2.000000] two\r\n" in typed(shell, b"dmesg\r")[0]
    assert b"\r\nhello you\r\n" in typed(shell, b"echo hello you\r")[0]
    assert b"poweroff" in typed(shell, b"help\r")[0]
    assert b"-sh: make: not found" in typed(shell, b"make coffee\r")[0]


def test_orders_go_to_the_node() -> None:
    for order in Order:
        assert typed(logged_in(), order.encode() + b"\r")[1] == [order]


def test_orders_need_a_login() -> None:
    assert typed(Shell("node-2", KERNEL_LINES), b"panic\rpanic\r")[1] == []


def test_editing_keys_work() -> None:
    shell = logged_in()
    assert typed(shell, b"ab\x7f\x08\x7f")[0] == b"ab\b \b\b \b"
    assert typed(shell, b"x\x03")[0] == b"x^C\r\nroot@node-2:~# "
    assert typed(shell, b"\x04")[0].endswith(b"node-2 login: ")


def test_a_long_line_is_cut() -> None:
    output, _ = typed(logged_in(), b"x" * 1000)
    assert len(output) == 200


@given(st.binary(max_size=300))
def test_any_typing_is_survived(data: bytes) -> None:
    typed(logged_in(), data)
