"""Errors as gRPC statuses. The only place that turns one into the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from racklet_hostd.bell import ShuttingDownError
from racklet_hostd.errors import NoSuchBootError, RackletError
from racklet_hostd.faults.runner import FaultsRunningError, ScriptRefusedError
from racklet_hostd.refusals import (
    ConsoleInUseError,
    HatOfflineError,
    NeverFitsError,
    NoAnswerError,
    NodeTakenError,
    PowerBusyError,
    PowerFailedError,
    PowerOvertakenError,
    QueueFullError,
    TooManyRequestsError,
    UnknownNodeError,
)


class BadArgumentError(RackletError):
    """The request says something that is never right."""


class BeyondEndError(RackletError):
    """The request asks for an offset that is not there yet."""


class NothingThereError(RackletError):
    """The request asks for something that there is none of."""


class NoBudgetError(RackletError):
    """The request is about a power budget, and there is none."""


class NotAllowedError(RackletError):
    """The caller may not ask for this."""


class AuditUnreadableError(RackletError):
    """The disk does not give the audit log."""


_CODES: Final = {
    AuditUnreadableError: grpc.StatusCode.UNAVAILABLE,
    BadArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    BeyondEndError: grpc.StatusCode.OUT_OF_RANGE,
    ConsoleInUseError: grpc.StatusCode.FAILED_PRECONDITION,
    FaultsRunningError: grpc.StatusCode.FAILED_PRECONDITION,
    HatOfflineError: grpc.StatusCode.UNAVAILABLE,
    NeverFitsError: grpc.StatusCode.FAILED_PRECONDITION,
    NoAnswerError: grpc.StatusCode.DEADLINE_EXCEEDED,
    NoBudgetError: grpc.StatusCode.FAILED_PRECONDITION,
    NoSuchBootError: grpc.StatusCode.NOT_FOUND,
    NodeTakenError: grpc.StatusCode.FAILED_PRECONDITION,
    NotAllowedError: grpc.StatusCode.PERMISSION_DENIED,
    NothingThereError: grpc.StatusCode.NOT_FOUND,
    PowerBusyError: grpc.StatusCode.ABORTED,
    PowerFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    PowerOvertakenError: grpc.StatusCode.ABORTED,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ScriptRefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    ShuttingDownError: grpc.StatusCode.UNAVAILABLE,
    TooManyRequestsError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnknownNodeError: grpc.StatusCode.NOT_FOUND,
}


_LINES_SHOWN = 20  # a status is a header, which holds a few thousand characters


@asynccontextmanager
async def refusals(context: grpc.aio.ServicerContext[object, object]) -> AsyncIterator[None]:
    """Within the block, an error of hostd ends the call with its status and its sentence."""
    try:
        yield
    except RackletError as error:
        await context.abort(_CODES.get(type(error), grpc.StatusCode.INTERNAL), _first_lines(str(error)))


def _first_lines(text: str) -> str:
    """Return as many lines as a status takes."""
    lines = text.splitlines()
    more = len(lines) - _LINES_SHOWN
    return "\n".join([*lines[:_LINES_SHOWN], *([f"and {more} more"] if more > 0 else [])])
