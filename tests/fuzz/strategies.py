"""Requests of any method, drawn from the contract itself: every field, with values at and beyond every edge."""

from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tests.fuzz.mutation import DOUBLES, INTEGERS, MASKS, WORDS

DEEPEST = 5
NAMES = ["studies/plain", "studies/several", "studies/modelled", "studies/stopped", "studies/none"]
TRIALS = [f"{name}/trials/{number}" for name in NAMES for number in (1, 5, 6, 99)]
KNOWN: dict[str, list[str]] = {
    "parent": [*NAMES, *TRIALS[:2]],
    "name": [*NAMES, *TRIALS, f"{TRIALS[0]}/artifacts/a", "lr", "loss"],
    "study_id": ["plain", "fresh", "a" * 63],
    "paths": MASKS,
    "parameter": ["lr", "norm"],
    "parameters": ["lr", "layers", "norm"],
    "worker_id": ["w"],
    "artifact_id": ["a", "b.png"],
    "media_type": ["text/plain"],
    "uri": ["gs://a/b"],
}
"""Values that make sense, by field; half of what is drawn."""


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 0) -> Any:
    """A message of that kind, with any of its fields left out."""
    message = message_factory.GetMessageClass(kind)()
    for field in kind.fields:
        if depth > DEEPEST or draw(st.booleans()):
            continue
        if field.is_repeated:
            _repeat(draw, message, field, depth)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(draw(messages(field.message_type, depth + 1)))
        else:
            setattr(message, field.name, draw(scalars(field)))
    return message


def _repeat(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    values = getattr(message, field.name)
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            values.append(draw(scalars(field)))
        elif not field.message_type.GetOptions().map_entry:
            values.append(draw(messages(field.message_type, depth + 1)))
        else:
            entry = field.message_type.fields_by_name
            key = draw(st.sampled_from(["lr", "norm", "loss", "score"]) | scalars(entry["key"]))
            if entry["value"].type == FieldDescriptor.TYPE_MESSAGE:
                values[key].CopyFrom(draw(messages(entry["value"].message_type, depth + 1)))
            else:
                values[key] = draw(scalars(entry["value"]))


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values of one field."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return st.sampled_from(DOUBLES) | st.floats()
        case FieldDescriptor.CPPTYPE_INT32:
            return st.sampled_from([i for i in INTEGERS if -(2**31) <= i < 2**31]) | st.integers(-(2**31), 2**31 - 1)
        case FieldDescriptor.CPPTYPE_INT64:
            return st.sampled_from(INTEGERS) | st.integers(-(2**63), 2**63 - 1)
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.integers(0, 8) | st.integers(-(2**31), 2**31 - 1)
        case _ if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=20)
        case _:
            words = st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8"), max_size=20)
            return st.sampled_from(KNOWN[field.name]) | words if field.name in KNOWN else words
