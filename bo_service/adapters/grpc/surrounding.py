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
        if handler is None or is_non_blocking(handler):
            return handler
        return self._made.of(details.method, handler, lambda inner: self._surrounded(inner, details.method))

    def _surrounded(self, handler: Any, name: str) -> Any:
        method, behavior = name.rpartition("/")[2], behavior_of(handler)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self.around(method, context):
                return behavior(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self.around(method, context):
                yield from behavior(request, context)

        return like(handler, answer, stream)


def like(handler: Any, answer: Callable[..., Any], stream: Callable[..., Iterator[Any]]) -> Any:
    """A handler of the same kind, coding and thread pool, with one of these behaviors."""
    chosen: Any = stream if handler.response_streaming else answer
    pool = getattr(behavior_of(handler), "experimental_thread_pool", None)
    if pool is not None:
        chosen.experimental_thread_pool = pool  # where gRPC looks for it
    make = _MAKERS[handler.request_streaming, handler.response_streaming]
    return make(chosen, handler.request_deserializer, handler.response_serializer)


def behavior_of(handler: Any) -> Any:
    """What a handler calls, of whichever kind it is."""
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def is_non_blocking(handler: Any) -> bool:
    """Health's watch, which holds no thread as long as nothing is around it."""
    return getattr(handler.unary_stream, "experimental_non_blocking", False)


_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
