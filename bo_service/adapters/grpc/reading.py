"""Requests that are no messages: gRPC itself would call them a fault of the server."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from bo_service.adapters.grpc.surrounding import Made
from bo_service.core.errors import InvalidArgument


class Unreadable:
    """Stands for a request whose bytes are no message."""


class ReadableRequests(grpc.ServerInterceptor):
    """Refuses what can't be read as a refusal like any other, before anything within looks at it."""

    def __init__(self) -> None:
        self._made = Made()

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or handler.request_deserializer is None:  # what strangers send isn't read at all
            return handler
        return self._made.of(details.method, handler, _reading)


def _reading(handler: Any) -> Any:
    read, write = handler.request_deserializer, handler.response_serializer
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(_refusing(handler.unary_unary), _or_unreadable(read), write)
    if handler.unary_stream is not None and not getattr(handler.unary_stream, "experimental_non_blocking", False):
        streaming = _refusing_stream(handler.unary_stream)
        return grpc.unary_stream_rpc_method_handler(streaming, _or_unreadable(read), write)
    # Reflection, and health's watch: they answer an empty request in their own ways.
    return handler._replace(request_deserializer=lambda data: _read(read, data) or read(b""))


def _read(read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return read(data)
    except DecodeError:
        return None


def _or_unreadable(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read_or_mark(data: bytes) -> Any:
        found = _read(read, data)
        return Unreadable() if found is None else found

    return read_or_mark


def _refusing(answer: Callable[..., Any]) -> Callable[..., Any]:
    def checked(request: Any, context: grpc.ServicerContext) -> Any:
        _check(request)
        return answer(request, context)

    return checked


def _refusing_stream(answer: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def checked(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        _check(request)
        yield from answer(request, context)

    return checked


def _check(request: Any) -> None:
    if isinstance(request, Unreadable):
        raise InvalidArgument.of("request", "holds bytes that are no message of this method; send it as bo_api.v1 says")
