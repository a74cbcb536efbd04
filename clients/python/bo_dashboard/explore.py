"""A study as pages first show it, pages of its trials, parallel coordinates, and downloads."""

import math
import time
from contextlib import suppress
from itertools import islice
from typing import Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import trial_pb2
from bo_client.cli.records import as_csv
from bo_client.errors import InvalidRequest, NotSupported
from bo_client.figures.common import apart_words, brief, metrics_of
from bo_client.figures.learning_curves import reported_metrics
from bo_client.figures.parallel_axes import summary_of
from bo_client.figures.parallel_content import ParallelAxis, ParallelLine, content_of
from bo_client.models import StudyInfo
from bo_client.trial_columns import columns_of
from starlette.requests import Request
from starlette.responses import Response

from bo_dashboard.artifacts import POLICY
from bo_dashboard.background import json_of, json_response
from bo_dashboard.insight import study_of
from bo_dashboard.records import study_record, trial_record
from bo_dashboard.session import token_of
from bo_dashboard.snapshots import Snapshots
from bo_dashboard.trial_table import TableQuery, page_of, select_trials
from bo_dashboard.upstream import Upstream

OPEN_STATES = (trial_pb2.TRIAL_STATE_QUEUED, trial_pb2.TRIAL_STATE_RUNNING, trial_pb2.TRIAL_STATE_PAUSED)
MAX_OPEN = 1000
"""Maximum number of trials in progress that a page holds."""
MANY = 500
"""From this number of trials that are not read yet, the first page does not wait for all of them."""


async def overview(request: Request) -> Response:
    """Return the study and its trials in progress: what its page shows first.

    Raises:
        AioRpcError: the server rejects a call.
    """
    upstream: Upstream = request.app.state.upstream
    token, name = token_of(request), f"studies/{request.path_params['study']}"
    study = (await upstream.ask("GetStudy", pb.GetStudyRequest(name=name), token)).study
    open_request = pb.ListTrialsRequest(parent=name, page_size=MAX_OPEN, states=OPEN_STATES)
    in_progress = await upstream.ask("ListTrials", open_request, token)

    def content() -> dict[str, Any]:
        return {
            "study": study_record(study),
            "open": [trial_record(trial) for trial in in_progress.trials],
            "now": time.time() * 1000,
        }

    return await json_of(content)


async def trials(request: Request) -> Response:
    """Return a page of the table of trials.

    While many trials are not read yet, the server sorts the first page, which lacks columns for labels and metrics that
    the study does not define, and `isComplete` is false; a request with `wait` waits for all.

    Raises:
        BoClientError: the request is invalid, or the server rejects it.
    """
    content = await request.app.state.task_limits.in_thread(token_of(request), _trials, request)
    return await json_of(lambda: content)


def _trials(request: Request) -> dict[str, Any]:
    query, study = TableQuery.of(request.query_params), study_of(request)
    info, snapshots = study.definition, _snapshots(request)
    if "wait" not in request.query_params and snapshots.missing(info) > MANY and (order := query.server_order(info)):
        with suppress(NotSupported):  # the server is of an older version
            states = [query.state] if query.state else None
            first = list(islice(study.trials(states, order_by=order), query.rows))
            pages = max(1, math.ceil(query.count(info) / query.rows))
            counts = {"total": sum(info.counts.values()), "count": query.count(info), "pages": pages}
            return {**page_of(info, first, query), **counts, "isComplete": False}
    return {**page_of(info, snapshots.trials(study, info), query), "isComplete": True}


async def metrics(request: Request) -> Response:
    """Return the names of all metrics that trials have reported while they ran.

    Raises:
        BoClientError: the server rejects the request.
    """

    def names() -> list[str]:
        study = study_of(request)
        info = study.definition
        return reported_metrics(info, _snapshots(request).trials(study, info))

    content = await request.app.state.task_limits.in_thread(token_of(request), names)
    return await json_of(lambda: content)


