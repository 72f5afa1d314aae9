"""hostd's log: one line an event, whatever a peer wrote."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.log import VALUE_LIMIT, JsonFormatter, TextFormatter, start_logging

PLACES = st.text() | st.binary() | st.integers() | st.floats() | st.none() | st.booleans()


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)


def logged(form: Literal["text", "json"], message: str, **extra: object) -> str:
    stream = io.StringIO()
    start_logging("info", form, stream)
    logging.getLogger("racklet.test").info(message, extra=extra)
    return stream.getvalue()


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "racklet", **extra})


def test_a_line_has_its_time_its_level_and_its_values() -> None:
    line = logged("text", "link up", hat="e6614c77", attempt=3, port=None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO link up hat=e6614c77 attempt=3 port=None\n", line)


def test_an_object_has_its_time_its_level_and_its_values() -> None:
    found = json.loads(logged("json", "link up", hat="e6614c77", attempt=3, port=None, good=True))
    assert re.fullmatch(r"[-0-9]{10}T[:.0-9]{12}Z", found.pop("time"))
    assert found == {
        "level": "info",
        "logger": "racklet.test",
        "event": "link up",
        "hat": "e6614c77",
        "attempt": 3,
        "port": None,
        "good": True,
    }


def test_a_value_cannot_take_the_place_of_what_hostd_says() -> None:
    assert json.loads(logged("json", "link up", event="forged"))["event"] == "link up"


def test_values_with_spaces_are_quoted() -> None:
    assert logged("text", "x", problem='no "such" port', empty="").endswith(
        r' problem="no \"such\" port" empty=""' "\n"
    )


def test_long_values_are_cut() -> None:
    assert len(logged("text", "x", line="y" * 10_000, raw=b"z" * 10_000)) < 2 * VALUE_LIMIT + 100


def test_bytes_of_a_peer_are_shown_as_text() -> None:
    assert "line=login:\\x1b[2J\\xff\n" in logged("text", "x", line=b"login:\x1b[2J\xff")
    assert json.loads(logged("json", "x", line=b"login:\x1b[2J\xff"))["line"] == "login:\x1b[2J\\xff"


@given(st.text(), st.dictionaries(st.sampled_from(["hat", "line", "peer"]), PLACES))
def test_a_text_line_is_one_printable_line(message: str, extra: dict[str, object]) -> None:
    assert TextFormatter().format(record(message, **extra)).isprintable()


@given(st.text(), st.dictionaries(st.sampled_from(["hat", "line", "peer"]), PLACES))
def test_a_json_line_is_one_line_of_json(message: str, extra: dict[str, object]) -> None:
    line = JsonFormatter().format(record(message, **extra))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line, parse_constant=pytest.fail).keys() >= extra.keys()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_cannot_forge_a_line(form: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    start_logging("info", form, stream)
    try:
        raise ValueError("bad\n2026-11-22T05:00:00.123Z INFO all is well")  # noqa: TRY301  to be caught here
    except ValueError:
        logging.getLogger("racklet.test").exception("task failed")
    first, *others = stream.getvalue().splitlines()
    assert "task failed" in first
    assert all(line.startswith("  | ") for line in others)
    assert "all is well" in stream.getvalue()


def test_levels_below_are_left_out_and_warnings_of_python_are_in() -> None:
    stream = io.StringIO()
    start_logging("warning", "text", stream)
    logging.getLogger("racklet.test").info("quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old call", stacklevel=1)
    assert "quiet" not in stream.getvalue()
    assert "old call" in stream.getvalue()
