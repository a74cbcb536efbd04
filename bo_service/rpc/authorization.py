"""Authorization of calls by method and study: the rules, which `admission.py` and `handlers.py` apply."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bo_service.domain.access import Role
from bo_service.rpc import resource_names

Studies = Callable[[Any], Sequence[str]]
"""From a request to the ids of the studies that it names. Raises InvalidArgument."""


@dataclass(frozen=True)
class AccessRule:
    """Of one method."""

    role: Role | None
    """None: anybody may."""
    studies: Studies = lambda _: ()
    is_for_every_study: bool = False
    """Whether callers that are limited to some studies may not."""


def _named(request: Any) -> Sequence[str]:
    return (resource_names.study_id_of(request.name, "name"),)


def _parent(request: Any) -> Sequence[str]:
    return (resource_names.study_id_of(request.parent, "parent"),)


def _trial(request: Any) -> Sequence[str]:
    return (resource_names.trial_of(request.name, "name")[0],)


def _parent_trial(request: Any) -> Sequence[str]:
    return (resource_names.trial_of(request.parent, "parent")[0],)


def _artifact(request: Any) -> Sequence[str]:
    return (resource_names.artifact_of(request.name, "name")[0],)


def _created(request: Any) -> Sequence[str]:
    return (resource_names.check_study_id(request.study_id, "study_id"), *_sources(request))


def _updated(request: Any) -> Sequence[str]:
    return (resource_names.study_id_of(request.study.name, "study.name"), *_sources(request))


def _sources(request: Any) -> Sequence[str]:
    """Return also the studies that a study starts from. Invalid names are rejected later."""
    return [name.removeprefix("studies/") for name in request.study.spec.suggestion.warm_start_studies]


OURS = "/bo_api.v1.OptimizationService/"
TOKENS = "/bo_api.v1.TokenService/"
HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/"

RULES: dict[str, AccessRule] = {
    f"{OURS}GetStudy": AccessRule(Role.READER, _named),
    f"{OURS}ListStudies": AccessRule(Role.READER),  # which lists what the caller may see
    f"{OURS}WatchStudy": AccessRule(Role.READER, _named),
    f"{OURS}AnalyzeStudy": AccessRule(Role.READER, _named),
    f"{OURS}GetTrial": AccessRule(Role.READER, _trial),
    f"{OURS}ListTrials": AccessRule(Role.READER, _parent),
    f"{OURS}GetBestTrials": AccessRule(Role.READER, _parent),
    f"{OURS}ListArtifacts": AccessRule(Role.READER, _parent_trial),
    f"{OURS}GetArtifact": AccessRule(Role.READER, _artifact),
    f"{OURS}Predict": AccessRule(Role.READER, _parent),
    f"{OURS}PredictSlice": AccessRule(Role.READER, _parent),
    f"{OURS}CreateStudy": AccessRule(Role.WORKER, _created),
    f"{OURS}UpdateStudy": AccessRule(Role.WORKER, _updated),
    f"{OURS}SuggestTrials": AccessRule(Role.WORKER, _parent),
    f"{OURS}CreateTrial": AccessRule(Role.WORKER, _parent),
    f"{OURS}ReportMeasurements": AccessRule(Role.WORKER, _trial),
    f"{OURS}CompleteTrial": AccessRule(Role.WORKER, _trial),
    f"{OURS}StopTrial": AccessRule(Role.WORKER, _trial),
    f"{OURS}AddArtifact": AccessRule(Role.WORKER, _trial),
    f"{OURS}SetTrialNote": AccessRule(Role.WORKER, _trial),
    f"{OURS}DeleteStudy": AccessRule(Role.ADMIN, _named),
    f"{OURS}DeleteTrial": AccessRule(Role.ADMIN, _trial),
    f"{TOKENS}CreateToken": AccessRule(Role.ADMIN, is_for_every_study=True),
    f"{TOKENS}ListTokens": AccessRule(Role.ADMIN, is_for_every_study=True),
    f"{TOKENS}RevokeToken": AccessRule(Role.ADMIN, is_for_every_study=True),
    f"{TOKENS}GetCaller": AccessRule(Role.READER),
    f"{HEALTH}Check": AccessRule(None),
    f"{HEALTH}List": AccessRule(None),
    f"{HEALTH}Watch": AccessRule(None),
    f"{REFLECTION}ServerReflectionInfo": AccessRule(Role.READER),
}
