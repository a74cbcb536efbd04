"""YAML and JSON as people write them: 1e-3 is a number, `on` is a word, and no key counts twice."""

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bo_client.errors import InvalidRequest


def read(path: str | Path) -> object:
    """The file's content. Raises InvalidRequest, with the line, where it can't be read."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidRequest(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file}: can't be read as text: {error}") from None
    return parse(text, str(file), is_json=file.suffix == ".json")


def parse(text: str, name: str, is_json: bool = False) -> object:
    """A text's content; `name` is what messages call it. Raises InvalidRequest, with the line."""
    try:
        if is_json:
            return json.loads(text, object_pairs_hook=_object)
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, json.JSONDecodeError, _Repeated) as error:
        kind = "JSON" if is_json else "YAML"
        raise InvalidRequest(f"{name}: is no valid {kind}: {' '.join(str(error).split())}") from None


class _Repeated(ValueError):
    """A key that occurs twice."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, of which JSON is a part; PyYAML's own is 1.1's, where 1e-3 is a string."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for (key, _), name in zip(node.value, keys, strict=True):
        if keys.count(name) > 1:
            raise _Repeated(f"{name!r} occurs twice, for the second time in line {key.start_mark.line + 1} or below")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _Repeated(f"{name!r} occurs twice")
    return dict(pairs)
