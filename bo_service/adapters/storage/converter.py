"""The core's values as JSON text, and back. Fields that an older text lacks get their defaults."""

import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import cattrs
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_tagged_union

from bo_service.core.constraints import Constraint
from bo_service.core.domains import Domain, Value
from bo_service.core.errors import BoError


def _converter() -> JsonConverter:
    converter = make_converter(omit_if_default=True)
    for union in (Domain, Constraint):
        configure_tagged_union(union, converter, tag_name="kind")
    converter.register_structure_hook_func(lambda kind: kind == Value, lambda value, _: value)
    converter.register_unstructure_hook(timedelta, lambda span: span.total_seconds())
    converter.register_structure_hook(timedelta, lambda seconds, _: timedelta(seconds=seconds))
    converter.register_unstructure_hook(datetime, lambda moment: moment.isoformat())
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    return converter


_CONVERTER = _converter()
_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_text(value: object, kind: Any) -> str:
    """JSON, with NaN and Infinity as Python writes them."""
    return _encode(unstructured(value, kind))


def unstructured(value: object, kind: Any) -> Any:
    """What JSON can hold."""
    return _CONVERTER.unstructure(value, unstructure_as=kind)


@lru_cache(maxsize=20_000)  # a study's parameters are read over and over
def from_text(text: str, kind: Any) -> Any:
    """A value of that kind, which nobody changes: the same text may give the same one again.

    Raises:
        ValueError: the text holds no such value.
    """
    return structured(json.loads(text), kind)


def structured(given: Any, kind: Any) -> Any:
    """The value of that kind.

    Raises:
        ValueError: it is none.
    """
    try:
        return _CONVERTER.structure(given, kind)
    except (cattrs.BaseValidationError, BoError, KeyError, TypeError) as error:
        raise ValueError(f"{str(given)[:200]!r} is no {kind}: {error}") from error
