"""The changes of a study as server-sent events: each has the study, the changed trials and the numbers of deleted ones.

The id of an event is the study's revision: a browser that reconnects sends it, and gets the changes since then.
"""

import json
import re
from collections.abc import AsyncIterator

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_client.errors import InvalidRequest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bo_dashboard.background import in_thread
from bo_dashboard.errors import EXPECTED, connect_error
from bo_dashboard.records import study_record, trial_record
from bo_dashboard.session import token_of
from bo_dashboard.upstream import PATHS, Upstream

RETRY_MS = 1000
REVISION = re.compile(r"[0-9]{1,19}")
LAST_REVISION = 2**63 - 1


async def changes(request: Request) -> Response:
    """Return the stream of changes; the first is awaited, so that errors are ordinary responses.

    Raises:
        AioRpcError: the server rejects the request.
        InvalidRequest: the revision is invalid.
    """
    upstream: Upstream = request.app.state.upstream
    revision = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not REVISION.fullmatch(revision) or int(revision) > LAST_REVISION:
        raise InvalidRequest.of("after", f"is {revision[:40]!r}; give a whole number from 0 to {LAST_REVISION}")
    watch_request = pb.WatchStudyRequest(name=f"studies/{request.path_params['study']}", after_revision=int(revision))
    stream = await upstream.stream(PATHS["WatchStudy"], watch_request, token_of(request))
    first = await anext(stream)
    return StreamingResponse(_events(first, stream), media_type="text/event-stream")


async def _events(first: pb.WatchStudyResponse, rest: AsyncIterator[pb.WatchStudyResponse]) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n{await in_thread(event, first)}"
    try:
        async for message in rest:
            yield await in_thread(event, message)
    except EXPECTED as error:
        is_interruption = isinstance(error, grpc.aio.AioRpcError) and error.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.CANCELLED,
        )
        if not is_interruption:  # else the browser reconnects by itself
            refusal = connect_error(error)
            yield f"event: refusal\ndata: {json.dumps({'code': refusal.code.value, 'message': refusal.message})}\n\n"


def event(message: pb.WatchStudyResponse) -> str:
    """Return a change as an event. JSON has no line breaks, which would end it."""
    content = {
        "study": study_record(message.study),
        "trials": [trial_record(trial) for trial in message.trials],
        "deleted": list(message.deleted_trials),
        "now": message.send_time.ToMilliseconds(),
    }
    return f"id: {message.revision}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n"
