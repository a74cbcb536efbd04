"""Every method of the contract over HTTP, by the Connect protocol: JSON or protobuf, with curl or from a browser.

    curl -H 'content-type: application/json' -d '{"parent": "studies/first", "workerId": "me"}' \\
      http://127.0.0.1:8080/bo_api.v1.OptimizationService/SuggestTrials

The methods are read from the contract itself, so that none is forgotten.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from starlette.datastructures import Headers

from bo_dashboard.faults import EXPECTED, connect_error
from bo_dashboard.session import shown
from bo_dashboard.upstream import METHODS, Upstream

MAX_MESSAGE_BYTES = 4 * 2**20
"""As the server's."""


class ConnectApplication(ConnectASGIApplication[Upstream]):
    """All methods, on their paths."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(
            service=upstream,
            endpoints=endpoints,
            read_max_bytes=MAX_MESSAGE_BYTES,
            codecs=[google_protobuf_binary_codec(), google_protobuf_json_codec(ignore_unknown_fields=False)],
        )

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return ""


def endpoints(upstream: Upstream) -> Mapping[str, Any]:
    """One for each method."""
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

    async def answer(request: Any, context: RequestContext[Any, Any]) -> Any:
        try:
            return await upstream.call(path, request, _token(context), _seconds(context))
        except EXPECTED as error:
            raise connect_error(error) from None

    async def stream(request: Any, context: RequestContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for message in await upstream.stream(path, request, _token(context), _seconds(context)):
                yield message
        except EXPECTED as error:
            raise connect_error(error) from None

    return Endpoint.server_stream(info, stream) if method.server_streaming else Endpoint.unary(info, answer)


def _token(context: RequestContext[Any, Any]) -> str | None:
    address = context.server_address or ""
    port = address.rpartition(":")[2]
    return shown(Headers(dict(context.request_headers.allitems())), int(port) if port.isdigit() else None)


def _seconds(context: RequestContext[Any, Any]) -> float | None:
    """What is left of the caller's deadline."""
    return None if context.timeout_ms is None else max(0.001, context.timeout_ms / 1000)
