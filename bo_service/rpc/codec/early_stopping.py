"""Conversion of early-stopping settings to and from messages."""

from typing import Any

from bo_api.v1 import study_pb2

from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.rpc.codec.fields import ViolationCollector, choice
from bo_service.rpc.codec.search_space import or_else

RULES: dict[Any, StoppingRule] = {
    study_pb2.StoppingRule.Value(f"STOPPING_RULE_{rule.name}"): rule for rule in StoppingRule
}
RULES_TO_WIRE: dict[StoppingRule, Any] = {rule: number for number, rule in RULES.items()}
NUMBERS = ("min_step", "min_trials", "reduction_factor", "max_step", "confidence")


def stopping_from_wire(
    message: study_pb2.StoppingSettings, field: str, violations: ViolationCollector
) -> StoppingSettings:
    """Return the settings. An unknown rule is added to `violations`; numbers are validated with the study's spec."""
    number = message.rule or study_pb2.STOPPING_RULE_NONE
    rule = or_else(violations, lambda: choice(number, f"{field}.rule", RULES), StoppingRule.NONE)
    numbers: dict[str, Any] = {name: getattr(message, name) for name in NUMBERS if message.HasField(name)}
    return StoppingSettings(rule, **numbers)


def stopping_to_wire(settings: StoppingSettings) -> study_pb2.StoppingSettings:
    """Return the message, with defaults filled in."""
    numbers: dict[str, Any] = {name: getattr(settings, name) for name in NUMBERS}
    return study_pb2.StoppingSettings(rule=RULES_TO_WIRE[settings.rule], **numbers)
