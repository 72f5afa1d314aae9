"""What a call can end with, by who can mend it.

RackError                        its text is one sentence for a person
├── CredentialsError             the caller: a file of its credentials is of no use
├── UnreachableError             nobody answers at the address
│   └── LostError                hostd answered, and then stopped, or the way to it was cut
└── RefusedError                 hostd says no; `reason` tells a program why
    ├── InvalidArgumentError     the caller: what it asks for is never right; `violations` names the fields
    ├── NotFoundError            the caller: there is nothing of that name
    ├── NotAllowedError          who hands out the roles
    ├── PreconditionError        the caller, after something else has been done
    ├── TryAgainError            time: the same call may succeed later, after `retry_after_s` where hostd knows it
    └── DeadlineError            the deadline passed, so the outcome is not known
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class RackError(Exception):
    """A call did not succeed. Its text is one sentence for a person; what hostd says in it is as it came."""


class CredentialsError(RackError):
    """A file of the credentials cannot be used."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


class UnreachableError(RackError):
    """Nobody answers at `address`; `why` says what can be seen of that from here."""

    def __init__(self, address: str, why: str) -> None:
        self.address = address
        self.why = why
        super().__init__(f"cannot reach hostd at {address}: {why}")


class LostError(UnreachableError):
    """hostd stopped, or the way to it was cut. Whether a call that changes something was carried out is not known."""

    def __init__(self, address: str) -> None:
        super().__init__(address, "it does not answer any more")
        self.args = (f"hostd at {address} does not answer any more",)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that is wrong in a request."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What hostd said.

    Attributes:
        status: the gRPC status by name, such as "FAILED_PRECONDITION".
        message: hostd's sentence; a wrong script has one a line.
        reason: why, for a program, such as "HAT_OFFLINE"; docs/api.md lists them. Empty when hostd gave none.
        metadata: what belongs to the reason, such as the node's name as "node".
        violations: the fields that are wrong, or what of the rack is not as it must be, such as "nodes/node-3".
        retry_after_s: when the same call may succeed; None when hostd does not know.
    """

    status: str
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after_s: float | None = None


class RefusedError(RackError):
    """hostd answered with a refusal; `about` names what was asked for, and is in the text."""

    def __init__(self, about: str, refusal: Refusal) -> None:
        message = refusal.message or f"hostd answered {refusal.status}"
        is_named = not about or re.search(rf"(?<![\w-]){re.escape(about)}(?![\w-])", message)
        super().__init__(message if is_named else f"{about}: {message}")
        self.about = about
        self.refusal = refusal

    @property
    def status(self) -> str:
        """The gRPC status by name."""
        return self.refusal.status

    @property
    def reason(self) -> str:
        """Why, for a program."""
        return self.refusal.reason

    @property
    def node(self) -> str:
        """The name of the node that it is about, such as "node-3"; empty when hostd did not say."""
        return self.refusal.metadata.get("node", "")


class InvalidArgumentError(RefusedError):
    """The request says something that is never right, or asks for an offset that is not there yet."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The fields that are wrong."""
        return self.refusal.violations


class NotFoundError(RefusedError):
    """hostd has nothing of that name."""


class NotAllowedError(RefusedError):
    """The caller may not do this."""


class PreconditionError(RefusedError):
    """The rack is not in the state for it, or did not follow; `refusal.violations` says what."""


class TryAgainError(RefusedError):
    """Something is in the way that may go by itself: a HAT that is away, another transaction, a limit."""

    @property
    def retry_after_s(self) -> float | None:
        """When the same call may succeed; None when hostd does not know."""
        return self.refusal.retry_after_s


class DeadlineError(RefusedError):
    """The deadline passed, here or on the way to the HAT. The outcome is not known: look, or repeat the request id."""


_CLASSES: Mapping[str, type[RefusedError]] = {
    "ABORTED": TryAgainError,
    "DEADLINE_EXCEEDED": DeadlineError,
    "FAILED_PRECONDITION": PreconditionError,
    "INVALID_ARGUMENT": InvalidArgumentError,
    "NOT_FOUND": NotFoundError,
    "OUT_OF_RANGE": InvalidArgumentError,
    "PERMISSION_DENIED": NotAllowedError,
    "RESOURCE_EXHAUSTED": TryAgainError,
    "UNAUTHENTICATED": NotAllowedError,
    "UNAVAILABLE": TryAgainError,
}


def refused(about: str, refusal: Refusal) -> RefusedError:
    """Return the error for a refusal."""
    return _CLASSES.get(refusal.status, RefusedError)(about, refusal)
