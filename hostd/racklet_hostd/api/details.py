"""What a refusal says to programs: the messages of google.rpc beside a status, as AIP-193 has it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]

from racklet.link.v1 import link_pb2
from racklet_hostd.errors import NoSuchBootError, RackletError
from racklet_hostd.model import SupplyState
from racklet_hostd.refusals import PowerFailedError, UnknownHatError, UnknownNodeError

DETAILS_KEY: Final = "grpc-status-details-bin"  # of the trailing metadata, as every gRPC library has it
DOMAIN: Final = "racklet.v1"
# A client takes 8 KiB of metadata, sentence and details together, unless it was told otherwise.
_SENTENCE_BYTES = 2 << 10
_DETAILS_BYTES = 3 << 10
_LINES = 20
_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of hostd, and what it is to a caller."""

    status: str
    reason: str
    retry_after_ms: int | None
    error: RackletError

    @property
    def message(self) -> str:
        """The sentence, or as many lines of it as a status takes."""
        return _first_lines(str(self.error))


def status_details(refusal: Refusal) -> bytes:
    """Return a google.rpc.Status in bytes, with as many details as there is room for; the most telling come first."""
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.status), message=refusal.message)
    for detail in _details(refusal):
        packed = AnyMessage()
        packed.Pack(detail)
        if status.ByteSize() + packed.ByteSize() > _DETAILS_BYTES + _SENTENCE_BYTES:
            break
        status.details.append(packed)
    return bytes(status.SerializeToString())


def _details(refusal: Refusal) -> Iterator[Message]:
    error = refusal.error
    yield error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=_metadata(error))
    if refusal.retry_after_ms is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(refusal.retry_after_ms)
        yield retry
    match refusal.status:
        case "INVALID_ARGUMENT" | "OUT_OF_RANGE":
            yield _bad_request(getattr(error, "field", ""), refusal.message)
        case "FAILED_PRECONDITION":
            yield _precondition(refusal)
        case "NOT_FOUND":
            yield _resource(error, refusal.message)
        case _:
            pass  # its reason says it all


def _metadata(error: RackletError) -> dict[str, str]:
    """Return what belongs to the reason; keys in camel case, as AIP-193 has them."""
    metadata = {"node": error.node} if hasattr(error, "node") else {}
    if isinstance(error, UnknownNodeError):
        metadata["node"] = error.name
    if hasattr(error, "hat_id"):
        metadata["hat"] = error.hat_id
    if isinstance(error, PowerFailedError):
        reply = error.reply
        result = link_pb2.Result.DESCRIPTOR.values_by_number.get(reply.result)
        metadata |= {
            "result": result.name.removeprefix("RESULT_") if result else str(reply.result),
            "supplyState": SupplyState.of(reply.supply_state).name,
            "supplyUv": str(reply.supply_uv),
            "supplyUa": str(reply.supply_ua),
        }
    return metadata


def _bad_request(field: str, message: str) -> Message:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=field, description=line.removeprefix(f"{field}: "))
        for line in message.splitlines()
    ]
    return _fitting(error_details_pb2.BadRequest(field_violations=violations), "field_violations")


def _precondition(refusal: Refusal) -> Message:
    node = getattr(refusal.error, "node", "")
    violations = [
        error_details_pb2.PreconditionFailure.Violation(
            type=refusal.reason, subject=f"nodes/{node}" if node else "rack", description=line
        )
        for line in refusal.message.splitlines()
    ]
    return _fitting(error_details_pb2.PreconditionFailure(violations=violations), "violations")


def _resource(error: RackletError, message: str) -> Message:
    match error:
        case NoSuchBootError(node=node, number=number):
            kind, name = "racklet.v1/Boot", f"nodes/{node}/boots/{number}"
        case UnknownNodeError(name=node):
            kind, name = "racklet.v1/Node", f"nodes/{node}"
        case UnknownHatError(hat_id=hat_id):
            kind, name = "racklet.v1/SeenHat", f"hats/{hat_id}"
        case _:
            node = getattr(error, "node", "")
            kind, name = "racklet.v1/Boot", f"nodes/{node}/boots/-"
    found: Message = error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name, description=message)
    return found


def _fitting(message: Message, field: str) -> Message:
    """Leave out the last entries of a repeated field until the message has a fair size."""
    entries = getattr(message, field)
    while message.ByteSize() > _DETAILS_BYTES * 2 // 3 and len(entries) > 1:
        del entries[-1]
    return message


def _first_lines(text: str) -> str:
    """Return as many lines as a status takes."""
    lines = text.splitlines()
    shown: list[str] = []
    room = _SENTENCE_BYTES
    for line in lines[:_LINES]:
        room -= _encoded_bytes(line) + 3  # the line's end is %0A
        if room < 0:
            break
        shown.append(line)
    more = len(lines) - len(shown)
    if not shown:
        return _cut(text)
    return "\n".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def _cut(text: str) -> str:
    """Return the first characters of a line that is too long by itself."""
    return text[: _SENTENCE_BYTES // 12] + "…"  # a character takes at most 12 bytes as %XX


def _encoded_bytes(text: str) -> int:
    """Return what a text takes in the header grpc-message: what is not printable ASCII is %XX there."""
    return sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in text.encode())  # noqa: PLR2004  as gRPC says
