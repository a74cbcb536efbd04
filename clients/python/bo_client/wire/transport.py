"""The seam between the client and whatever answers it: one method wide, and a second one for streams."""

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
from bo_client.retries import SILENT_FOR, logger, new_request_id
from bo_client.security import Security, check_address, is_local
from bo_client.wire.reachability import cause_of
from bo_client.wire.status import error_of, is_silent

SERVICES = {
    method.name: (service.full_name, module)
    for module in (optimization_service_pb2, token_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Of each method: its service, and the module that has its messages."""

KEEPALIVE = 30.0
"""Seconds of silence in a call after which the connection is probed; servers must allow it."""

OPTIONS: list[tuple[str, int]] = [
    ("grpc.keepalive_time_ms", int(KEEPALIVE * 1000)),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.enable_retries", 0),  # the client retries, so that its patience is the only one
]


class Transport(Protocol):
    """Carries one request to a server. A program's own tests use `bo_client.testing.FakeServer` instead."""

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        """The answer to `request`, within `timeout` seconds. Raises BoClientError."""
        ...

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """The answers to `request` as they come; closing the iterator ends the call. Raises BoClientError."""
        ...

    def close(self) -> None:
        """Lets go of whatever is held."""
        ...


def channel_options(address: str, security: Security) -> list[tuple[str, int | str]]:
    """For a channel to the server at the address."""
    options: list[tuple[str, int | str]] = [*OPTIONS]
    if is_local(address):  # a proxy from the environment is never the way to this very machine
        options.append(("grpc.enable_http_proxy", 0))
    if security.tls and security.server_name:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    return options


class Connection:
    """A channel to one server, opened at the first call. Threads and transports may share it."""

    def __init__(self, address: str, security: Security) -> None:
        """Raises InvalidRequest where a file can't be read."""
        self._address = address
        self._security = security
        self._credentials = security.credentials()
        self._lock = threading.Lock()
        self._opened: grpc.Channel | None = None
        self._methods: dict[str, Any] = {}
        self.has_answered = False
        """Whether a server has ever answered a call on it."""

    @contextmanager
    def first_call(self, address: str) -> Iterator[None]:
        """Around a call: until one has been answered, says so when there is no answer for a while."""
        if self.has_answered:
            yield
            return
        warning = threading.Timer(SILENT_FOR, logger.warning, ("no answer from %s yet; waiting", address))
        warning.daemon = True
        warning.start()
        try:
            yield
        finally:
            warning.cancel()

    @property
    def is_closed(self) -> bool:
        """Whether it is not open, or no longer."""
        return self._opened is None

    def method(self, method: str, streaming: bool) -> Any:
        """What makes a call of the method."""
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
        """Calls in progress end as cancelled."""
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
    """Calls the server at HOST:PORT, or `unix:PATH`, and shows it a token. Threads may share it."""

    def __init__(self, address: str, security: Security | None = None, connection: Connection | None = None) -> None:
        """Over a connection of its own, unless one is given.

        Raises:
            InvalidRequest: the address has no port, a file can't be read, or a token would be seen.
        """
        check_address(address)
        self.address = address
        self.security = security or Security()
        self.security.check(address)
        self._connection = connection or Connection(address, self.security)

    def showing(self, token: str | None) -> "GrpcTransport":
        """The same connection with another token, for programs that call on behalf of others. Raises InvalidRequest."""
        return GrpcTransport(self.address, replace(self.security, token=token), self._connection)

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        """The answer to `request`, within `timeout` seconds. Raises BoClientError."""
        try:
            make = self._connection.method(method, streaming=False)
            with self._connection.first_call(self.address):
                answer: Message = make(request, timeout=timeout, metadata=self._metadata(request))
        except grpc.RpcError as error:
            raise self._error(error, timeout) from None
        self._connection.has_answered = True
        return answer

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """The answers to `request` as they come; closing the iterator ends the call. Raises BoClientError."""
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
        """Closes the connection; calls in progress end as cancelled."""
        self._connection.close()

    def _error(self, error: grpc.RpcError, timeout: float | None) -> BoClientError:
        """Ours. Where no call has ever been answered, it also says what is wrong with the connection."""
        if not is_silent(error):
            self._connection.has_answered = True
        elif not self._connection.has_answered and error.code() is grpc.StatusCode.UNAVAILABLE:
            return cause_of(error.details() or "", self.address, self.security).error()
        return error_of(error, self.address, timeout, self._connection.is_closed)

    def _metadata(self, request: Message) -> list[tuple[str, str]]:
        """The token; what the server's log calls this call; and the trace that the program is in, if it has one."""
        found = [("x-request-id", getattr(request, "request_id", "") or new_request_id())]
        if self.security.token is not None:
            found.append(("authorization", f"Bearer {self.security.token}"))
        if "opentelemetry.trace" in sys.modules:  # whoever traces has loaded it
            from opentelemetry import propagate

            trace: dict[str, str] = {}
            propagate.inject(trace)
            found += trace.items()
        return found
