"""Who calls."""

from contextvars import ContextVar

from racklet_hostd.api.status import NotAllowedError
from racklet_hostd.caller import Caller
from racklet_hostd.door.clients import Identity
from racklet_hostd.role import Role

_CALLING: ContextVar[Identity] = ContextVar("calling")


def begin_call(identity: Identity) -> None:
    """Let this task's call be that of `identity`."""
    _CALLING.set(identity)


def current_caller() -> Caller:
    """Return who calls, within a call."""
    return _CALLING.get().caller


def demand(role: Role, deed: str) -> None:
    """Raise NotAllowedError when who calls has a lesser role; `deed` says for what it is needed, as "to type"."""
    own = _CALLING.get().role
    if own is None or own < role:
        raise NotAllowedError(not_allowed(deed, role, own))


def not_allowed(deed: str, role: Role, own: Role | None) -> str:
    """Say which role is needed."""
    return f"{deed} takes the role {role.word}, and {_CALLING.get().caller.who} has {own.word if own else 'none'}"
