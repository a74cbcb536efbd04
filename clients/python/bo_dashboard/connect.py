"""Every method of the service over HTTP by the Connect protocol: JSON or protobuf, for curl and browsers.

    curl -H 'content-type: application/json' -d '{"parent": "studies/first", "workerId": "me"}' \\
      http://127.0.0.1:8080/bo_api.v1.OptimizationService/SuggestTrials

The methods are read from the contract's descriptors.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from starlette.datastructures import Headers

from bo_dashboard.background import in_thread
from bo_dashboard.errors import EXPECTED, connect_error
from bo_dashboard.guard import refuse
from bo_dashboard.session import token_in
from bo_dashboard.upstream import METHODS, Upstream

MAX_MESSAGE_BYTES = 4 * 2**20
"""Maximum bytes of a message; equal to the server's."""


@dataclass(frozen=True)
class Undecoded:
    """A request as it was received."""

    codec: Codec[Any, Any]
    data: bytes

    async def decoded(self, kind: Any) -> Any:
        """Return the decoded message.

        Raises:
            ConnectError: the body is not such a message.
        """
        try:
            return await in_thread(self.codec.decode, self.data, kind)
        except Exception as error:  # decoders raise many kinds for invalid input
            reason = " ".join(str(error).split())[:500].encode(errors="backslashreplace").decode()
            what = kind.DESCRIPTOR.name
            raise ConnectError(
                Code.INVALID_ARGUMENT, f"the body is not a valid {what} in {self.codec.name()}: {reason}"
            ) from None


@dataclass(frozen=True)
class Encoded:
    """An encoded response."""

    data: bytes


class Deferred:
    """A codec that leaves encoding and decoding to the endpoints, which use threads: messages may have megabytes."""

    def __init__(self, inner: Codec[Any, Any]) -> None:
        self._inner = inner

    def name(self) -> str:
        """Return the name of the real codec."""
        return self._inner.name()

    def encode(self, message: Encoded) -> bytes:
        """Return the encoded response."""
        return message.data

    def decode(self, data: bytes | bytearray, _: object) -> Undecoded:
        """Return the undecoded request."""
        return Undecoded(self._inner, bytes(data))


class ConnectApplication(ConnectASGIApplication[Upstream]):
    """The ASGI application of all methods."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(
            service=upstream,
            endpoints=endpoints,
            read_max_bytes=MAX_MESSAGE_BYTES,
            compressions=[GzipCompression(level=1)],  # which is done in the loop
            codecs=[
                Deferred(google_protobuf_binary_codec()),
                Deferred(google_protobuf_json_codec(ignore_unknown_fields=False)),
            ],
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request. gRPC itself is rejected: it needs trailers, which this port does not send."""
        kind = Headers(scope=scope).get("content-type", "")
        if kind.strip().lower().startswith("application/grpc"):
            message = "gRPC needs the server's own port; send application/json or application/proto here"
            await refuse(415, message, "unimplemented")(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    @property
    def path(self) -> str:
        """The path of the mount."""
        return ""


def endpoints(upstream: Upstream) -> Mapping[str, Any]:
    """Return the endpoint of each method by path."""
    return {path: _endpoint(upstream, path, method) for path, method in METHODS.items()}


def _endpoint(upstream: Upstream, path: str, method: MethodDescriptor) -> Any:
    info: MethodInfo[Any, Any] = MethodInfo(
        name=method.name,
        service_name=method.containing_service.full_name,
        input=GetMessageClass(method.input_type),
        output=GetMessageClass(method.output_type),
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY,
    )

    async def answer(request: Undecoded, context: RequestContext[Any, Any]) -> Encoded:
        message = await request.decoded(info.input)
        try:
            response = await upstream.call(path, message, _token(context), _seconds(context))
        except EXPECTED as error:
            raise connect_error(error) from None
        return Encoded(await in_thread(request.codec.encode, response))

    async def stream(request: Undecoded, context: RequestContext[Any, Any]) -> AsyncIterator[Encoded]:
        message = await request.decoded(info.input)
        try:
            async for response in await upstream.stream(path, message, _token(context), _seconds(context)):
                yield Encoded(await in_thread(request.codec.encode, response))
        except EXPECTED as error:
            raise connect_error(error) from None

    return Endpoint.server_stream(info, stream) if method.server_streaming else Endpoint.unary(info, answer)


def _token(context: RequestContext[Any, Any]) -> str | None:
    """Return the token that the authentication left in the headers."""
    return token_in(
        Headers({"authorization": authorization})
        if (authorization := context.request_headers.get("authorization"))
        else Headers()
    )


def _seconds(context: RequestContext[Any, Any]) -> float | None:
    """Return the remaining seconds of the caller's deadline; None without one."""
    return None if context.timeout_ms is None else max(0.001, context.timeout_ms / 1000)
