"""YAML and JSON in a practical dialect: 1e-3 is a number, `on` is a string, and keys are unique."""

import json
import re
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Any

import yaml

from bo_client.errors import InvalidRequest

MAX_TEXT = 4 * 2**20
"""Maximum characters; the server accepts only smaller studies."""
MAX_DEPTH = 64
MAX_NODES = 500_000
TAGS = ("!", "tag:yaml.org,2002:str")
"""Allowed tags, which mark a value as text."""


def read(path: str | Path) -> object:
    """Return the content of a file.

    Raises:
        InvalidRequest: it cannot be read; the message contains the line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidRequest(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file}: can't be read as text: {error}") from None
    return parse(text, str(file), is_json=file.suffix == ".json", has_aliases=True)


def parse(text: str, name: str, is_json: bool = False, has_aliases: bool = False) -> object:
    """Return the content of a text.

    Args:
        text: YAML, or JSON.
        name: name of the text in messages.
        is_json: whether it is JSON.
        has_aliases: whether aliases (`*name` for `&name`) are allowed.

    Raises:
        InvalidRequest: the text is invalid, with the line; or it is nested too deeply, or expands to too much.
    """
    if len(text) > MAX_TEXT:
        raise InvalidRequest(f"{name}: has {len(text)} characters; at most {MAX_TEXT}")
    try:
        if is_json:
            return json.loads(text, object_pairs_hook=_object, parse_int=_whole)
        _check(text, has_aliases)
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except _Refused as error:
        raise InvalidRequest.of(name, f"is no valid YAML here: it {' '.join(str(error).split())}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: JSON's own, halves of surrogate pairs
        kind = "JSON" if is_json else "YAML"
        raise InvalidRequest(f"{name}: is no valid {kind}: {' '.join(str(error).split())}") from None


class _Repeated(ValueError):
    """A key occurs twice."""


class _Refused(yaml.MarkedYAMLError):
    """The YAML uses a feature that is not supported."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's where it is there
    """A loader of YAML 1.2's core schema, which includes JSON; PyYAML's own is of 1.1, in which 1e-3 is a string."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _check(text: str, has_aliases: bool) -> None:
    """Check the nesting and the expanded size before anything is built.

    Raises:
        YAMLError: they exceed their limits.
    """
    sizes: dict[str, int] = {}
    """Number of nodes of each anchor, with aliases expanded."""
    open_nodes: list[tuple[str | None, int]] = []
    """Anchors of the enclosing collections, with the number of nodes before each."""
    count = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            mark, before = open_nodes.pop()
            if mark is not None:
                sizes[mark] = count - before
        elif isinstance(event, yaml.NodeEvent):
            refusal = _refusal(event, has_aliases, {mark for mark, _ in open_nodes})
            count += sizes.get(event.anchor or "", 1) if isinstance(event, yaml.AliasEvent) else 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, count - 1))
            if len(open_nodes) > MAX_DEPTH:
                refusal = f"is nested more than {MAX_DEPTH} deep"
            elif count > MAX_NODES:
                refusal = f"has more than {MAX_NODES} values, with those that aliases stand for"
            if refusal:
                raise _Refused(problem=refusal, problem_mark=event.start_mark)  # type: ignore[arg-type]  # libyaml's


def _refusal(event: yaml.NodeEvent, has_aliases: bool, around: Collection[str | None]) -> str | None:
    if isinstance(event, yaml.AliasEvent):
        if not has_aliases:
            return f"has aliases (*{event.anchor}), which are not read here; write it out"
        return f"*{event.anchor} refers to itself" if event.anchor in around else None
    tag = getattr(event, "tag", None)
    return None if tag in (None, *TAGS) else f"has the tag {tag[:80]!r}; leave it out"


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key, _ in node.value:
        name = loader.construct_object(key)
        if not isinstance(name, Hashable):
            continue  # which is told below
        if name in seen:
            raise _Repeated(f"{name!r} occurs twice, for the second time in line {key.start_mark.line + 1} or below")
        seen.add(name)
    mapping: dict[Hashable, Any] = loader.construct_mapping(node, deep=True)
    return mapping


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Repeated(f"{name!r} occurs twice")
            seen.add(name)
    return mapping


def _whole(text: str) -> int | float:
    """Return an integer of 64 bits; a larger one as the nearest float."""
    number = int(text) if len(text) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**63 else float(text)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: _whole(loader.construct_scalar(node)))
