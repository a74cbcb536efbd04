"""The reference of the contract: services, messages and enums with their comments, from what buf compiles."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

PROTO = Path(__file__).parents[1] / "proto"
PACKAGE = ".bo_api.v1."
FILES = {
    "optimization_service": "Studies and trials",
    "token_service": "Tokens",
    "study": "Study",
    "space": "Search space",
    "trial": "Trial",
    "insight": "Analysis of the surrogate",
}
HEAD = """# The contract

Every call, message and field of `bo_api.v1`, generated from the comments in `proto/bo_api/v1`. [From any
language](../languages.md) says how a client uses them, and [limits](../limits.md) what is refused.
"""
Comments = dict[tuple[int, ...], str]
FIELD = pb.FieldDescriptorProto


def page() -> str:
    """Return the page in Markdown."""
    files = {file.name: file for file in compiled().file}
    contract = [name for name in files if name.startswith("bo_api/")]
    assert {Path(name).stem for name in contract} == set(FILES), f"files and headings differ: {contract}"
    parts = [part for name, title in FILES.items() for part in file_parts(files[f"bo_api/v1/{name}.proto"], title)]
    return "\n\n".join([HEAD, *parts]) + "\n"


def compiled() -> pb.FileDescriptorSet:
    """Return all files with their comments."""
    build = subprocess.run(["buf", "build", str(PROTO), "--output", "-"], check=True, capture_output=True, timeout=120)
    return pb.FileDescriptorSet.FromString(build.stdout)


def file_parts(file: pb.FileDescriptorProto, title: str) -> Iterator[str]:
    """Yield one file: its services, then its messages and enums in their order."""
    comments: Comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
    yield f"## {title}"
    yield f"`{file.name}`: {prose(comments.get((12,), ''))}"  # the comment above `syntax` is the file's
    for i, service in enumerate(file.service):
        yield from service_parts(service, (6, i), comments)
    for i, message in enumerate(file.message_type):
        yield from message_parts(message, "", (4, i), comments)
    for i, enum in enumerate(file.enum_type):
        yield from enum_parts(enum, "", (5, i), comments)


def service_parts(service: pb.ServiceDescriptorProto, at: tuple[int, ...], comments: Comments) -> Iterator[str]:
    """Yield a service and its methods."""
    yield heading(service.name)
    yield prose(comments.get(at, ""))
    for i, method in enumerate(service.method):
        yield f"#### {method.name} {{ #{service.name}.{method.name} }}"
        stream = "a stream of " if method.server_streaming else ""
        yield f"{link(method.input_type)} → {stream}{link(method.output_type)}"
        yield prose(comments.get((*at, 2, i), ""))


def message_parts(message: pb.DescriptorProto, outer: str, at: tuple[int, ...], comments: Comments) -> Iterator[str]:
    """Yield a message with a table of its fields, and what is declared within it."""
    name = outer + message.name
    yield heading(name)
    yield prose(comments.get(at, ""))
    if message.field:
        maps = {f"{PACKAGE}{name}.{inner.name}": inner for inner in message.nested_type if inner.options.map_entry}
        rows = [
            (str(f.number), f"`{f.name}`", kind(f, maps), oneof(f, message) + cell(comments.get((*at, 2, i), "")))
            for i, f in enumerate(message.field)
        ]
        yield table(("number", "field", "type", "meaning"), rows)
    for i, inner in enumerate(message.nested_type):
        if not inner.options.map_entry:
            yield from message_parts(inner, f"{name}.", (*at, 3, i), comments)
    for i, enum in enumerate(message.enum_type):
        yield from enum_parts(enum, f"{name}.", (*at, 4, i), comments)


def enum_parts(enum: pb.EnumDescriptorProto, outer: str, at: tuple[int, ...], comments: Comments) -> Iterator[str]:
    """Yield an enum with a table of its values."""
    yield heading(outer + enum.name)
    yield prose(comments.get(at, ""))
    values = [(str(v.number), f"`{v.name}`", cell(comments.get((*at, 2, i), ""))) for i, v in enumerate(enum.value)]
    yield table(("number", "value", "meaning"), values)


def kind(field: pb.FieldDescriptorProto, maps: dict[str, pb.DescriptorProto]) -> str:
    """Return the field's type as text."""
    if field.type_name in maps:
        key, value = maps[field.type_name].field
        return f"map of {kind(key, {})} to {kind(value, {})}"
    named = link(field.type_name) if field.type_name else FIELD.Type.Name(field.type).removeprefix("TYPE_").lower()
    before = "repeated " if field.label == FIELD.LABEL_REPEATED else "optional " if field.proto3_optional else ""
    return before + named


def oneof(field: pb.FieldDescriptorProto, message: pb.DescriptorProto) -> str:
    """Return the name of the oneof that the field belongs to, in parentheses."""
    if field.proto3_optional or not field.HasField("oneof_index"):
        return ""
    return f"(one of `{message.oneof_decl[field.oneof_index].name}`) "


def link(type_name: str) -> str:
    """Return a link to a type of the contract; protobuf's own types are named."""
    name = type_name.removeprefix(PACKAGE)
    return f"[{name}](#{name})" if name != type_name else f"`{type_name.lstrip('.')}`"


def heading(name: str) -> str:
    return f"### {name} {{ #{name} }}"


def prose(comment: str) -> str:
    """Return a comment's paragraphs and lists."""
    return re.sub(r"^ ", "", comment, flags=re.MULTILINE).strip().replace("<", "&lt;")


def cell(comment: str) -> str:
    """Return a comment on one line."""
    return " ".join(comment.split()).replace("|", "\\|").replace("<", "&lt;")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
