"""Errors as gRPC statuses. The only place that turns one into the other; docs/api.md lists them."""

from typing import Final, NamedTuple

import grpc

from racklet_hostd.api.details import DETAILS_KEY, Refusal, status_details
from racklet_hostd.bell import ShuttingDownError
from racklet_hostd.errors import NoSuchBootError, RackletError
from racklet_hostd.faults.runner import FaultsRunningError, ScriptRefusedError
from racklet_hostd.refusals import (
    AdoptionRefusedError,
    ConsoleInUseError,
    HatOfflineError,
    NeverFitsError,
    NoAnswerError,
    NodeIsOnError,
    NodeTakenError,
    PowerBusyError,
    PowerFailedError,
    PowerOvertakenError,
    QueueFullError,
    TooManyRequestsError,
    UnknownHatError,
    UnknownNodeError,
    UpdateFailedError,
    UpdateRunningError,
)


class BadArgumentError(RackletError):
    """A field of the request says something that is never right. `problem` is what was expected and what was found."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class WrongScriptError(RackletError):
    """The script of faults in the request is wrong. The text has a line for each reason."""

    field = "script"


class BeyondEndError(RackletError):
    """The request asks for an offset that is not there yet."""

    field = "offset"

    def __init__(self, node: str, boot: int, end: int, offset: int) -> None:
        self.node = node
        super().__init__(f"offset: boot {boot} of {node} ends at {end}, before {offset}")


class NoBootYetError(RackletError):
    """The request asks for the newest boot of a node that has none."""

    def __init__(self, node: str) -> None:
        self.node = node
        super().__init__(f"{node} has no boot yet")


class NoBudgetError(RackletError):
    """The request is about a power budget, and there is none."""


class NotAllowedError(RackletError):
    """The caller may not ask for this."""


class NotAuthenticatedError(RackletError):
    """It is not certain who calls."""


class NotServedError(RackletError):
    """Nobody carries the method out."""


class TooManyCallsError(RackletError):
    """The caller has too much open, or changes too much."""


class ConnectionEndedError(RackletError):
    """The caller has left."""


class AuditUnreadableError(RackletError):
    """The disk does not give the audit log."""


class RequestRepeatedError(RackletError):
    """The request was carried out before and is not again, and what it returned is not there any more."""

    def __init__(self, method: str, outcome: str) -> None:
        self.outcome = outcome
        super().__init__(f"this {method} was asked for before and is not carried out again; it came to: {outcome}")


class Answer(NamedTuple):
    """What an error is to a caller: a gRPC status, and a reason for a program, which never changes."""

    code: grpc.StatusCode
    reason: str
    retry_after_ms: int | None = None


ANSWERS: Final = {
    AdoptionRefusedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "ADOPTION_REFUSED"),
    AuditUnreadableError: Answer(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNREADABLE"),
    BadArgumentError: Answer(grpc.StatusCode.INVALID_ARGUMENT, "BAD_ARGUMENT"),
    BeyondEndError: Answer(grpc.StatusCode.OUT_OF_RANGE, "BEYOND_END"),
    ConnectionEndedError: Answer(grpc.StatusCode.CANCELLED, "CONNECTION_ENDED"),
    ConsoleInUseError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "CONSOLE_IN_USE"),
    FaultsRunningError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "FAULTS_RUNNING"),
    HatOfflineError: Answer(grpc.StatusCode.UNAVAILABLE, "HAT_OFFLINE"),
    NeverFitsError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "NEVER_FITS_BUDGET"),
    NoAnswerError: Answer(grpc.StatusCode.DEADLINE_EXCEEDED, "NO_ANSWER_FROM_HAT"),
    NoBootYetError: Answer(grpc.StatusCode.NOT_FOUND, "NO_BOOT_YET"),
    NoBudgetError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "NO_BUDGET"),
    NoSuchBootError: Answer(grpc.StatusCode.NOT_FOUND, "NO_SUCH_BOOT"),
    NodeIsOnError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "NODE_IS_ON"),
    NodeTakenError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "NODE_TAKEN"),
    NotAllowedError: Answer(grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED"),
    NotAuthenticatedError: Answer(grpc.StatusCode.UNAUTHENTICATED, "NOT_AUTHENTICATED"),
    NotServedError: Answer(grpc.StatusCode.UNIMPLEMENTED, "NOT_SERVED"),
    PowerBusyError: Answer(grpc.StatusCode.ABORTED, "POWER_BUSY"),
    PowerFailedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "POWER_FAILED"),
    PowerOvertakenError: Answer(grpc.StatusCode.ABORTED, "POWER_OVERTAKEN"),
    QueueFullError: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    RequestRepeatedError: Answer(grpc.StatusCode.ABORTED, "REQUEST_REPEATED"),
    ScriptRefusedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "SCRIPT_REFUSED"),
    ShuttingDownError: Answer(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
    TooManyCallsError: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", retry_after_ms=1_000),
    TooManyRequestsError: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS", retry_after_ms=1_000),
    UpdateFailedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "UPDATE_FAILED"),
    UpdateRunningError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "UPDATE_RUNNING"),
    UnknownHatError: Answer(grpc.StatusCode.NOT_FOUND, "UNKNOWN_HAT"),
    UnknownNodeError: Answer(grpc.StatusCode.NOT_FOUND, "UNKNOWN_NODE"),
    WrongScriptError: Answer(grpc.StatusCode.INVALID_ARGUMENT, "WRONG_SCRIPT"),
}
INTERNAL: Final = Answer(grpc.StatusCode.INTERNAL, "INTERNAL")

Context = grpc.aio.ServicerContext[object, object]


async def refuse(context: Context, error: RackletError) -> None:
    """End the call with the status, the sentence and the details of an error of hostd."""
    answer = ANSWERS.get(type(error), INTERNAL)
    refusal = Refusal(answer.code.name, answer.reason, answer.retry_after_ms, error)
    await context.abort(answer.code, refusal.message, ((DETAILS_KEY, status_details(refusal)),))
