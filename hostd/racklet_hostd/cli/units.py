"""Numbers and times as people read them."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

_MICRO = 1_000_000
_UJ_PER_WH = 3_600 * _MICRO
_KILO = 1_000
MS_PER_S = 1_000
_SHORT_S = 120


def volts(uv: int) -> str:
    """Return volts with three places."""
    return f"{uv / _MICRO:.3f}"


def amperes(ua: int) -> str:
    """Return amperes with three places."""
    return f"{ua / _MICRO:.3f}"


def watts(uw: int) -> str:
    """Return watts with two places."""
    return f"{uw / _MICRO:.2f}"


def energy(uj: int) -> str:
    """Return joules below a watt-hour, then watt-hours, then kilowatt-hours, with the unit."""
    if uj < _UJ_PER_WH:
        return f"{uj / _MICRO:.1f} J"
    if uj < _KILO * _UJ_PER_WH:
        return f"{uj / _UJ_PER_WH:.2f} Wh"
    return f"{uj / _UJ_PER_WH / _KILO:.2f} kWh"


def byte_count(count: int) -> str:
    """Return "1 byte" or "512 bytes"; 0 stands for a number that is not known."""
    if count == 0:
        return "an unknown number of bytes"
    return "1 byte" if count == 1 else f"{count} bytes"


def span(seconds: float) -> str:
    """Return "0:42", "1:03:22" or "3d 4h"; never negative."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour}h"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def short_span(span_ms: int) -> str:
    """Return "3.2 s" below two minutes, then as `span` does."""
    seconds = span_ms / _KILO
    return f"{seconds:.1f} s" if seconds < _SHORT_S else span(seconds)


def local_time(stamp: Timestamp) -> str:
    """Return the local date and time to the second, or a dash for none."""
    if not stamp.seconds:
        return "-"
    return f"{stamp.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def local_time_ms(unix_ms: int) -> str:
    """Return the local date and time to the millisecond."""
    seconds, ms = divmod(unix_ms, MS_PER_S)
    return f"{datetime.fromtimestamp(seconds, tz=UTC).astimezone():%Y-%m-%d %H:%M:%S}.{ms:03}"


def clock(unix_s: float) -> str:
    """Return the local time of day."""
    return f"{datetime.fromtimestamp(unix_s, tz=UTC).astimezone():%H:%M:%S}"
