"""hostd's own log: one line an event, for a person or as JSON.

    log.info("link up", extra={"hat": hat_id, "attempt": 3})
    2026-11-22T05:00:00.123Z INFO link up hat=e6614c775b1f2c2a attempt=3
    {"time": "2026-11-22T05:00:00.123Z", "level": "info", "logger": "…", "event": "link up", "hat": "…", "attempt": 3}

Whatever a peer wrote may stand in it: texts are cut, and control characters are escaped, so that nobody can forge a
line or move the cursor of who reads it.
"""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from math import isfinite
from typing import Literal, TextIO

VALUE_LIMIT = 200  # characters of a value that are shown
MESSAGE_LIMIT = 1000  # characters of the message, which may be another library's
TRACEBACK_LIMIT = 20_000  # characters, of the end, which says most

_KNOWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def start_logging(level: str, form: Literal["text", "json"], stream: TextIO) -> None:
    """Send what is logged at `level` or above, Python's warnings too, to `stream`, in the given form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if form == "text" else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


class TextFormatter(logging.Formatter):
    """One line an event; a traceback follows in lines of its own, each set off with a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        pairs = "".join(f" {name}={_quoted(value)}" for name, value in _extra(record))
        line = f"{_time(record)} {record.levelname} {_escaped(_message(record))}{pairs}"
        return "\n  | ".join([line, *(_escaped(part) for part in _traceback(record).splitlines())])


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
        }
        fields |= {name: _plain(value) for name, value in _extra(record) if name not in fields}
        if traceback := _traceback(record):
            fields["traceback"] = traceback
        return json.dumps(fields)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    return ((name, value) for name, value in record.__dict__.items() if name not in _KNOWN)


def _message(record: logging.LogRecord) -> str:
    return _cut(record.getMessage(), MESSAGE_LIMIT)


def _plain(value: object) -> str | int | float | None:
    """Return what JSON can tell, bounded."""
    if isinstance(value, bool | int | None) or (isinstance(value, float) and isfinite(value)):
        return value
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes | bytearray) else str(value)
    return _cut(text, VALUE_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _quoted(value: object) -> str:
    text = _escaped(str(_plain(value)))
    if text and not set(text) & set(' "='):
        return text
    return f'"{text.replace(chr(34), chr(92) + chr(34))}"'


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(part if part.isprintable() else part.encode("unicode_escape").decode() for part in text)


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    return logging.Formatter().formatException(record.exc_info)[-TRACEBACK_LIMIT:]
