"""The transport of calls: an interface with one method for calls and one for streams."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import grpc
from bo_api.v1 import optimization_service_pb2, token_service_pb2
from google.protobuf.message import Message

from bo_client.errors import BoClientError
from bo_client.retries import SILENCE_WARNING_S, logger, new_request_id
from bo_client.security import Security, check_address, is_local
from bo_client.wire.reachability import cause_of
from bo_client.wire.status import error_of, is_silent

SERVICES = {
    method.name: (service.full_name, module)
    for module in (optimization_service_pb2, token_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Service and message module of each method."""

KEEPALIVE_S = 30.0
"""Seconds without data in a call after which the connection is probed; servers must allow it."""

OPTIONS: list[tuple[str, int]] = [
    ("grpc.keepalive_time_ms", int(KEEPALIVE_S * 1000)),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.enable_retries", 0),  # the client retries, so that its patience is the only one
]


class Transport(Protocol):
    """Carries one request to a server. `bo_client.testing` has two for a program's own tests."""

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        """Return the response to a request.

        Args:
            method: name of the method.
            request: the request.
            timeout: seconds; None for no limit.

        Raises:
            BoClientError: the call failed.
        """
        ...

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """Yield the responses of a stream; closing the iterator ends the call.

        Raises:
            BoClientError: the call failed.
        """
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


def channel_options(address: str, security: Security) -> list[tuple[str, int | str]]:
    """Return the options of a channel to the server."""
    options: list[tuple[str, int | str]] = [*OPTIONS]
    if is_local(address):  # a proxy from the environment is never the way to this very machine
        options.append(("grpc.enable_http_proxy", 0))
    if security.tls and security.server_name:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    return options


class Connection:
    """A channel to one server, opened at the first call. Threads and transports may share it."""

    def __init__(self, address: str, security: Security) -> None:
        """Create the connection without opening it.

        Raises:
            InvalidRequest: a file cannot be read.
        """
        self._address = address
        self._security = security
        self._credentials = security.credentials()
        self._lock = threading.Lock()
        self._opened: grpc.Channel | None = None
        self._methods: dict[str, Any] = {}
        self.has_answered = False
        """Whether a server has ever responded on this connection."""

    @contextmanager
    def warn_if_silent(self, address: str) -> Iterator[None]:
        """Log during a call that there is no response for a while, until the first response on this connection."""
        if self.has_answered:
            yield
            return
        warning = threading.Timer(SILENCE_WARNING_S, logger.warning, ("no response from %s yet; waiting", address))
        warning.daemon = True
        warning.start()
        try:
            yield
        finally:
            warning.cancel()

    @property
    def is_closed(self) -> bool:
        """Whether the channel is not open."""
        return self._opened is None

    def method(self, method: str, streaming: bool) -> Any:
        """Return the callable of a method."""
        with self._lock:
            if method not in self._methods:
                self._opened = self._opened or self._channel()
                service, module = SERVICES[method]
                make = self._opened.unary_stream if streaming else self._opened.unary_unary
                self._methods[method] = make(
                    f"/{service}/{method}",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=getattr(module, f"{method}Response").FromString,
                )
            return self._methods[method]

    def close(self) -> None:
        """Close the channel; calls in progress are canceled."""
        with self._lock:
            channel, self._opened = self._opened, None
            self._methods.clear()
        if channel is not None:
            channel.close()

    def _channel(self) -> grpc.Channel:
        options = channel_options(self._address, self._security)
        if self._credentials is None:
            return grpc.insecure_channel(self._address, options)
        return grpc.secure_channel(self._address, self._credentials, options)


class GrpcTransport:
    """A transport over gRPC to HOST:PORT or `unix:PATH`, with a token. Threads may share it."""

    def __init__(self, address: str, security: Security | None = None, connection: Connection | None = None) -> None:
        """Create a transport.

        Args:
            address: the server's address.
            security: TLS settings and token.
            connection: an existing connection to share; by default a new one.

        Raises:
            InvalidRequest: the address has no port, a file cannot be read, or a token would be sent unencrypted.
        """
        check_address(address)
        self.address = address
        self.security = security or Security()
        self.security.check(address)
        self._connection = connection or Connection(address, self.security)

    def showing(self, token: str | None) -> "GrpcTransport":
        """Return a transport with another token on the same connection, for calls on behalf of others.

        Raises:
            InvalidRequest: the token is invalid.
        """
        return GrpcTransport(self.address, replace(self.security, token=token), self._connection)

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        """Return the response to a request.

        Args:
            method: name of the method.
            request: the request.
            timeout: seconds; None for no limit.

        Raises:
            BoClientError: the call failed.
        """
        try:
            make = self._connection.method(method, streaming=False)
            with self._connection.warn_if_silent(self.address):
                response: Message = make(request, timeout=timeout, metadata=self._metadata(request))
        except grpc.RpcError as error:
            raise self._error(error, timeout) from None
        self._connection.has_answered = True
        return response

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """Yield the responses of a stream; closing the iterator ends the call.

        Raises:
            BoClientError: the call failed.
        """
        call = self._connection.method(method, streaming=True)(request, metadata=self._metadata(request))
        try:
            for message in call:
                self._connection.has_answered = True
                yield message
        except grpc.RpcError as error:
            raise self._error(error, None) from None
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the connection; calls in progress are canceled."""
        self._connection.close()

    def _error(self, error: grpc.RpcError, timeout: float | None) -> BoClientError:
        """Return the client's error. Before the first response it also describes the problem of the connection."""
        if not is_silent(error):
            self._connection.has_answered = True
        elif not self._connection.has_answered and error.code() is grpc.StatusCode.UNAVAILABLE:
            return cause_of(error.details() or "", self.address, self.security).error()
        return error_of(error, self.address, timeout, self._connection.is_closed)

    def _metadata(self, request: Message) -> list[tuple[str, str]]:
        """Return the token, the id for the server's log, and the program's trace context, if any."""
        metadata = [("x-request-id", getattr(request, "request_id", "") or new_request_id())]
        if self.security.token is not None:
            metadata.append(("authorization", f"Bearer {self.security.token}"))
        if "opentelemetry.trace" in sys.modules:  # whoever traces has loaded it
            from opentelemetry import propagate

            trace: dict[str, str] = {}
            propagate.inject(trace)
            metadata += trace.items()
        return metadata
