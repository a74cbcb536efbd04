"""What happens in a study, as server-sent events: each has the study, the trials that changed, and those deleted.

The id of an event is the study's revision: a browser that comes back after a break sends it, and gets what it missed.
"""

import json
from collections.abc import AsyncIterator

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bo_dashboard.faults import EXPECTED, connect_error
from bo_dashboard.records import study_record, trial_record
from bo_dashboard.session import token_of
from bo_dashboard.upstream import PATHS, Upstream

RETRY_MS = 1000


async def changes(request: Request) -> Response:
    """The stream; its beginning is awaited, so that refusals are answers of their own. Raises AioRpcError."""
    upstream: Upstream = request.app.state.upstream
    given = request.headers.get("last-event-id") or request.query_params.get("after", "")
    after = int(given) if given.isascii() and given.isdigit() else 0
    asked = pb.WatchStudyRequest(name=f"studies/{request.path_params['study']}", after_revision=after)
    stream = await upstream.stream(PATHS["WatchStudy"], asked, token_of(request))
    first = await anext(stream)
    return StreamingResponse(_events(first, stream), media_type="text/event-stream")


async def _events(first: pb.WatchStudyResponse, rest: AsyncIterator[pb.WatchStudyResponse]) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n{event(first)}"
    try:
        async for message in rest:
            yield event(message)
    except EXPECTED as error:
        is_passing = isinstance(error, grpc.aio.AioRpcError) and error.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.CANCELLED,
        )
        if not is_passing:  # else the browser comes back by itself
            told = connect_error(error)
            yield f"event: refusal\ndata: {json.dumps({'code': told.code.value, 'message': told.message})}\n\n"


def event(message: pb.WatchStudyResponse) -> str:
    """One event. JSON has no line breaks, which would end it."""
    content = {
        "study": study_record(message.study),
        "trials": [trial_record(trial) for trial in message.trials],
        "deleted": list(message.deleted_trials),
        "now": message.send_time.ToMilliseconds(),
    }
    return f"id: {message.revision}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n"
