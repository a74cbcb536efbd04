"""Figures and the diagnosis of a study, which are computed in threads."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bo_client import figures
from bo_client.client import Client
from bo_client.diagnosis import HEALTHY, diagnose, kinds
from bo_client.diagnosis_words import in_brief, study_findings
from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.figures import CurveOptions, FigureSpec
from bo_client.insight import Analysis, MetricAnalysis
from bo_client.models import Trial
from bo_client.ranking import best_of
from bo_client.study import Study
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from bo_dashboard.background import json_of, json_response
from bo_dashboard.session import token_of
from bo_dashboard.snapshots import Snapshots

RETRY_TIMEOUT_S = 2.0
TIMEOUT_S = 60.0
"""Timeout in seconds of a call; an analysis of thousands of results takes several seconds."""
MAX_STUDIES = 8
"""Maximum number of studies that are compared."""
MAX_COMPARED = 20
"""Maximum number of trials whose curves are drawn alone."""
NUMBER = re.compile(r"[0-9]{1,15}")
KINDS = ("convergence", "front", "curves", "parallel", "importance", "slice", "contour", "workers")


async def figure(request: Request) -> Response:
    """Return a figure for Plotly.react.

    Raises:
        BoClientError: the request is invalid, or the server rejects it.
    """
    return json_response(await request.app.state.task_limits.in_thread(token_of(request), _figure, request))


async def comparison(request: Request) -> Response:
    """Return the figure that compares studies, for Plotly.react.

    Raises:
        BoClientError: the request is invalid, or the server rejects it.
    """
    return json_response(await request.app.state.task_limits.in_thread(token_of(request), _comparison, request))


def _comparison(request: Request) -> bytes:
    ids = list(dict.fromkeys(request.query_params.getlist("study")))
    if not 1 <= len(ids) <= MAX_STUDIES:
        raise InvalidRequest.of("study", f"is given {len(ids)} times; give the ids of 1 to {MAX_STUDIES} studies")
    client, snapshots = _client(request), request.app.state.snapshots
    studies = [client.study(each) for each in ids]
    compared = [(study.definition, snapshots.trials(study, study.definition)) for study in studies]
    drawn = figures.drawn(figures.comparison(compared), request.query_params.get("theme", "light"), is_titled=False)
    return figures.as_json(drawn).encode()


async def diagnosis(request: Request) -> Response:
    """Return the diagnosis of the study and the analysis of its surrogate.

    Raises:
        BoClientError: the server rejects the request.
    """
    content = await request.app.state.task_limits.in_thread(token_of(request), _diagnosis, request)
    return await json_of(lambda: content)


def _figure(request: Request) -> bytes:
    kind, query = request.path_params["kind"], request.query_params
    if kind not in KINDS:
        raise InvalidRequest.of("figure", f"is {kind!r}; there are {', '.join(KINDS)}")
    study = study_of(request)
    along, metric = query.getlist("along"), query.get("metric") or None
    study_figures = _StudyFigures(request.app.state.snapshots, study)
    if kind == "curves":
        spec = study_figures.curves(metric, _curve_options(query))
    else:
        spec = study_figures.picture(kind, along, metric, query.get("show", "mean"))
    drawn = figures.drawn(spec, query.get("theme", "light"), is_titled=False)
    return figures.as_json(drawn).encode()


def _curve_options(query: QueryParams) -> CurveOptions:
    """Return the options of learning curves in a query.

    Raises:
        InvalidRequest: one of them is invalid.
    """
    smoothing, numbers = query.get("smoothing") or "0", query.getlist("trial")
    try:
        weight = float(smoothing)
    except ValueError:
        raise InvalidRequest.of("smoothing", f"is {smoothing[:40]!r}; give a number") from None
    if len(numbers) > MAX_COMPARED or not all(map(NUMBER.fullmatch, numbers)):
        raise InvalidRequest.of("trial", f"give the numbers of up to {MAX_COMPARED} trials")
    return CurveOptions(query.get("scale") or "auto", weight, frozenset(map(int, numbers)))


class _StudyFigures:
    """The figures of one study in its current state."""

    def __init__(self, snapshots: Snapshots, study: Study) -> None:
        self._snapshots = snapshots
        self._study = study
        self._info = study.definition

    def picture(self, kind: str, along: Sequence[str], metric: str | None, show: str) -> FigureSpec:
        match kind:
            case "importance":
                return figures.importance(self._info, self.analysis(), metric)
            case "slice" | "contour":
                return self._sliced(1 if kind == "slice" else 2, along, metric, show)
            case "front":
                return figures.front(self._info, self.trials())
            case "workers":
                return figures.workers(self._info, self.trials())
            case _:
                draw = {"convergence": figures.convergence, "parallel": figures.parallel}
                return draw[kind](self._info, self.trials(), metric)

    def curves(self, metric: str | None, options: CurveOptions) -> FigureSpec:
        return figures.curves(self._info, self.trials(), metric, options)

    def trials(self) -> list[Trial]:
        return self._snapshots.trials(self._study, self._info)

    def analysis(self) -> Analysis | None:
        return self._snapshots.analysis(self._info, lambda: analysis_of(self._study))

    def _sliced(self, count: int, along: Sequence[str], metric: str | None, show: str) -> FigureSpec:
        names = list(along) or self._most_important(count)
        if len(names) != count:
            raise InvalidRequest.of("along", f"has {len(names)} parameters; give {count}")
        try:
            predicted = self._study.slice(*names)
        except FailedPrecondition:
            why = "there are too few results for predictions; there is nothing to draw"
            return FigureSpec(self._info.id, message=why, summary=why)
        if count == 1:
            return figures.slice_(self._info, predicted, self.trials(), metric)
        return figures.contour(self._info, predicted, self.trials(), metric, show)

    def _most_important(self, count: int) -> list[str]:
        """Return the most important parameters."""
        analysis = self.analysis()
        return list(analysis.importance if analysis else self._info.space.names)[:count]


def analysis_of(study: Study) -> Analysis | None:
    """Return the analysis of a study; None while there are too few results."""
    try:
        return study.analyze(timeout=TIMEOUT_S)
    except FailedPrecondition:
        return None


def _diagnosis(request: Request) -> dict[str, Any]:
    study = study_of(request)
    info, study_figures = study.definition, _StudyFigures(request.app.state.snapshots, study)
    trials, analysis = study_figures.trials(), study_figures.analysis()
    diagnosis = diagnose(info, trials, analysis)
    best = next(iter(best_of(info, trials)), None)
    return {
        "brief": in_brief(info, diagnosis),
        "findings": [asdict(each) for each in study_findings(diagnosis, best)],
        "surrogate": [_of_metric(each) for each in analysis.metrics] if analysis else [],
        "ailing": _trials_by_finding(trials),
    }


def _trials_by_finding(trials: Sequence[Trial]) -> dict[str, list[int]]:
    """Return the trials with each finding, latest first."""
    numbers: dict[str, list[int]] = {}
    for trial in reversed(trials):
        for kind in kinds(trial):
            if kind != HEALTHY:
                numbers.setdefault(kind, []).append(trial.number)
    return numbers


def _of_metric(analysis: MetricAnalysis) -> dict[str, Any]:
    contenders = [
        {"trial": c.trial, "observed": c.observed, "probability": c.probability, "regret": c.expected_regret}
        for c in analysis.best.contenders
    ]
    return {
        "metric": analysis.metric,
        "best": analysis.best.summary,
        "contenders": contenders,
        "stopped": analysis.best.stopped_count,
        "calibration": analysis.calibration.summary,
    }


def study_of(request: Request) -> Study:
    """Return the study, read with the caller's token."""
    return _client(request).study(request.path_params["study"])


def _client(request: Request) -> Client:
    return Client(request.app.state.transport.showing(token_of(request)), TIMEOUT_S, RETRY_TIMEOUT_S)
