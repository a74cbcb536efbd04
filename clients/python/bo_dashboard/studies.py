"""Lists of studies, new studies from YAML, and sign-in."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2
from bo_api.v1 import token_service_pb2 as token_pb
from bo_client import specfile, textfile
from bo_client.errors import InvalidRequest, PermissionDenied
from bo_client.security import TOKEN
from bo_client.wire import codec
from grpc.aio import AioRpcError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bo_dashboard.artifacts import list_artifacts
from bo_dashboard.background import in_thread, json_of
from bo_dashboard.records import study_record, trial_record
from bo_dashboard.session import signed_in, signed_out, token_of
from bo_dashboard.upstream import Upstream

MAX_TEXT_LENGTH = 256 * 1024
PAGE_SIZE = 50
"""Studies per page; the best trial of each is requested."""
MAX_STUDIES = 5000
"""Maximum number of studies that are sorted."""
OFFSET = re.compile(r"[0-9]{1,9}")
MAX_PARALLEL_CALLS = 8
MAX_BODY_BYTES = 2 * MAX_TEXT_LENGTH
UNICODE = re.compile(r"[^\ud800-\udfff]*")


async def caller(request: Request) -> Response:
    """Return the role of the caller, which is empty if they must sign in first.

    Raises:
        AioRpcError: the server rejects the call.
    """
    try:
        return JSONResponse(await _caller(request, token_of(request)))
    except AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        return JSONResponse({"role": "", "studies": [], "token": ""})


async def sign_in(request: Request) -> Response:
    """Accept a token that the server accepts.

    Raises:
        AioRpcError: the server rejects the token.
        InvalidRequest: the text is not a token.
    """
    token = _text(await _body(request), "token", 4096).strip()
    if not TOKEN.fullmatch(token):
        raise InvalidRequest.of("token", "contains characters that tokens never contain, such as spaces")
    content = await _caller(request, token)
    return signed_in(request, token, content)


async def sign_out(request: Request) -> Response:
    """Delete the browser's cookie."""
    return signed_out(request)


async def list_studies(request: Request) -> Response:
    """Return a page of studies, those that changed last first, each with its best trial.

    Raises:
        AioRpcError: the server rejects a call.
        InvalidRequest: there can be no such page.
    """
    upstream, token = _upstream(request), token_of(request)
    first = request.query_params.get("page") or "0"
    if not OFFSET.fullmatch(first):
        raise InvalidRequest.of("page", f"is {first[:40]!r}; give what the previous page has as `next`")
    begin, words = int(first), request.query_params.get("filter", "").lower().split()
    matching = [study for study in await _all_studies(upstream, token) if _matches(study, words)]
    listed_studies = matching[begin : begin + PAGE_SIZE]
    semaphore = asyncio.Semaphore(MAX_PARALLEL_CALLS)

    async def best_of(study: study_pb2.Study) -> pb.GetBestTrialsResponse:
        async with semaphore:
            response: pb.GetBestTrialsResponse
            response = await upstream.ask("GetBestTrials", pb.GetBestTrialsRequest(parent=study.name), token)
            return response

    best = await asyncio.gather(*map(best_of, listed_studies))

    def listed() -> dict[str, Any]:
        studies = [
            {**study_record(study), "best": [trial_record(trial) for trial in response.trials]}
            for study, response in zip(listed_studies, best, strict=True)
        ]
        is_last = begin + PAGE_SIZE >= len(matching)
        return {"studies": studies, "next": "" if is_last else str(begin + PAGE_SIZE), "count": len(matching)}

    return await json_of(listed)


async def _all_studies(upstream: Upstream, token: str | None) -> list[study_pb2.Study]:
    """Return the studies that the caller may see, up to MAX_STUDIES, those that changed last first."""
    studies: list[study_pb2.Study] = []
    page = pb.ListStudiesResponse()
    while len(studies) < MAX_STUDIES:
        list_request = pb.ListStudiesRequest(page_size=1000, page_token=page.next_page_token)
        page = await upstream.ask("ListStudies", list_request, token)
        studies += page.studies
        if not page.next_page_token:
            break
    return sorted(studies, key=lambda study: study.update_time.ToNanoseconds(), reverse=True)


