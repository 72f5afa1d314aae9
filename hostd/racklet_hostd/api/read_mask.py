"""The part of a message that a caller wants, as AIP-157 has it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from racklet_hostd.api.status import BadArgumentError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

_PATHS_LIMIT = 100
_SHOWN = 80  # characters of a wrong path that are said back
_ALL = "*"

Kind = TypeVar("Kind", bound=Message)


def mask_of(mask: FieldMask, kind: type[Kind], always: str) -> Callable[[Kind], Kind]:
    """Return what leaves of a message of `kind` only what `mask` names, and the field `always`.

    Raises BadArgumentError for a path that is no field.
    """
    if len(mask.paths) > _PATHS_LIMIT:
        raise BadArgumentError("read_mask", f"expected at most {_PATHS_LIMIT} paths, found {len(mask.paths)}")
    if not mask.paths or list(mask.paths) == [_ALL]:
        return lambda message: message
    for path in mask.paths:
        if not FieldMask(paths=[path]).IsValidForDescriptor(cast("Descriptor", kind.DESCRIPTOR)):
            raise BadArgumentError("read_mask", f'expected fields of {kind.DESCRIPTOR.name}, found "{path[:_SHOWN]}"')
    wanted = FieldMask(paths=[*mask.paths, always])

    def masked(message: Kind) -> Kind:
        part = kind()
        wanted.MergeMessage(message, part)
        return part

    return masked
