"""Context managers around calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc


class HandlerCache:
    """A cache of wrapped handlers, one per method, so that none is created per call."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Any, Any]] = {}

    def get_or_make(self, method: str, handler: Any, make: Callable[[Any], Any]) -> Any:
        """Return the wrapped handler of a method, and create it if the inner handler is new.

        Args:
            method: full method name.
            handler: the inner handler.
            make: wraps the inner handler.
        """
        cached = self._handlers.get(method)
        if cached is None or cached[0] is not handler:
            cached = self._handlers[method] = (handler, make(handler))
        return cached[1]


class ContextManagerInterceptor(grpc.ServerInterceptor, ABC):
    """An interceptor that runs each call, or whole response stream, inside a context manager."""

    def __init__(self) -> None:
        self._handlers = HandlerCache()

    @abstractmethod
    def around(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """Return the context manager of a call.

        Args:
            method: method name without the service.
            context: the call.
        """

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or is_non_blocking(handler):
            return handler
        return self._handlers.get_or_make(details.method, handler, lambda inner: self._wrapped(inner, details.method))

    def _wrapped(self, handler: Any, name: str) -> Any:
        method, behavior = name.rpartition("/")[2], behavior_of(handler)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self.around(method, context):
                return behavior(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self.around(method, context):
                yield from behavior(request, context)

        return wrap_handler(handler, answer, stream)


def wrap_handler(handler: Any, answer: Callable[..., Any], stream: Callable[..., Iterator[Any]]) -> Any:
    """Return a handler with the same kind, codec and thread pool, and a new behavior.

    Args:
        handler: the handler to copy.
        answer: the behavior if it responds with one message.
        stream: the behavior if it responds with a stream.
    """
    chosen: Any = stream if handler.response_streaming else answer
    pool = getattr(behavior_of(handler), "experimental_thread_pool", None)
    if pool is not None:
        chosen.experimental_thread_pool = pool  # where gRPC looks for it
    make = _MAKERS[handler.request_streaming, handler.response_streaming]
    return make(chosen, handler.request_deserializer, handler.response_serializer)


def behavior_of(handler: Any) -> Any:
    """Return the function that a handler of any kind calls."""
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def is_non_blocking(handler: Any) -> bool:
    """Return whether a stream holds no thread as long as nothing wraps it, as the health service's watch may."""
    return getattr(handler.unary_stream, "experimental_non_blocking", False)


_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
