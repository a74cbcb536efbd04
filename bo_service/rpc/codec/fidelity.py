"""Conversion of the settings of training in parts to and from messages."""

from typing import Any

from bo_api.v1 import study_pb2 as pb

from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.rpc.codec.fields import ViolationCollector, choice
from bo_service.rpc.codec.search_space import or_else

PROMOTIONS: dict[Any, Promotion] = {
    pb.Promotion.Value(f"PROMOTION_{promotion.name}"): promotion for promotion in Promotion
}
PROMOTIONS_TO_WIRE: dict[Promotion, Any] = {promotion: number for number, promotion in PROMOTIONS.items()}


def fidelity_from_wire(spec: pb.StudySpec, field: str, violations: ViolationCollector) -> FidelitySettings | None:
    """Return the settings; None if the spec has none. Numbers are validated with the study's spec.

    Without a promotion, forecasts choose where the study's algorithm has any, else ranks.

    An unknown promotion is added to `violations`.
    """
    if not spec.HasField("fidelity"):
        return None
    message = spec.fidelity
    has_forecasts = spec.suggestion.algorithm in (pb.ALGORITHM_UNSPECIFIED, pb.ALGORITHM_GAUSSIAN_PROCESS)
    number = message.promotion or (pb.PROMOTION_FORECAST if has_forecasts else pb.PROMOTION_ASHA)
    promotion = or_else(violations, lambda: choice(number, f"{field}.promotion", PROMOTIONS), Promotion.ASHA)
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
        promotion=PROMOTIONS_TO_WIRE[settings.promotion],
    )
