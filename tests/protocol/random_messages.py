"""Random messages of any type of the link."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st


def scalars(field: FieldDescriptor) -> st.SearchStrategy[object]:
    match field.type:
        case FieldDescriptor.TYPE_UINT32:
            return st.integers(0, 2**32 - 1) | st.integers(0, 300)
        case FieldDescriptor.TYPE_SINT32:
            return st.integers(-(2**31), 2**31 - 1) | st.integers(-300, 300)
        case FieldDescriptor.TYPE_UINT64:
            return st.integers(0, 2**64 - 1) | st.integers(0, 300)
        case FieldDescriptor.TYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.TYPE_ENUM:
            return st.sampled_from([value.number for value in field.enum_type.values])
        case FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=200)
        case FieldDescriptor.TYPE_STRING:
            return st.text(max_size=20)
    raise AssertionError(field.full_name)


@st.composite
def filled(draw: st.DrawFn, descriptor: object) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.message_type is None and field.name != "seal" and draw(st.booleans()):  # a HAT reads no seal
            setattr(message, field.name, draw(scalars(field)))
    children = [field for field in descriptor.fields if field.message_type]
    if children:
        field = draw(st.sampled_from(children))
        getattr(message, field.name).CopyFrom(draw(filled(field.message_type)))
    return message
