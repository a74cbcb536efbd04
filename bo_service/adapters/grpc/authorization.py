"""Who is let in to which method and which study."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from bo_service.adapters import calls
from bo_service.adapters.grpc.rules import RULES, Rule
from bo_service.adapters.grpc.surrounding import Made, like
from bo_service.application.door import Door
from bo_service.core.errors import BoError, PermissionDenied, Unauthenticated

logger = logging.getLogger("bo_service.access")

LINES_A_MINUTE = 20


class Authorization(grpc.ServerInterceptor):
    """The innermost: looks at the token before the request is read, and at the studies that the request names."""

    def __init__(self, door: Door, rules: dict[str, Rule] = RULES) -> None:
        self._door = door
        self._rules = rules
        self._refusals = RefusalLog()
        self._made = Made()
        self._refusing: Any = grpc.unary_unary_rpc_method_handler(self._refuse)  # reads nothing: no codec

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        method = str(details.method)
        rule = self._rules.get(method)
        if handler is None or (rule is not None and rule.role is None):
            return handler
        name = method.rpartition("/")[2]
        try:
            self._admit(details, rule, name)
        except BoError as error:
            calls.required().refusal = error
            return self._refusing
        assert rule is not None
        return self._made.of(method, handler, lambda inner: self._checking(inner, rule))

    def _admit(self, details: grpc.HandlerCallDetails, rule: Rule | None, name: str) -> None:
        """The call has its principal from now on."""
        shown = [value for key, value in details.invocation_metadata or () if key == "authorization"]
        if len(shown) > 1:
            raise Unauthenticated("authorization: is there more than once; send one token", cause="malformed")
        principal = self._door.admit(str(shown[0]) if shown else None)
        call = calls.required()
        call.principal, call.caller = principal, principal.name
        call.is_welcome = lambda: self._door.is_still_welcome(principal)
        if rule is None or rule.role is None:
            raise PermissionDenied(f"{name} is open to nobody, as this server has no rule for it")
        principal.require(rule.role, name)
        if rule.is_for_every_study:
            principal.require_every_study(name)

    def _refuse(self, _: object, context: grpc.ServicerContext) -> Any:
        call = calls.required()
        assert call.refusal is not None
        self._refusals.tell(call.method, context.peer(), call.refusal)
        raise call.refusal

    def _checking(self, handler: Any, rule: Rule) -> Any:
        if handler.request_streaming:
            return handler

        def check(request: Any) -> None:
            call, studies = calls.required(), rule.studies(request)
            if studies:
                call.study = studies[0]
            for study_id in studies:
                call.principal.require_study(study_id)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            check(request)
            return handler.unary_unary(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            check(request)
            call = calls.required()
            for message in handler.unary_stream(request, context):
                _require_still_welcome(call)
                yield message
            _require_still_welcome(call)

        return like(handler, answer, stream)


def _require_still_welcome(call: calls.Call) -> None:
    if not call.is_welcome():
        raise Unauthenticated(f"{call.principal.name} is no longer let in; ask an administrator for a token")


class RefusalLog:
    """Tells of those who aren't let in, so many a minute, so that nobody can fill the disk by knocking."""

    def __init__(self, lines: int = LINES_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._clock = clock
        self._guard = threading.Lock()
        self._began = clock()
        self._told = self._untold = 0

    def tell(self, method: str, peer: str, error: BoError) -> None:
        """Logs a refusal, or counts it."""
        with self._guard:
            if self._clock() >= self._began + 60:
                if self._untold:
                    logger.warning("%d more refusals in a minute are not told one by one", self._untold)
                self._began, self._told, self._untold = self._clock(), 0, 0
            if self._told >= self._lines:
                self._untold += 1
                return
            self._told += 1
        cause = error.metadata.get("cause", error.reason)
        logger.warning("refused %s to %s: %s", method, peer, cause, extra={"peer": peer, "cause": cause})
