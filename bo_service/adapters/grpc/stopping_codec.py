"""Early stopping on the wire, and back: the study's settings, and what a trial is told."""

from typing import Any

from bo_api.v1 import study_pb2, trial_pb2

from bo_service.adapters.grpc.decoding import Faults, choice
from bo_service.adapters.grpc.space_codec import or_else
from bo_service.core.stopping.settings import StoppingRule, StoppingSettings
from bo_service.core.trial import Prediction, StopRequest

RULES: dict[Any, StoppingRule] = {
    study_pb2.StoppingRule.Value(f"STOPPING_RULE_{rule.name}"): rule for rule in StoppingRule
}
RULES_TO_WIRE: dict[StoppingRule, Any] = {rule: number for number, rule in RULES.items()}
NUMBERS = ("min_step", "min_trials", "reduction_factor", "max_step", "confidence")


def stopping_from_wire(message: study_pb2.StoppingSettings, field: str, faults: Faults) -> StoppingSettings:
    """Adds what is no rule to `faults`; numbers out of bounds are for the study's spec to tell."""
    number = message.rule or study_pb2.STOPPING_RULE_NONE
    rule = or_else(faults, lambda: choice(number, f"{field}.rule", RULES), StoppingRule.NONE)
    given: dict[str, Any] = {name: getattr(message, name) for name in NUMBERS if message.HasField(name)}
    return StoppingSettings(rule, **given)


def stopping_to_wire(settings: StoppingSettings) -> study_pb2.StoppingSettings:
    """With the values that the settings have by default."""
    numbers: dict[str, Any] = {name: getattr(settings, name) for name in NUMBERS}
    return study_pb2.StoppingSettings(rule=RULES_TO_WIRE[settings.rule], **numbers)


def stop_request_to_wire(request: StopRequest) -> trial_pb2.StopRequest:
    """Without a rule where somebody made the request."""
    message = trial_pb2.StopRequest(reason=request.reason, expected_step=request.expected_step)
    message.create_time.FromDatetime(request.create_time)
    if request.rule is not StoppingRule.NONE:
        message.rule = RULES_TO_WIRE[request.rule]
    if request.expected is not None:
        message.expected.CopyFrom(prediction_to_wire(request.expected))
    return message


def prediction_to_wire(prediction: Prediction) -> trial_pb2.Prediction:
    return trial_pb2.Prediction(metric=prediction.metric, mean=prediction.mean, std=prediction.std)
