"""Admission control: which calls get a thread, decided from their headers.

gRPC would give a call to a thread as soon as its headers arrive, and the thread would wait for the message. A client
that sends only headers would hold the thread as long as its connection lives. Therefore one interceptor authorizes each
call and gives it a place in the lane of its kind (see `lanes.py`), or has another thread refuse it. It runs on gRPC's
only serving thread, which every call passes: nothing here waits, formats or logs. Clients that do not read their
responses get no further ones (see `handlers.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import grpc

from bo_service import request_context
from bo_service.domain.access import Principal, Role
from bo_service.domain.errors import BoError, PermissionDenied, Unauthenticated
from bo_service.domain.limits import MAX_WATCHES
from bo_service.periodic_task import PeriodicTask
from bo_service.request_context import RequestContext
from bo_service.rpc.codec import fields
from bo_service.rpc.handlers import CallObserver, MethodHandlers, Outbox, Studies
from bo_service.rpc.lanes import STALL_CHECK_S, Lane

LANES = {
    "beat": (16, 4096, 4096),
    "health": (4, 4096, 4096),
    "result": (16, 4096, 4096),
    "suggest": (80, 2048, 2048),
    "call": (8, 1024, 1024),
    "read": (4, 512, 128),
    "compute": (8, 64, 16),
    "watch": (MAX_WATCHES + 4, 2 * MAX_WATCHES, MAX_WATCHES * 3 // 4),
    "observe": (16, 16, 16),
    "reflect": (4, 16, 4),
}
"""For each lane: number of threads, maximum calls, and maximum calls of one token."""
LANE_BY_METHOD = {
    "ReportMeasurements": "beat",
    "Check": "health",
    "List": "health",
    "CompleteTrial": "result",
    "SuggestTrials": "suggest",
    "GetSuggestions": "suggest",
    "GetStudy": "read",
    "ListStudies": "read",
    "GetTrial": "read",
    "ListTrials": "read",
    "ListArtifacts": "read",
    "GetArtifact": "read",
    "GetBestTrials": "read",
    "AnalyzeStudy": "compute",
    "Predict": "compute",
    "PredictSlice": "compute",
    "WatchStudy": "watch",
    "Watch": "observe",
    "ServerReflectionInfo": "reflect",
}
"""Lane by method name; other methods use the lane `call`."""


def _no_studies(_: Any) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class AccessRule:
    """Who may call one method, and for which studies."""

    role: Role | None
    """None: anybody may."""
    studies: Studies = _no_studies
    is_for_every_study: bool = False
    """Whether callers that are limited to some studies may not."""


def _named(request: Any) -> Sequence[str]:
    return (fields.study_id_of(request.name, "name"),)


def _parent(request: Any) -> Sequence[str]:
    return (fields.study_id_of(request.parent, "parent"),)


def _trial(request: Any) -> Sequence[str]:
    return (fields.trial_of(request.name, "name")[0],)


def _parent_trial(request: Any) -> Sequence[str]:
    return (fields.trial_of(request.parent, "parent")[0],)


def _artifact(request: Any) -> Sequence[str]:
    return (fields.artifact_of(request.name, "name")[0],)


def _created(request: Any) -> Sequence[str]:
    return (fields.check_study_id(request.study_id, "study_id"), *_sources(request))


def _updated(request: Any) -> Sequence[str]:
    return (fields.study_id_of(request.study.name, "study.name"), *_sources(request))


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
"""Who may call each method, by its path."""


class Callers(Protocol):
    """The authentication of callers, such as an `Authenticator`."""

    def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller of a value of the header `authorization`, None without one. Raises Unauthenticated."""

    def is_still_authorized(self, principal: Principal) -> bool:
        """Return whether an admitted caller would be admitted again."""


class Admission(grpc.ServerInterceptor):
    """The only interceptor: it authorizes each call, and gives it a place in its lane or refuses it."""

    def __init__(
        self, authenticator: Callers, observer: CallObserver | None = None, rules: Mapping[str, AccessRule] = RULES
    ) -> None:
        """Create the lanes.

        Args:
            authenticator: authenticates callers.
            observer: observes each call.
            rules: who may call each method.
        """
        self._authenticator, self._observer, self._rules = authenticator, observer, rules
        self._lanes = {name: Lane(name, *bounds) for name, bounds in LANES.items()}
        self._refusals = ThreadPoolExecutor(1, "grpc-refuse")
        self._outbox = Outbox()
        self._methods: dict[str, MethodHandlers] = {}
        self._watchdog = PeriodicTask("admission", STALL_CHECK_S, self._cancel_stalled)

    @property
    def is_stalled(self) -> bool:
        """Whether heartbeats wait and none is answered, so that leases cannot be renewed."""
        return self._lanes["beat"].is_stalled

    def stop(self) -> None:
        """Stop the watchdog."""
        self._watchdog.stop()

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        method = self._methods.get(details.method) or self._prepare(continuation, details)
        if method is None:
            return None  # there is no such method
        call = RequestContext(method.name, details.invocation_metadata or ())
        request_context.CURRENT.set(call)
        try:
            self._authorize(call, self._rules.get(details.method))
            method.lane.admit(call)
        except BoError as error:
            call.refusal = error
            return method.refusing
        return method.accepting

    def _prepare(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> MethodHandlers | None:
        """Create the handlers of a method at its first call; None if the server has no such method."""
        handler, path = continuation(details), str(details.method)
        if handler is None:
            return None
        name = path.rpartition("/")[2]
        lane, rule = self._lanes[LANE_BY_METHOD.get(name, "call")], self._rules.get(path)
        studies, is_read = (rule.studies, rule.role in (None, Role.READER)) if rule else (_no_studies, False)
        made = MethodHandlers(name, handler, studies, is_read, lane, self._refusals, self._outbox, self._observer)
        self._methods[path] = made
        return made

    def _authorize(self, call: RequestContext, rule: AccessRule | None) -> None:
        """Authorize a call by the rule of its method, None where it has none, and set its principal.

        Raises:
            Unauthenticated: the token is missing or invalid.
            PermissionDenied: the role or the scope is insufficient.
        """
        if rule is not None and rule.role is None:
            return
        tokens = [value for key, value in call.metadata if key == "authorization"]
        if len(tokens) > 1:
            raise Unauthenticated("authorization: occurs more than once; send one token", cause="malformed")
        principal = self._authenticator.authenticate(str(tokens[0]) if tokens else None)
        call.principal, call.caller = principal, principal.name
        call.is_authorized = partial(self._authenticator.is_still_authorized, principal)
        if rule is None or rule.role is None:
            raise PermissionDenied(f"{call.method} is disabled, as this server has no access rule for it")
        principal.require(rule.role, call.method)
        if rule.is_for_every_study:
            principal.require_every_study(call.method)

    def _cancel_stalled(self) -> None:
        for lane in self._lanes.values():
            lane.cancel_stalled()
        self._outbox.cancel_stalled()
