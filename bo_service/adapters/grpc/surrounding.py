"""Context managers around calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc


class Made:
    """Handlers that an interceptor has made of others: one for each method, not for each call."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Any, Any]] = {}

    def of(self, method: str, handler: Any, make: Callable[[Any], Any]) -> Any:
        """What `make` has made of a method's handler."""
        found = self._made.get(method)
        if found is None or found[0] is not handler:
            found = self._made[method] = (handler, make(handler))
        return found[1]


class Surrounding(grpc.ServerInterceptor, ABC):
    """Puts a context manager around each call, and around the whole of each stream of answers."""

    def __init__(self) -> None:
        self._made = Made()

    @abstractmethod
    def around(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """`method` is its bare name."""

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or is_left_alone(handler):
            return handler
        return self._made.of(details.method, handler, lambda inner: self._surrounded(inner, details.method))

    def _surrounded(self, handler: Any, name: str) -> Any:
        method = name.rpartition("/")[2]

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self.around(method, context):
                return handler.unary_unary(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self.around(method, context):
                yield from handler.unary_stream(request, context)

        return like(handler, answer, stream)


def like(handler: Any, answer: Callable[..., Any], stream: Callable[..., Iterator[Any]]) -> Any:
    """A handler of the same kind and coding, with one of these behaviors."""
    coding = (handler.request_deserializer, handler.response_serializer)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, *coding)
    return grpc.unary_unary_rpc_method_handler(answer, *coding)


def is_left_alone(handler: Any) -> bool:
    """Reflection's stream of requests, and health's watch, which holds no thread as long as nothing is around it."""
    return handler.request_streaming or getattr(handler.unary_stream, "experimental_non_blocking", False)
