"""The gRPC server behind the dashboard: calls that carry the token of whoever asked."""

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

from bo_dashboard.settings import Settings

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in (optimization_service_pb2, token_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""All of the contract, by path."""
PATHS = {method.name: path for path, method in METHODS.items()}
TIMEOUT = 60.0
"""Seconds for calls that name no deadline."""
DOOR_S = 2.0
"""Seconds for which it is remembered whether the server asks for tokens."""


class OpenDoor(Exception):
    """The server would let anybody in, and the dashboard can be reached by more than the server was meant for."""

    message = (
        "the server asks for no tokens, and this dashboard is open to more than its own machine; make a token with "
        "`bo token create --role admin`, or start the dashboard with --insecure"
    )


class Upstream:
    """One channel, which all users share."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidRequest where a file can't be read."""
        self._settings = settings
        self._credentials = settings.security.credentials()
        self._opened: grpc.aio.Channel | None = None
        self._known_until = 0.0

    async def close(self) -> None:
        """Ends the calls in progress."""
        if self._opened is not None:
            await self._opened.close()

    @property
    def _channel(self) -> grpc.aio.Channel:
        """Opened at the first call, as it belongs to the loop that it is opened in."""
        if self._opened is None:
            server, security = self._settings.server, self._settings.security
            options = channel_options(server, security)
            if self._credentials is None:
                self._opened = grpc.aio.insecure_channel(server, options)
            else:
                self._opened = grpc.aio.secure_channel(server, self._credentials, options)
        return self._opened

    async def call(self, path: str, request: Message, token: str | None, timeout: float | None = None) -> Any:
        """The answer. Raises grpc.aio.AioRpcError, OpenDoor."""
        await self.check_door()
        make = self._channel.unary_unary(path, _serialized, _answer(path).FromString)
        return await make(request, timeout=timeout or TIMEOUT, metadata=_metadata(request, token))

    async def stream(self, path: str, request: Message, token: str | None, timeout: float | None = None) -> Any:
        """The answers as they come; closing the iterator ends the call. Raises grpc.aio.AioRpcError, OpenDoor."""
        await self.check_door()
        make = self._channel.unary_stream(path, _serialized, _answer(path).FromString)
        call = make(request, timeout=timeout, metadata=_metadata(request, token))
        return _closing(call)

    async def ask(self, name: str, request: Message, token: str | None) -> Any:
        """`call`, by the method's bare name."""
        return await self.call(PATHS[name], request, token)

    async def check_door(self) -> None:
        """Whoever reaches a server without tokens is trusted with it; whoever reaches the dashboard is another matter.

        Raises AioRpcError, OpenDoor.
        """
        if not self._settings.needs_closed_door or time.monotonic() < self._known_until:
            return
        make = self._channel.unary_unary(PATHS["GetCaller"], _serialized, token_pb.GetCallerResponse.FromString)
        try:
            await make(token_pb.GetCallerRequest(), timeout=5.0)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            self._known_until = time.monotonic() + DOOR_S
            return
        raise OpenDoor


async def _closing(call: Any) -> AsyncIterator[Any]:
    try:
        async for message in call:
            yield message
    finally:
        call.cancel()


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _answer(path: str) -> Any:
    return GetMessageClass(METHODS[path].output_type)


def _metadata(request: Message, token: str | None) -> Sequence[tuple[str, str]]:
    """As the Python client sends it."""
    found = [("x-request-id", getattr(request, "request_id", "") or new_request_id())]
    return [*found, ("authorization", f"Bearer {token}")] if token else found