def _matches(study: study_pb2.Study, words: Sequence[str]) -> bool:
    state = study_pb2.StudyState.Name(study.state).removeprefix("STUDY_STATE_")
    labels = " ".join(f"{name}={value}" for name, value in study.labels.items())
    text = f"{study.name.removeprefix('studies/')} {study.display_name} {state} {labels}".lower()
    return all(word in text for word in words)


async def create_study(request: Request) -> Response:
    """Create a study from an id and a text in the format of `bo study create --space`.

    Raises:
        AioRpcError: the server rejects the study.
        InvalidRequest: the text is invalid.
        PermissionDenied: the caller is a reader.
    """
    upstream, token = _upstream(request), token_of(request)
    caller = await upstream.caller(token)
    if caller.role == token_pb.ROLE_READER:  # whose text isn't worth reading
        raise PermissionDenied(
            f"CreateStudy needs the role worker, and {caller.token} has the role reader; "
            "ask an administrator for a token of that role"
        )
    content = await _body(request)
    study_id, text = _text(content, "id", 63), _text(content, "yaml", MAX_TEXT_LENGTH)
    create_request = await in_thread(_create_request, study_id, text)
    create_request.study.display_name = _text(content, "title", 1000) if content.get("title") else ""
    response = await upstream.ask("CreateStudy", create_request, token)
    return JSONResponse(await in_thread(study_record, response.study), 201)


def _create_request(study_id: str, text: str) -> pb.CreateStudyRequest:
    """Return the request for a study in YAML.

    Raises:
        InvalidRequest: the text is invalid.
    """
    file = specfile.parse(text, "yaml")
    request = pb.CreateStudyRequest(study_id=study_id)
    request.study.spec.CopyFrom(codec.spec_to_wire(file.space, file.metrics, file.settings))
    return request


async def best_trials(request: Request) -> Response:
    """Return the best trial, or the Pareto set.

    Raises:
        AioRpcError: the server rejects the call.
    """
    best_request = pb.GetBestTrialsRequest(parent=f"studies/{request.path_params['study']}")
    best = await _upstream(request).ask("GetBestTrials", best_request, token_of(request))
    return await json_of(lambda: [trial_record(trial) for trial in best.trials])


async def trial(request: Request) -> Response:
    """Return a trial with its learning curve, and its artifacts without their bytes.

    Raises:
        AioRpcError: the server rejects the call.
    """
    name = f"studies/{request.path_params['study']}/trials/{request.path_params['number']}"
    trial_request = pb.GetTrialRequest(name=name, view=pb.TRIAL_VIEW_FULL)
    upstream, token = _upstream(request), token_of(request)
    response = await upstream.ask("GetTrial", trial_request, token)
    artifacts = await list_artifacts(upstream, name, token)
    return await json_of(lambda: {**trial_record(response.trial), "artifacts": artifacts})


async def _caller(request: Request, token: str | None) -> dict[str, Any]:
    caller = await _upstream(request).ask("GetCaller", token_pb.GetCallerRequest(), token)
    role = token_pb.Role.Name(caller.role).removeprefix("ROLE_").lower()
    return {"role": role, "studies": list(caller.studies), "token": caller.token.removeprefix("tokens/")}


def _upstream(request: Request) -> Upstream:
    upstream: Upstream = request.app.state.upstream
    return upstream


async def _body(request: Request) -> dict[str, Any]:
    """Return the body.

    Raises:
        InvalidRequest: it is not a JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest.of("content-type", "is not application/json; send JSON")
    content = await in_thread(_object, await request.body())
    if not isinstance(content, dict):
        raise InvalidRequest.of("body", "is not a JSON object; give {…}")
    return content


def _object(body: bytes) -> object:
    try:
        return textfile.parse(body.decode(), "body", is_json=True)
    except UnicodeDecodeError as error:
        raise InvalidRequest.of("body", f"is not UTF-8: {error}") from None


def _text(content: dict[str, Any], name: str, max_length: int) -> str:
    """Return a text of the body.

    Raises:
        InvalidRequest: it is missing, too long or not Unicode.
    """
    text = content.get(name)
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequest.of(name, "is missing; give a text")
    if len(text) > max_length:
        raise InvalidRequest.of(name, f"has {len(text)} characters; at most {max_length}")
    if not UNICODE.fullmatch(text):
        raise InvalidRequest.of(name, "contains half a surrogate pair (\\ud800 to \\udfff); give whole characters")
    return text
