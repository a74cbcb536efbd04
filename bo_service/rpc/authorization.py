"""Authorization of calls by method and study: the rules, and the interceptor that applies them."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from bo_service import request_context
from bo_service.application.authentication import Authenticator
from bo_service.domain.access import Role
from bo_service.domain.errors import BoError, PermissionDenied, Unauthenticated
from bo_service.rpc import resource_names
from bo_service.rpc.context_interceptor import HandlerCache, wrap_handler

logger = logging.getLogger("bo_service.access")

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


class Authorization(grpc.ServerInterceptor):
    """The innermost interceptor: it authorizes the call before the request is read, and then the named studies."""

    def __init__(self, authenticator: Authenticator, rules: dict[str, AccessRule] = RULES) -> None:
        self._authenticator = authenticator
        self._rules = rules
        self._handlers = HandlerCache()
        self._rejecting_handler: Any = grpc.unary_unary_rpc_method_handler(self._reject)  # reads nothing: no codec

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        method = str(details.method)
        rule = self._rules.get(method)
        if handler is None or (rule is not None and rule.role is None):
            return handler
        name = method.rpartition("/")[2]
        try:
            self._authorize(details, rule, name)
        except BoError as error:
            request_context.required().refusal = error
            return self._rejecting_handler
        assert rule is not None
        return self._handlers.get_or_make(method, handler, lambda inner: self._with_study_check(inner, rule))

    def _authorize(self, details: grpc.HandlerCallDetails, rule: AccessRule | None, name: str) -> None:
        """Authorize a call, and set its principal.

        Raises:
            Unauthenticated: the token is missing or invalid.
            PermissionDenied: the role or the scope is insufficient.
        """
        tokens = [value for key, value in details.invocation_metadata or () if key == "authorization"]
        if len(tokens) > 1:
            raise Unauthenticated("authorization: occurs more than once; send one token", cause="malformed")
        principal = self._authenticator.authenticate(str(tokens[0]) if tokens else None)
        call = request_context.required()
        call.principal, call.caller = principal, principal.name
        call.is_authorized = lambda: self._authenticator.is_still_authorized(principal)
        if rule is None or rule.role is None:
            raise PermissionDenied(f"{name} is disabled, as this server has no access rule for it")
        principal.require(rule.role, name)
        if rule.is_for_every_study:
            principal.require_every_study(name)

    def _reject(self, _: object, context: grpc.ServicerContext) -> Any:
        call = request_context.required()
        assert call.refusal is not None
        peer, cause = context.peer(), call.refusal.metadata.get("cause", call.refusal.reason)
        fields = {"peer": peer, "cause": cause, "kind": "refusals"}
        logger.warning("rejected %s from %s: %s", call.method, peer, cause, extra=fields)
        raise call.refusal

    def _with_study_check(self, handler: Any, rule: AccessRule) -> Any:
        if handler.request_streaming:
            return handler

        def check(request: Any) -> None:
            call, studies = request_context.required(), rule.studies(request)
            if studies:
                call.study = studies[0]
            for study_id in studies:
                call.principal.require_study(study_id)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            check(request)
            return handler.unary_unary(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            check(request)
            for message in handler.unary_stream(request, context):
                request_context.require_authorized()
                yield message
            request_context.require_authorized()

        return wrap_handler(handler, answer, stream)
