"""Lists of studies, new studies from YAML, and who is signed in."""

import asyncio
import json
from typing import Any

import grpc
import yaml
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2
from bo_api.v1 import token_service_pb2 as token_pb
from bo_client import specfile
from bo_client.errors import InvalidRequest
from bo_client.security import TOKEN
from bo_client.wire import codec
from grpc.aio import AioRpcError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bo_dashboard.records import study_record, trial_record
from bo_dashboard.session import signed_in, signed_out, token_of
from bo_dashboard.upstream import Upstream

MAX_TEXT = 256 * 1024
PAGE = 50
"""Studies a page; of each the best is asked for."""
AT_ONCE = 8


async def caller(request: Request) -> Response:
    """What whoever asks may do; with an empty role where they must sign in first. Raises AioRpcError."""
    try:
        return JSONResponse(await _caller(request, token_of(request)))
    except AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        return JSONResponse({"role": "", "studies": [], "token": ""})


async def sign_in(request: Request) -> Response:
    """Takes a token that the server knows. Raises AioRpcError, InvalidRequest."""
    token = _text(await _body(request), "token", 4096).strip()
    if not TOKEN.fullmatch(token):
        raise InvalidRequest.of("token", "holds blanks or other characters that no token has")
    content = await _caller(request, token)
    return signed_in(request, token, content)


async def sign_out(request: Request) -> Response:
    """Forgets it."""
    return signed_out(request)


async def list_studies(request: Request) -> Response:
    """A page of studies, each with its best trial. Raises AioRpcError."""
    upstream, token = _upstream(request), token_of(request)
    asked = pb.ListStudiesRequest(page_size=PAGE, page_token=request.query_params.get("page", ""))
    page = await upstream.ask("ListStudies", asked, token)
    room = asyncio.Semaphore(AT_ONCE)

    async def with_best(study: study_pb2.Study) -> dict[str, Any]:
        async with room:
            best = await upstream.ask("GetBestTrials", pb.GetBestTrialsRequest(parent=study.name), token)
        return {**study_record(study), "best": [trial_record(trial) for trial in best.trials]}

    studies = await asyncio.gather(*map(with_best, page.studies))
    return JSONResponse({"studies": studies, "next": page.next_page_token})


async def create_study(request: Request) -> Response:
    """Makes a study of an id and a text in the form of `bo create --space`. Raises AioRpcError, InvalidRequest."""
    content = await _body(request)
    study_id, text = _text(content, "id", 63), _text(content, "yaml", MAX_TEXT)
    file = read_study(text)
    asked = pb.CreateStudyRequest(study_id=study_id)
    asked.study.spec.CopyFrom(codec.spec_to_wire(file.space, file.metrics, file.settings))
    asked.study.display_name = _text(content, "title", 1000) if content.get("title") else ""
    made = await _upstream(request).ask("CreateStudy", asked, token_of(request))
    return JSONResponse(study_record(made.study), 201)


def read_study(text: str) -> specfile.StudyFile:
    """Raises InvalidRequest; also for aliases, by which a short text can stand for an enormous one."""
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise InvalidRequest.of("yaml", "has aliases (*name), which are not read here; write it out")
    except yaml.YAMLError:
        pass  # which is told below
    return specfile.parse(text, "YAML")


async def best_trials(request: Request) -> Response:
    """The best trial, or the Pareto set. Raises AioRpcError."""
    asked = pb.GetBestTrialsRequest(parent=f"studies/{request.path_params['study']}")
    best = await _upstream(request).ask("GetBestTrials", asked, token_of(request))
    return JSONResponse([trial.name.rpartition("/")[2] for trial in best.trials])


async def trial(request: Request) -> Response:
    """One trial, with its learning curve. Raises AioRpcError."""
    name = f"studies/{request.path_params['study']}/trials/{request.path_params['number']}"
    asked = pb.GetTrialRequest(name=name, view=pb.TRIAL_VIEW_FULL)
    found = await _upstream(request).ask("GetTrial", asked, token_of(request))
    return JSONResponse(trial_record(found.trial))


async def _caller(request: Request, token: str | None) -> dict[str, Any]:
    told = await _upstream(request).ask("GetCaller", token_pb.GetCallerRequest(), token)
    role = token_pb.Role.Name(told.role).removeprefix("ROLE_").lower()
    return {"role": role, "studies": list(told.studies), "token": told.token.removeprefix("tokens/")}


def _upstream(request: Request) -> Upstream:
    found: Upstream = request.app.state.upstream
    return found


async def _body(request: Request) -> dict[str, Any]:
    """Raises InvalidRequest where it is no JSON object, or too long."""
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > 2 * MAX_TEXT:
            raise InvalidRequest.of("body", f"has more than {2 * MAX_TEXT} bytes; give a shorter text")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest.of("content-type", "is not application/json; send JSON")
    try:
        found = json.loads(bytes(held))
    except ValueError as error:
        raise InvalidRequest.of("body", f"is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest.of("body", "is no JSON object; give {…}")
    return found


def _text(content: dict[str, Any], name: str, most: int) -> str:
    """Raises InvalidRequest."""
    found = content.get(name)
    if not isinstance(found, str) or not found.strip():
        raise InvalidRequest.of(name, "is missing; give a text")
    if len(found) > most:
        raise InvalidRequest.of(name, f"has {len(found)} characters; at most {most}")
    return found
