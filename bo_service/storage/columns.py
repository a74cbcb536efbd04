"""Column types, and the domain's values as JSON text and back."""

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import cattrs
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_tagged_union
from sqlalchemy import BigInteger, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from bo_service.domain.constraints import Constraint
from bo_service.domain.errors import BoError
from bo_service.domain.parameter_types import Domain, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTimestamp(TypeDecorator[datetime]):
    """A moment in UTC, as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else EPOCH + timedelta(microseconds=value)


class EscapedText(TypeDecorator[str]):
    """Text in PostgreSQL, which takes no NUL: U+E000 begins an escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.replace("\ue000", "\ue000\ue001").replace("\0", "\ue000\ue000")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.replace("\ue000\ue000", "\0").replace("\ue000\ue001", "\ue000")


NulSafeText = Text().with_variant(EscapedText(), "postgresql")
"""Text of any characters."""


class Json(TypeDecorator[Any]):
    """A value of the domain, as JSON."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else _encode(_CONVERTER.unstructure(value, unstructure_as=self.kind))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else from_text(value, self.kind)


def _converter(omit_if_default: bool) -> JsonConverter:
    converter = make_converter(omit_if_default=omit_if_default)
    for union in (Domain, Constraint):
        configure_tagged_union(union, converter, tag_name="kind")
    converter.register_structure_hook_func(lambda kind: kind == Value, lambda value, _: _value(value))
    converter.register_unstructure_hook(timedelta, lambda span: span.total_seconds())
    converter.register_structure_hook(timedelta, lambda seconds, _: timedelta(seconds=seconds))
    converter.register_unstructure_hook(datetime, lambda moment: moment.isoformat())
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text).astimezone(UTC))
    return converter


def _value(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise ValueError(f"{value!r:.80} is no value; give a number, a string or a boolean")
    return value


_CONVERTER, _WHOLE = _converter(omit_if_default=True), _converter(omit_if_default=False)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_text(value: object, kind: Any) -> str:
    """Return JSON, with NaN and Infinity as Python writes them."""
    return _encode(_CONVERTER.unstructure(value, unstructure_as=kind))


def unstructured(value: object, kind: Any) -> Any:
    """Return the value as JSON can hold it."""
    return _CONVERTER.unstructure(value, unstructure_as=kind)


@lru_cache(maxsize=20_000)  # a study's parameters are read over and over
def from_text(text: str, kind: Any) -> Any:
    """Return the value of that kind, which nobody may change: the same text may give the same object.

    Missing fields get their defaults.

    Raises:
        ValueError: The text holds no such value.
    """
    return structured(json.loads(text), kind)


def structured(raw: Any, kind: Any) -> Any:
    """Return the value of that kind.

    Raises:
        ValueError: It is none.
    """
    try:
        return _CONVERTER.structure(raw, kind)
    except (cattrs.BaseValidationError, BoError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        why = "; ".join(cattrs.transform_error(error, "", _reason)) if isinstance(error, ExceptionGroup) else str(error)
        raise ValueError(f"{str(raw)[:200]!r} is no {kind}: {why}") from error


def structured_exactly(raw: Any, kind: Any) -> Any:
    """Return the value of that kind.

    Raises:
        ValueError: It is none, has unknown fields, or has values that mean the same and are written otherwise.
    """
    value = structured(raw, kind)
    strange = _difference(raw, _WHOLE.unstructure(value, unstructure_as=kind), "")
    if strange is not None:
        raise ValueError(strange)
    return value


def _difference(raw: Any, parsed: Any, at: str) -> str | None:
    """Return the first difference between JSON and what was parsed from it; what is absent has its default."""
    if isinstance(raw, dict) and isinstance(parsed, dict):
        unknown = [f"{at}.{name!s:.80} is unknown; leave it out" for name in raw if name not in parsed]
        differences = (_difference(value, parsed[name], f"{at}.{name}") for name, value in raw.items() if not unknown)
        return next((one for one in (*unknown, *differences) if one), None)
    if isinstance(raw, list) and isinstance(parsed, list | tuple) and len(raw) == len(parsed):
        differences = (_difference(a, b, f"{at}[{i}]") for i, (a, b) in enumerate(zip(raw, parsed, strict=True)))
        return next((one for one in differences if one), None)
    is_equal = raw == parsed or (raw != raw and parsed != parsed)  # NaN
    if is_equal and isinstance(raw, bool) is isinstance(parsed, bool):
        return None
    return f"{at} is {raw!r:.80}; give {parsed!r:.80}, if that is meant"


def _reason(error: BaseException, kind: type | None) -> str:
    return str(error) if isinstance(error, BoError | ValueError) else cattrs.v.format_exception(error, kind)
