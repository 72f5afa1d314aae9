"""Names, numbers and keys: the small pure parts."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from racklet_client.console_input import ConsoleInput
from racklet_client.names import boot_number, short_name
from racklet_hostd.cli import units
from racklet_hostd.cli.names import natural_key, node_resource
from racklet_hostd.cli.raw_terminal import EscapeKey, KeyAction, Question
from racklet_hostd.cli.since import moment

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("10 min ago", timedelta(minutes=10)),
        ("1 hour ago", timedelta(hours=1)),
        ("2 hours", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("2026-11-22T11:30:00Z", timedelta(minutes=30)),
        ("2026-11-22 13:30+02:00", timedelta(minutes=30)),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago_it_was(text: str, ago: timedelta) -> None:
    assert moment(text, NOW) == NOW - ago


def test_a_time_without_a_zone_is_one_of_this_computer() -> None:
    assert moment("2026-11-22T11:30", NOW) == datetime(2026, 11, 22, 11, 30).astimezone(UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "10", "10 parsec", "-5m", "999999999d", "0001-01-01", "1969-12-31T00:00Z", "٣m", "22.11.2026"]
)
def test_what_is_no_moment_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment(text, NOW)


@given(st.text())
def test_any_text_is_a_moment_or_wrong_usage(text: str) -> None:
    with suppress(typer.BadParameter):
        assert moment(text, NOW).tzinfo is UTC


def test_a_node_is_named_with_or_without_its_collection() -> None:
    assert node_resource("node-3") == node_resource("nodes/node-3") == "nodes/node-3"


@pytest.mark.parametrize("name", ["", "nodes/", "nodes/a/boots/1", "no de", "a\x1b"])
def test_what_can_be_no_name_is_wrong_usage(name: str) -> None:
    with pytest.raises(typer.BadParameter):
        node_resource(name)


def test_short_names_are_for_people() -> None:
    assert (short_name("nodes/node-3"), boot_number("nodes/node-3/boots/17"), boot_number("")) == ("node-3", "17", "")


def test_names_sort_as_people_count() -> None:
    names = ["a", "node-1", "node-2", "node-10", "node-10b", "rack-1-node-2", "rack-2-node-1"]
    assert sorted(sorted(names), key=natural_key) == names


@given(st.lists(st.text()))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    sorted(names, key=natural_key)


@pytest.mark.parametrize(
    ("uj", "text"),
    [(0, "0.0 J"), (812_400_000, "812.4 J"), (3_600_000_000, "1.00 Wh"), (5_000 * 3_600_000_000, "5.00 kWh")],
)
def test_energy_has_a_unit_that_fits(uj: int, text: str) -> None:
    assert units.energy(uj) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0:00"), (42.9, "0:42"), (3_802, "1:03:22"), (3 * 86_400 + 15_000, "3d 4h")]
)
def test_spans_read_like_clocks(seconds: float, text: str) -> None:
    assert units.span(seconds) == text


def test_a_lost_count_of_zero_means_unknown() -> None:
    assert [units.byte_count(count) for count in (0, 1, 2)] == ["an unknown number of bytes", "1 byte", "2 bytes"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (b"ls\r", [b"ls\r"]),
        (b"\x1dq", [KeyAction.LEAVE]),
        (b"ab\x1dqcd", [b"ab", KeyAction.LEAVE]),
        (b"a\x1d?b", [b"a", KeyAction.HELP, b"b"]),
        (b"\x1d\x1d", [b"\x1d"]),
        (b"\x1dx", [b"\x1dx"]),
        (b"q?\x03", [b"q?\x03"]),
        (b"\x1dw\x1dt\x1di", [KeyAction.WHO, KeyAction.TAKE_OVER, KeyAction.IDENTIFY]),
        (b"\x1dcyz", [Question(KeyAction.CYCLE), KeyAction.CYCLE, b"z"]),
        (
            b"\x1dfn\x1doY",
            [Question(KeyAction.FORCE_OFF), KeyAction.NOTHING, Question(KeyAction.POWER_ON), KeyAction.POWER_ON],
        ),
        (b"\x1ds\x1dq", [Question(KeyAction.SHUT_DOWN), KeyAction.NOTHING, b"q"]),
    ],
)
def test_the_escape_key_is_found_also_when_it_comes_byte_by_byte(
    typed: bytes, found: list[bytes | KeyAction | Question]
) -> None:
    assert EscapeKey().feed(typed) == found
    slow = EscapeKey()
    pieces: list[bytes | KeyAction | Question] = []
    for code in typed:
        for wanted in slow.feed(bytes((code,))):
            if isinstance(wanted, bytes) and pieces and isinstance(pieces[-1], bytes):
                pieces[-1] += wanted
            else:
                pieces.append(wanted)
        if KeyAction.LEAVE in pieces:
            break
    assert pieces == found


def test_what_is_typed_is_held_until_hostd_tells_to_have_it() -> None:
    typed = ConsoleInput()
    assert [typed.type(data).input_offset for data in (b"abc", b"de")] == [0, 3]
    typed.told(4)
    typed.told(2)
    rest = typed.rest()
    assert rest is not None
    assert (typed.offset, rest.data, rest.input_offset) == (4, b"e", 4)
    assert typed.give_up() == 1
    assert typed.rest() is None
    assert typed.type(b"f").input_offset == 4
