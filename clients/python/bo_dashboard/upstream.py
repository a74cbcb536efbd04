"""The gRPC server of the dashboard: calls carry the token of their caller."""

import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from bo_api.v1 import optimization_service_pb2, token_service_pb2
from bo_api.v1 import token_service_pb2 as token_pb
from bo_client.retries import new_request_id
from bo_client.wire.transport import channel_options
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bo_dashboard.settings import DashboardSettings

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in (optimization_service_pb2, token_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""All methods of the service by path."""
PATHS = {method.name: path for path, method in METHODS.items()}
TIMEOUT_S = 60.0
"""Seconds for calls without a deadline."""
CACHE_S = 2.0
"""Seconds for which callers, and whether the server requires tokens, are cached."""
MAX_CACHED_CALLERS = 1000
MAX_TIMEOUT_S = 86_400.0
"""Maximum seconds of a caller's deadline."""
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""Request ids that the server accepts in the metadata."""


class AnonymousAccess(Exception):
    """The server requires no tokens, and the dashboard can be reached from other machines."""

    message = (
        "the server requires no tokens, and other machines may reach it through this dashboard; "
        "create a token on the server's machine with `bo token create --role admin`: from then on every caller needs "
        "one (restart a server with --auth none without that option)"
    )


class Upstream:
    """A channel to the server, which all users share."""

    def __init__(self, settings: DashboardSettings) -> None:
        """Create the credentials.

        Raises:
            InvalidRequest: a file cannot be read.
        """
        self._settings = settings
        self._credentials = settings.security.credentials()
        self._open_channel: grpc.aio.Channel | None = None
        self._tokens_required_until = 0.0
        self._callers: dict[str | None, tuple[float, token_pb.GetCallerResponse]] = {}

    async def close(self) -> None:
        """Close the channel, which ends the calls in progress."""
        if self._open_channel is not None:
            await self._open_channel.close()

    @property
    def _channel(self) -> grpc.aio.Channel:
        """The channel, opened at the first call because it belongs to the event loop in which it is opened."""
        if self._open_channel is None:
            server, security = self._settings.server, self._settings.security
            options = channel_options(server, security)
            if self._credentials is None:
                self._open_channel = grpc.aio.insecure_channel(server, options)
            else:
                self._open_channel = grpc.aio.secure_channel(server, self._credentials, options)
        return self._open_channel

    async def call(self, path: str, request: Message, token: str | None, timeout: float | None = None) -> Any:
        """Return the response of a method.

        Args:
            path: path of the method.
            request: the request.
            token: the caller's token.
            timeout: seconds.

        Raises:
            grpc.aio.AioRpcError: the call failed.
        """
        make = self._channel.unary_unary(path, _serialized, _response_type(path).FromString)
        return await make(request, timeout=_seconds(timeout or TIMEOUT_S), metadata=_metadata(request, token))

    async def stream(self, path: str, request: Message, token: str | None, timeout: float | None = None) -> Any:
        """Return an iterator over the responses of a method; closing it ends the call.

        Raises:
            grpc.aio.AioRpcError: the call failed.
        """
        make = self._channel.unary_stream(path, _serialized, _response_type(path).FromString)
        return _closing(make(request, timeout=_seconds(timeout), metadata=_metadata(request, token)))

    async def ask(self, name: str, request: Message, token: str | None) -> Any:
        """Return the response of a method, by its name without the path."""
        return await self.call(PATHS[name], request, token)

    async def caller(self, token: str | None) -> token_pb.GetCallerResponse:
        """Return the caller with a token, cached for a moment.

        Raises:
            AioRpcError: the server rejects the token.
        """
        now = time.monotonic()
        cached = self._callers.get(token)
        if cached is not None and now < cached[0]:
            return cached[1]
        caller: token_pb.GetCallerResponse = await self.ask("GetCaller", token_pb.GetCallerRequest(), token)
        if len(self._callers) >= MAX_CACHED_CALLERS:
            self._callers.clear()
        self._callers[token] = (now + CACHE_S, caller)
        return caller

    async def check_authentication(self, is_exposed: bool = False) -> None:
        """Reject a call that may come from another machine, while the server requires no tokens.

        Every user of a machine with a server without tokens has access to it; users of the dashboard need not be among
        them.

        Args:
            is_exposed: whether this call may come from another machine, although the settings do not say so.

        Raises:
            AioRpcError: the server does not respond.
            AnonymousAccess: the server requires no tokens.
        """
        if not (self._settings.rejects_anonymous or is_exposed) or time.monotonic() < self._tokens_required_until:
            return
        try:
            await self.ask("GetCaller", token_pb.GetCallerRequest(), None)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            self._tokens_required_until = time.monotonic() + CACHE_S
            return
        raise AnonymousAccess


async def _closing(call: Any) -> AsyncIterator[Any]:
    try:
        async for message in call:
            yield message
    finally:
        call.cancel()


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _response_type(path: str) -> Any:
    return GetMessageClass(METHODS[path].output_type)


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None else min(timeout, MAX_TIMEOUT_S)


def _metadata(request: Message, token: str | None) -> Sequence[tuple[str, str]]:
    """Return the metadata, as the Python client sends it.

    An invalid request id stays in the request, where it is checked.
    """
    request_id = getattr(request, "request_id", "")
    metadata = [("x-request-id", request_id if REQUEST_ID.fullmatch(request_id) else new_request_id())]
    return [*metadata, ("authorization", f"Bearer {token}")] if token else metadata
