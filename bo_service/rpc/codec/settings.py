"""Conversion of a study's settings to and from messages: a setting has one name, in the message and in its class."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from bo_api.v1 import study_pb2 as pb
from google.protobuf.message import Message

from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.limits import MAX_SOURCES
from bo_service.domain.study import Acquisition, Algorithm
from bo_service.rpc.codec.fields import ViolationCollector, choice, seconds, study_id_of
from bo_service.rpc.codec.search_space import add_all, or_else

T = TypeVar("T")
M = TypeVar("M", bound=Message)

ENUMS: dict[str, dict[Any, Any]] = {
    "algorithm": {pb.Algorithm.Value(f"ALGORITHM_{one.name}"): one for one in Algorithm},
    "acquisition": {
        pb.ACQUISITION_UNSPECIFIED: None,
        **{pb.Acquisition.Value(f"ACQUISITION_{one.name}"): one for one in Acquisition},
    },
    "rule": {pb.StoppingRule.Value(f"STOPPING_RULE_{one.name}"): one for one in StoppingRule},
    "promotion": {pb.Promotion.Value(f"PROMOTION_{one.name}"): one for one in Promotion},
}
"""Values of each enum setting by their numbers. 0 stands for the default."""
ENUMS_TO_WIRE = {name: {value: number for number, value in values.items()} for name, values in ENUMS.items()}
SOURCES = "warm_start_studies"


def settings_from_wire(kind: type[T], message: Message, field: str, violations: ViolationCollector) -> T:
    """Return settings. Those that the message lacks get their defaults; numbers are validated with the study's spec.

    Args:
        kind: class of the settings.
        message: the message, whose fields are named as those of the class.
        field: path of the message.
        violations: gets an unknown enum value, a wrong duration and a wrong name of a study.
    """
    given: dict[str, Any] = {}
    for descriptor in message.DESCRIPTOR.fields:
        name = descriptor.name
        value, path = getattr(message, name), f"{field}.{name}"
        if not (message.HasField(name) if descriptor.has_presence else value):
            continue
        if descriptor.enum_type is not None:
            value = violations.attempt(partial(choice, value, path, ENUMS[name]))
        elif descriptor.message_type is not None:
            length = violations.attempt(partial(seconds, value, path))
            value = None if length is None else timedelta(seconds=length)
        elif name == SOURCES:
            value = _sources_from_wire(value, path, violations)
        if value is not None:
            given[name] = value
    return kind(**given)


def settings_to_wire(kind: type[M], settings: object) -> M:
    """Return the message of a class, with defaults filled in."""
    values: dict[str, Any] = {}
    for descriptor in kind.DESCRIPTOR.fields:
        name = descriptor.name
        value = getattr(settings, name)
        if descriptor.enum_type is not None:
            value = ENUMS_TO_WIRE[name][value]
        elif name == SOURCES:
            value = [f"studies/{study_id}" for study_id in value]
        values[name] = value
    return kind(**values)


def fidelity_from_wire(spec: pb.StudySpec, field: str, violations: ViolationCollector) -> FidelitySettings | None:
    """Return the settings of training in parts; None if the spec has none.

    Without a promotion, forecasts choose where the study's algorithm has any, else ranks. An unknown promotion is added
    to `violations`; numbers are validated with the study's spec.
    """
    if not spec.HasField("fidelity"):
        return None
    message = spec.fidelity
    has_forecasts = spec.suggestion.algorithm in (pb.ALGORITHM_UNSPECIFIED, pb.ALGORITHM_GAUSSIAN_PROCESS)
    number = message.promotion or (pb.PROMOTION_FORECAST if has_forecasts else pb.PROMOTION_ASHA)
    promotion = or_else(violations, lambda: choice(number, f"{field}.promotion", ENUMS["promotion"]), Promotion.ASHA)
    given: dict[str, Any] = {"min_step": message.min} if message.HasField("min") else {}
    if message.metric:
        given["step_name"] = message.metric
    return FidelitySettings(message.max, promotion=promotion, **given)


def fidelity_to_wire(settings: FidelitySettings | None) -> pb.FidelitySettings | None:
    """Return the message, with defaults filled in; None without settings."""
    if settings is None:
        return None
    return pb.FidelitySettings(
        metric=settings.step_name,
        max=settings.max_step,
        min=settings.min_step,
        promotion=ENUMS_TO_WIRE["promotion"][settings.promotion],
    )


def _sources_from_wire(names: Sequence[str], field: str, violations: ViolationCollector) -> tuple[str, ...]:
    study_ids = []
    for i, name in enumerate(names[: MAX_SOURCES + 1]):
        try:
            study_ids.append(study_id_of(name, f"{field}[{i}]"))
        except InvalidArgument as error:
            add_all(violations, error.violations)
    return tuple(study_ids)