async def parallel(request: Request) -> Response:
    """Return axes and lines of parallel coordinates; lines tell whether they match the filter.

    Raises:
        BoClientError: the request is invalid, or the server rejects it.
    """
    content = await request.app.state.task_limits.in_thread(token_of(request), _parallel, request)
    return await json_of(lambda: content)


def _parallel(request: Request) -> dict[str, Any]:
    study = study_of(request)
    info = study.definition
    all_trials = _snapshots(request).trials(study, info)
    names = request.query_params.getlist("metric")
    chosen = [metrics_of(info, name)[0] for name in names] or list(info.objectives)
    query = TableQuery(filter=request.query_params.get("filter", ""), state=request.query_params.get("state", ""))
    fault = ""
    try:
        matching = {trial.number for trial in select_trials(info, all_trials, query)}
    except InvalidRequest as error:
        fault, matching = str(error), set()
    content = content_of(info, all_trials, chosen, matching)
    shown = sum(line.kind == "result" for line in content.lines)
    summary = summary_of(shown, chosen, all_trials)
    if shown < content.result_count:
        summary += f" {content.result_count - shown} more results are not drawn: they are worse."
    if content.hidden_count:
        summary += f" {content.hidden_count} more parameters have no axis."
    keys = {column.title: column.key for column in columns_of(info, ())}
    return {
        "axes": [_axis(axis, keys) for axis in content.axes],
        "lines": [_line(info, line, matching) for line in content.lines],
        "summary": summary if content.lines else f"no trial has a whole result yet{apart_words(all_trials)}",
        "goal": chosen[0].goal or "",
        "count": len(matching),
        "total": len(all_trials),
        "fault": fault,
    }


def _axis(axis: ParallelAxis, keys: dict[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {"key": keys.get(axis.title, axis.name), "title": axis.title, "labels": axis.labels}
    record |= {"isMetric": axis.is_metric, "values": list(axis.values)}
    return record if axis.values else {**record, "low": axis.low, "high": axis.high, "isLog": axis.is_log}


def _line(info: StudyInfo, line: ParallelLine, matching: set[int]) -> dict[str, Any]:
    return {
        "trial": line.trial.number,
        "heights": [round(height, 4) for height in line.heights],
        "goodness": round(line.goodness, 3),
        "kind": line.kind,
        "text": brief(info, line.trial),
        "isMatch": line.trial.number in matching,
    }


async def csv(request: Request) -> Response:
    """Return the trials that match the filter as CSV, to be saved.

    Raises:
        BoClientError: the request is invalid, or the server rejects it.
    """

    def text() -> bytes:
        query, study = TableQuery.of(request.query_params), study_of(request)
        info = study.definition
        return as_csv(info, select_trials(info, _snapshots(request).trials(study, info), query)).encode()

    content = await request.app.state.task_limits.in_thread(token_of(request), text)
    return _download(request, content, "text/csv; charset=utf-8", "trials.csv")


async def report(request: Request) -> Response:
    """Return the report that `bo report` writes, to be saved.

    Raises:
        BoClientError: jinja2 is missing, or the server rejects the request.
    """
    from bo_client.report import page  # loaded by those who ask for a report

    content = await request.app.state.task_limits.in_thread(token_of(request), lambda: page(study_of(request)).encode())
    return _download(request, content, "text/html; charset=utf-8", "report.html")


def _download(request: Request, content: bytes, media_type: str, name: str) -> Response:
    """Return a file that browsers save, and do not render."""
    study = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in request.path_params["study"])
    response = json_response(content)
    response.headers["content-type"] = media_type
    response.headers["content-disposition"] = f'attachment; filename="{study}-{name}"'
    response.headers["content-security-policy"] = POLICY
    return response


def _snapshots(request: Request) -> Snapshots:
    snapshots: Snapshots = request.app.state.snapshots
    return snapshots
