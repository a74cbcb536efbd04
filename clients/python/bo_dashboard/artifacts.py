"""Files of trials. Their bytes come from workers, so a browser may only draw or save them, never run or render them."""

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_client.artifacts import image_type
from grpc.aio import AioRpcError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bo_dashboard.records import Record, artifact_record
from bo_dashboard.session import token_of
from bo_dashboard.upstream import Upstream

MAX_LISTED = 1000
POLICY = "default-src 'none'; sandbox"
"""Content security policy of the bytes, which holds where somebody opens their address."""
DOWNLOAD_TYPE = "application/octet-stream"


async def list_artifacts(upstream: Upstream, trial: str, token: str | None) -> list[Record]:
    """Return the artifacts of a trial, without their bytes; none where the server is of an older version.

    Raises:
        AioRpcError: the server rejects the call.
    """
    try:
        page = await upstream.ask("ListArtifacts", pb.ListArtifactsRequest(parent=trial, page_size=MAX_LISTED), token)
    except AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return []
        raise
    return [artifact_record(artifact) for artifact in page.artifacts]


async def artifact(request: Request) -> Response:
    """Return the bytes of an artifact, to be saved; with `?image` only those of an image, to be drawn.

    Raises:
        AioRpcError: the server rejects the call.
    """
    upstream: Upstream = request.app.state.upstream
    of = request.path_params
    name = f"studies/{of['study']}/trials/{of['number']}/artifacts/{of['artifact']}"
    answer = await upstream.ask("GetArtifact", pb.GetArtifactRequest(name=name), token_of(request))
    if answer.artifact.uri:
        message = f"{name} is stored elsewhere, at {answer.artifact.uri}"
        return JSONResponse({"code": "failed_precondition", "message": message}, 400)
    kind = image_type(answer.content)
    if "image" in request.query_params and kind is None:
        message = f"{name} is no image that pages show; they show PNG, JPEG, GIF and WebP"
        return JSONResponse({"code": "invalid_argument", "message": message}, 415)
    saved_as = answer.artifact.name.rpartition("/")[2]  # letters, digits, '-', '_' and '.' alone
    headers = {"content-security-policy": POLICY, "content-disposition": f'attachment; filename="{saved_as}"'}
    return Response(answer.content, media_type=kind or DOWNLOAD_TYPE, headers=headers)
