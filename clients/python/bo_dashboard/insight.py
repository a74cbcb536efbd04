"""What is told of a study beyond its trials: figures, and the diagnosis. It is computed in threads."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bo_client import figures
from bo_client.client import Client
from bo_client.diagnosis import HEALTHY, diagnose, kinds
from bo_client.diagnosis_words import in_brief, study_findings
from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.figures import Picture
from bo_client.insight import Analysis, MetricAnalysis
from bo_client.ranking import best_of
from bo_client.study import Study
from bo_client.values import Trial
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bo_dashboard.session import token_of
from bo_dashboard.snapshots import Snapshots

PATIENCE = 2.0
TIMEOUT = 60.0
"""Seconds; an analysis of thousands of results takes some."""
KINDS = ("convergence", "front", "curves", "parallel", "importance", "slice", "contour")


async def figure(request: Request) -> Response:
    """A figure for Plotly.react. Raises BoClientError."""
    await request.app.state.upstream.check_door()
    return Response(await run_in_threadpool(_figure, request), media_type="application/json")


async def diagnosis(request: Request) -> Response:
    """What ails the study, and what its surrogate tells. Raises BoClientError."""
    await request.app.state.upstream.check_door()
    return JSONResponse(await run_in_threadpool(_diagnosis, request))


def _figure(request: Request) -> str:
    kind, asked = request.path_params["kind"], request.query_params
    if kind not in KINDS:
        raise InvalidRequest.of("figure", f"is {kind!r}; there are {', '.join(KINDS)}")
    study = _study(request)
    along, metric = asked.getlist("along"), asked.get("metric") or None
    shown = _Shown(request.app.state.snapshots, study).picture(kind, along, metric, asked.get("show", "mean"))
    made = figures.drawn(shown, asked.get("theme", "light"), is_titled=False)
    return figures.as_json(made)


class _Shown:
    """The pictures of one study as it is now."""

    def __init__(self, snapshots: Snapshots, study: Study) -> None:
        self._snapshots = snapshots
        self._study = study
        self._info = study.definition

    def picture(self, kind: str, along: Sequence[str], metric: str | None, show: str) -> Picture:
        match kind:
            case "importance":
                return figures.importance(self._info, self.analysis(), metric)
            case "slice" | "contour":
                return self._sliced(1 if kind == "slice" else 2, along, metric, show)
            case "front":
                return figures.front(self._info, self.trials())
            case _:
                draw = {"convergence": figures.convergence, "curves": figures.curves, "parallel": figures.parallel}
                return draw[kind](self._info, self.trials(), metric)

    def trials(self) -> list[Trial]:
        return self._snapshots.trials(self._study, self._info)

    def analysis(self) -> Analysis | None:
        return self._snapshots.analysis(self._info, lambda: analysis_of(self._study))

    def _sliced(self, count: int, along: Sequence[str], metric: str | None, show: str) -> Picture:
        names = list(along) or self._telling(count)
        if len(names) != count:
            raise InvalidRequest.of("along", f"has {len(names)} parameters; give {count}")
        try:
            found = self._study.slice(*names)
        except FailedPrecondition:
            why = "there are too few results to expect anything; there is nothing to draw"
            return Picture(self._info.id, message=why, summary=why)
        if count == 1:
            return figures.slice_(self._info, found, self.trials(), metric)
        return figures.contour(self._info, found, self.trials(), metric, show)

    def _telling(self, count: int) -> list[str]:
        """The parameters that matter most."""
        found = self.analysis()
        return list(found.importance if found else self._info.space.names)[:count]


def analysis_of(study: Study) -> Analysis | None:
    """None while there are too few results."""
    try:
        return study.analyze(timeout=TIMEOUT)
    except FailedPrecondition:
        return None


def _diagnosis(request: Request) -> dict[str, Any]:
    study = _study(request)
    info, shown = study.definition, _Shown(request.app.state.snapshots, study)
    trials, analysis = shown.trials(), shown.analysis()
    found = diagnose(info, trials, analysis)
    best = next(iter(best_of(info, trials)), None)
    return {
        "brief": in_brief(info, found),
        "findings": [asdict(each) for each in study_findings(found, best)],
        "surrogate": [_of_metric(each) for each in analysis.metrics] if analysis else [],
        "ailing": _ailing(trials),
    }


def _ailing(trials: Sequence[Trial]) -> dict[str, list[int]]:
    """Of each ailment the trials that have it, the latest first."""
    found: dict[str, list[int]] = {}
    for trial in reversed(trials):
        for kind in kinds(trial):
            if kind != HEALTHY:
                found.setdefault(kind, []).append(trial.number)
    return found


def _of_metric(told: MetricAnalysis) -> dict[str, Any]:
    contenders = [
        {"trial": c.trial, "observed": c.observed, "probability": c.probability, "regret": c.expected_regret}
        for c in told.best.contenders
    ]
    return {
        "metric": told.metric,
        "best": told.best.summary,
        "contenders": contenders,
        "stopped": told.best.stopped_count,
        "calibration": told.calibration.summary,
    }


def _study(request: Request) -> Study:
    """As the token of whoever asks lets them see it."""
    client = Client(request.app.state.transport.showing(token_of(request)), TIMEOUT, PATIENCE)
    return client.study(request.path_params["study"])
