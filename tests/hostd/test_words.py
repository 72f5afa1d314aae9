"""The small pure parts: the HAT's clock, the last line, events as sentences, names in order, page tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_hostd import hat_events
from racklet_hostd.api import arguments
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.last_line import LENGTH, TAIL_BYTES, ConsoleTail
from racklet_hostd.model import SupplyState
from racklet_hostd.rack import name_order


def line_of(data: bytes) -> str:
    return ConsoleTail(data).last_line


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\nlogin: ", "login:"),
        (b"text\r\n\r\n  \n", "text"),
        (b"10%\r20%\r30%", "30%"),
        (b"\x1b[0;32m[  OK  ]\x1b[0m Started \x1b]0;title\x07it.\n", "[  OK  ] Started it."),
        (b"\x1b(B\x1b[m\x1b[?25hready\x1b[K", "ready"),
        (b"half a colour\x1b[3", "half a colour"),
        (b"bell\x07 and\x00 zero", "bell and zero"),
        ("Grüße".encode(), "Grüße"),
        ("Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}".encode()[:-1], "Gr"),
        (b"\xff\xfebroken", "broken"),
        (b"tab\there", "tab here"),
        ("line\u2028separator".encode(), "lineseparator"),
    ],
)
def test_the_last_line_is_what_a_person_would_read(data: bytes, line: str) -> None:
    assert line_of(data) == line


@given(st.binary(max_size=3 * TAIL_BYTES))
def test_the_last_line_of_anything_is_short_and_printable(data: bytes) -> None:
    line = line_of(data)
    assert len(line) <= LENGTH
    assert all(char.isprintable() or ord(char) >= 0xA0 for char in line)


@given(st.lists(st.binary(max_size=300)))
def test_the_last_line_does_not_depend_on_how_the_bytes_come(parts: list[bytes]) -> None:
    tail = ConsoleTail()
    for part in parts:
        tail.feed(part)
    assert tail.last_line == line_of(b"".join(parts))


@pytest.mark.parametrize("kind", sorted(set(link_pb2.EventKind.values()) - {0}))
def test_every_event_is_a_sentence(kind: link_pb2.EventKind.ValueType) -> None:
    word, sentence = hat_events.describe(link_pb2.Event(kind=kind, value=2, limit=1, detail=3))
    assert word == link_pb2.EventKind.Name(kind).removeprefix("EVENT_KIND_").lower()
    assert sentence[0].isupper()
    assert sentence.endswith(".")


@given(st.integers(0, 1 << 30), st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, (1 << 32) - 1))
def test_an_event_of_any_numbers_can_be_told(kind: int, value: int, detail: int) -> None:
    event = link_pb2.Event(kind=link_pb2.EventKind.ValueType(kind), value=value, limit=value, detail=detail)
    word, sentence = hat_events.describe(event)
    assert word
    assert sentence


def test_values_come_with_their_units() -> None:
    event = link_pb2.Event(kind=link_pb2.EVENT_KIND_UNDER_VOLTAGE, value=4_512_000, limit=4_600_000)
    assert hat_events.describe(event) == (
        "under_voltage",
        "The supply fell to 4.512 V, below the limit of 4.600 V, and was cut.",
    )


@given(st.integers(-(1 << 31), 1 << 31))
def test_a_supply_state_that_is_not_known_is_unspecified(number: int) -> None:
    state = SupplyState.of(number)
    assert state == number or state is SupplyState.UNSPECIFIED


def test_names_are_ordered_as_people_count() -> None:
    names = ["pi", "node-10", "node-9", "node-1", "node-1b", "node"]
    assert sorted(names, key=name_order) == ["node", "node-1", "node-1b", "node-9", "node-10", "pi"]


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="\n", codec="utf-8")))
def test_a_token_leads_back_to_its_position_in_its_list_only(position: str) -> None:
    token = arguments.page_token("boots of node-1", position)
    assert arguments.page_position(token, "boots of node-1") == position
    with pytest.raises(BadArgumentError):
        arguments.page_position(token, "boots of node-2")


@given(st.text(min_size=1))
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(BadArgumentError):
        arguments.number_position(token, "events of all")
