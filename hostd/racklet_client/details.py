"""What a refusal says besides its sentence: the messages of google.rpc that come with a status."""

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from racklet_client.errors import Refusal, Violation

DOMAIN: Final = "racklet.v1"
_KEY = "grpc-status-details-bin"


def refusal_of(status: str, message: str, metadata: Iterable[tuple[str, str | bytes]]) -> Refusal:
    """Return what hostd said. Details that are not there, or not hostd's, leave their fields empty."""
    raw = next((value for key, value in metadata if key == _KEY and isinstance(value, bytes)), b"")
    info = error_details_pb2.ErrorInfo()
    wrong = error_details_pb2.BadRequest()
    unmet = error_details_pb2.PreconditionFailure()
    retry = error_details_pb2.RetryInfo()
    try:
        for detail in status_pb2.Status.FromString(raw).details:
            any(detail.Unpack(known) for known in (info, wrong, unmet, retry))
    except DecodeError:
        pass  # from something that is no hostd; its status and sentence are all there is
    is_ours = info.domain == DOMAIN
    violations = (
        *(Violation(each.field, each.description) for each in wrong.field_violations),
        *(Violation(each.subject, each.description) for each in unmet.violations),
    )
    return Refusal(
        status=status,
        message=message,
        reason=info.reason if is_ours else "",
        metadata=dict(info.metadata) if is_ours else {},
        violations=violations,
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
    )
