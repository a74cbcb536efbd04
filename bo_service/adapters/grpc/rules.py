"""What each method asks of its caller: a role, and the right to the studies that the request names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bo_service.adapters.grpc import names
from bo_service.core.access import Role

Studies = Callable[[Any], Sequence[str]]
"""From a request to the ids of the studies that it names. Raises InvalidArgument."""


@dataclass(frozen=True)
class Rule:
    """Of one method."""

    role: Role | None
    """None: anybody may."""
    studies: Studies = lambda _: ()
    is_for_every_study: bool = False
    """Whether callers that are limited to some studies may not."""


def _named(request: Any) -> Sequence[str]:
    return (names.study_id_of(request.name, "name"),)


def _parent(request: Any) -> Sequence[str]:
    return (names.study_id_of(request.parent, "parent"),)


def _trial(request: Any) -> Sequence[str]:
    return (names.trial_of(request.name, "name")[0],)


def _created(request: Any) -> Sequence[str]:
    return (names.check_study_id(request.study_id, "study_id"), *_sources(request))


def _updated(request: Any) -> Sequence[str]:
    return (names.study_id_of(request.study.name, "study.name"), *_sources(request))


def _sources(request: Any) -> Sequence[str]:
    """A study that starts from others knows what they know. Names that are none are refused later on."""
    return [name.removeprefix("studies/") for name in request.study.spec.suggestion.warm_start_studies]


OURS = "/bo_api.v1.OptimizationService/"
TOKENS = "/bo_api.v1.TokenService/"
HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/"

RULES: dict[str, Rule] = {
    f"{OURS}GetStudy": Rule(Role.READER, _named),
    f"{OURS}ListStudies": Rule(Role.READER),  # which lists what the caller may see
    f"{OURS}WatchStudy": Rule(Role.READER, _named),
    f"{OURS}AnalyzeStudy": Rule(Role.READER, _named),
    f"{OURS}GetTrial": Rule(Role.READER, _trial),
    f"{OURS}ListTrials": Rule(Role.READER, _parent),
    f"{OURS}GetBestTrials": Rule(Role.READER, _parent),
    f"{OURS}Predict": Rule(Role.READER, _parent),
    f"{OURS}PredictSlice": Rule(Role.READER, _parent),
    f"{OURS}CreateStudy": Rule(Role.WORKER, _created),
    f"{OURS}UpdateStudy": Rule(Role.WORKER, _updated),
    f"{OURS}SuggestTrials": Rule(Role.WORKER, _parent),
    f"{OURS}CreateTrial": Rule(Role.WORKER, _parent),
    f"{OURS}ReportMeasurements": Rule(Role.WORKER, _trial),
    f"{OURS}CompleteTrial": Rule(Role.WORKER, _trial),
    f"{OURS}StopTrial": Rule(Role.WORKER, _trial),
    f"{OURS}DeleteStudy": Rule(Role.ADMIN, _named),
    f"{OURS}DeleteTrial": Rule(Role.ADMIN, _trial),
    f"{TOKENS}CreateToken": Rule(Role.ADMIN, is_for_every_study=True),
    f"{TOKENS}ListTokens": Rule(Role.ADMIN, is_for_every_study=True),
    f"{TOKENS}RevokeToken": Rule(Role.ADMIN, is_for_every_study=True),
    f"{TOKENS}GetCaller": Rule(Role.READER),
    f"{HEALTH}Check": Rule(None),
    f"{HEALTH}List": Rule(None),
    f"{HEALTH}Watch": Rule(None),
    f"{REFLECTION}ServerReflectionInfo": Rule(Role.READER),
}
