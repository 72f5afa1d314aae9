"""What callers send, checked."""

import base64
import binascii
import re

from google.protobuf.duration_pb2 import Duration

from racklet.v1 import rack_pb2
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.model import PowerAction
from racklet_hostd.power import PowerWish
from racklet_hostd.store import MAX_UNIX_MS

GRACE_LIMIT_MS = 600_000
OFF_TIME_LIMIT_MS = 60_000
IDENTIFY_LIMIT_MS = 600_000
IDENTIFY_DEFAULT_MS = 10_000
INTERVAL_LIMIT_MS = 3_600_000
INTERVAL_DEFAULT_MS = 100
INTERVAL_LEAST_MS = 10
PAGE_LIMIT = 1000
NEWEST_BOOT = "-"

_NOT_OURS = "expected the next_page_token of a call with the same arguments"
_NODE = r"[a-z0-9-]{1,63}"  # no config has another name
_SHOWN = 80  # characters of a wrong argument that are said back
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_BOOT_NUMBER_MAX = (1 << 63) - 1  # what SQLite can look up


def node_name(resource: str, field: str) -> str:
    """Return the NAME of nodes/NAME."""
    match = re.fullmatch(rf"nodes/({_NODE})", resource)
    if match is None:
        raise BadArgumentError(field, f"expected nodes/NAME, such as nodes/node-3, found {_shown(resource)}")
    return match[1]


def boot_name(resource: str, field: str = "name") -> tuple[str, int | None]:
    """Return the node's name and the number of nodes/NAME/boots/NUMBER; None stands for the newest, "-"."""
    match = re.fullmatch(rf"nodes/({_NODE})/boots/(-|[0-9]{{1,19}})", resource)
    if match is None or (match[2] != NEWEST_BOOT and int(match[2]) > _BOOT_NUMBER_MAX):
        expected = "nodes/NAME/boots/NUMBER, or nodes/NAME/boots/- for the newest"
        raise BadArgumentError(field, f"expected {expected}, found {_shown(resource)}")
    return match[1], None if match[2] == NEWEST_BOOT else int(match[2])


def hat_id(resource: str, field: str = "name") -> str:
    """Return the ID of hats/ID: 1 to 16 bytes in hex."""
    match = re.fullmatch(r"hats/((?:[0-9a-f]{2}){1,16})", resource)
    if match is None:
        raise BadArgumentError(field, f"expected hats/ID, such as hats/e66118604b2f7a21, found {_shown(resource)}")
    return match[1]


def page_size(asked: int, default: int) -> int:
    """Return the size of the page: `default` for 0, never more than 1000."""
    if asked < 0:
        raise BadArgumentError("page_size", f"expected 0 or more, found {asked}")
    return min(asked or default, PAGE_LIMIT)


def page_token(scope: str, position: str) -> str:
    """Return a token for the page behind `position` of the list `scope`."""
    return base64.urlsafe_b64encode(f"{scope}\n{position}".encode()).decode()


def page_position(token: str, scope: str) -> str:
    """Return the position that `page_token` put into `token`; "" for an empty token.

    Raises BadArgumentError for a token of another list.
    """
    if not token:
        return ""
    try:
        given_scope, _, position = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition("\n")
    except (binascii.Error, ValueError):
        given_scope, position = "", ""
    if given_scope != scope or not position:
        raise BadArgumentError("page_token", _NOT_OURS)
    return position


def name_position(token: str, scope: str) -> str:
    """Return the name that `page_token` put into `token`; "" for an empty token."""
    name = page_position(token, scope)
    if not re.fullmatch(r"[a-z0-9-]{0,63}", name):
        raise BadArgumentError("page_token", _NOT_OURS)
    return name


def number_position(token: str, scope: str) -> int | None:
    """Return the number that `page_token` put into `token`; None for an empty token."""
    position = page_position(token, scope)
    if not position:
        return None
    if re.fullmatch(r"[0-9]{1,19}", position) is None or int(position) > _BOOT_NUMBER_MAX:
        raise BadArgumentError("page_token", _NOT_OURS)
    return int(position)


def duration_ms(duration: Duration, field: str, limit_ms: int) -> int:
    """Return whole milliseconds, rounded up, from 0 to `limit_ms`."""
    nanos = duration.seconds * _NS_PER_S + duration.nanos
    if not (0 <= nanos <= limit_ms * _NS_PER_MS and 0 <= duration.nanos < _NS_PER_S):
        found = f"{duration.seconds} s and {duration.nanos} ns"
        raise BadArgumentError(field, f"expected 0 to {limit_ms // 1000} seconds, found {found}")
    return -(-nanos // _NS_PER_MS)


def start_ms(request: rack_pb2.ReadBootLogRequest) -> int | None:
    """Return the time to begin at in unix milliseconds, rounded up; None when an offset says where to begin."""
    if not request.HasField("start_time"):
        return None
    if request.offset:
        raise BadArgumentError("start_time", "it and offset both say where to begin: leave out one")
    time = request.start_time
    nanos = time.seconds * _NS_PER_S + time.nanos
    if not (0 <= nanos <= MAX_UNIX_MS * _NS_PER_MS and 0 <= time.nanos < _NS_PER_S):
        found = f"{time.seconds} s and {time.nanos} ns since 1970"
        raise BadArgumentError("start_time", f"expected a time from 1970 to 9999, found {found}")
    return -(-nanos // _NS_PER_MS)


def min_interval_ms(request: rack_pb2.WatchNodesRequest) -> int:
    """Return the least time between two messages, 10 ms or more."""
    asked_ms = duration_ms(request.min_interval, "min_interval", INTERVAL_LIMIT_MS)
    return max(asked_ms, INTERVAL_LEAST_MS) if asked_ms else INTERVAL_DEFAULT_MS


def identify_ms(request: rack_pb2.IdentifyNodeRequest | rack_pb2.IdentifyHatRequest) -> int:
    """Return for how long the LED shall blink; 0 ends it."""
    if not request.HasField("duration"):
        return IDENTIFY_DEFAULT_MS
    return duration_ms(request.duration, "duration", IDENTIFY_LIMIT_MS)


def power_wish(request: rack_pb2.SetPowerRequest) -> PowerWish:
    """Return what is wanted. An argument that is not for the action is refused, since somebody meant something."""
    try:
        action = PowerAction(request.action)
    except ValueError as error:
        known = ", ".join(each.name for each in PowerAction)
        raise BadArgumentError("action", f"expected {known}, found {request.action}") from error
    for field, its_action in (("grace", PowerAction.OFF), ("force", PowerAction.OFF), ("off_time", PowerAction.CYCLE)):
        given = request.force if field == "force" else request.HasField(field)  # type: ignore[arg-type]
        if given and action is not its_action:
            raise BadArgumentError(field, f"is for {its_action.name} only, not for {action.name}")
    return PowerWish(
        action,
        grace_ms=_set_ms(request.grace, "grace", GRACE_LIMIT_MS) if request.HasField("grace") else 0,
        force=request.force,
        off_ms=_set_ms(request.off_time, "off_time", OFF_TIME_LIMIT_MS) if request.HasField("off_time") else 0,
    )


def _set_ms(duration: Duration, field: str, limit_ms: int) -> int:
    """Like `duration_ms`, but at least 1: on the link 0 means that nothing was said."""
    return max(1, duration_ms(duration, field, limit_ms))


def _shown(text: str) -> str:
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f'"{cut}"'
