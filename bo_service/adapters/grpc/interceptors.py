"""What surrounds every call: a line in the log, and refusals that become statuses."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc
from grpc_status import rpc_status

from bo_service.adapters.grpc.status import to_status

logger = logging.getLogger("bo_service.grpc")

FREQUENT = ("ReportMeasurements", "WatchStudy", "Check")
"""Methods that are logged at level debug, unless they are refused."""


class Surrounding(grpc.ServerInterceptor, ABC):
    """Puts a context manager around each call, and around the whole of each stream of answers."""

    @abstractmethod
    def around(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """`method` is its bare name."""

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or _is_left_alone(handler):
            return handler
        method = str(details.method).rpartition("/")[2]

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self.around(method, context):
                return handler.unary_unary(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self.around(method, context):
                yield from handler.unary_stream(request, context)

        coding = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, *coding)
        return grpc.unary_unary_rpc_method_handler(answer, *coding)


def _is_left_alone(handler: Any) -> bool:
    """Reflection's stream of requests, and health's watch, which holds no thread as long as nothing is around it."""
    return handler.request_streaming or getattr(handler.unary_stream, "experimental_non_blocking", False)


class ErrorsToStatus(Surrounding):
    """Exceptions end a call with the status that tells them."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:  # noqa: ARG002 - for all methods
        try:
            yield
        except Exception as error:
            context.abort_with_status(rpc_status.to_status(to_status(error)))


class RequestLog(Surrounding):
    """One line for each call: method, outcome, milliseconds."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            code = context.code()  # type: ignore[attr-defined]  # missing in the stubs
            level = logging.DEBUG if method in FREQUENT and code is None else logging.INFO
            took = (time.perf_counter() - began) * 1000
            logger.log(level, "%s %s %.1f ms", method, _outcome(code, context), took)


def _outcome(code: grpc.StatusCode | None, context: grpc.ServicerContext) -> str:
    if code is not None:
        return code.name
    return "OK" if context.is_active() else "CANCELLED"
