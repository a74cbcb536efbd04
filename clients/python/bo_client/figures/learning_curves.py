"""The learning-curves figure: the reported metrics of trials by step."""

import math
from collections.abc import Collection, Sequence
from typing import TypedDict

from bo_client.figures.common import directed, drawable, is_of_many_sizes, metrics_of, not_far, nothing, titled
from bo_client.figures.marks import Color, Dots, FigureAxis, FigureSpec, Line, Mark, Panel
from bo_client.formatting import short
from bo_client.models import Metric, StudyInfo, Trial, TrialState
from bo_client.ranking import best_of, is_defaults

MAX_CURVES = 200
"""Maximum number of curves: the best, the textbook defaults, the running trials, then the latest."""

Points = Sequence[tuple[int, float]]


def curves(study: StudyInfo, trials: Sequence[Trial], metric: str | None = None) -> FigureSpec:
    """Return the objectives of each trial by step, with the best highlighted. The trials need their measurements.

    Raises:
        InvalidRequest: the study has no such metric.
    """
    shown = [m for m in metrics_of(study, metric) if any(_curve(t, m.name) for t in trials)]
    if not shown:
        names = " or ".join(repr(m.name) for m in metrics_of(study, metric))
        return nothing(study, f"no trial of {study.id} has reported {names} while it ran")
    reported = [t for t in trials if any(_curve(t, m.name) for m in shown)]
    drawn = _chosen(study, trials, reported)
    steps = study.labels.get("step", "step")
    panels = [_panel(study, trials, drawn, m, steps if m is shown[-1] else "") for m in shown]
    count = f"{len(drawn)} of {len(reported)}" if len(drawn) < len(reported) else str(len(reported))
    summary = f"{', '.join(m.name for m in shown)} by {steps}, a line for each of {count} trials."
    return FigureSpec(titled(study, f"learning curves of {count} trials"), panels, summary=summary)


def _chosen(study: StudyInfo, trials: Sequence[Trial], reported: Sequence[Trial]) -> list[Trial]:
    best = {t.number for t in best_of(study, trials)}
    ranked = sorted(reported, key=lambda t: (t.number not in best, not is_defaults(t), t.state.is_ended, -t.number))
    return sorted(ranked[:MAX_CURVES], key=lambda t: t.number)


def _panel(study: StudyInfo, trials: Sequence[Trial], drawn: Sequence[Trial], metric: Metric, steps: str) -> Panel:
    points = {t.number: points_of_trial for t in drawn if (points_of_trial := _curve(t, metric.name))}
    best = {t.number for t in best_of(study, trials)}
    marks: list[Mark] = []
    for trial in sorted(drawn, key=lambda t: (t.number in best, is_defaults(t), not t.state.is_ended)):
        if trial.number in points:
            marks += _marks(study, trial, points[trial.number], metric, best)
    marked = [points[t.number] for t in drawn if t.number in points and (t.number in best or is_defaults(t))]
    return Panel(FigureAxis(steps, is_whole=True), _height(marked, list(points.values()), metric), marks)


class _Style(TypedDict, total=False):
    color: Color
    label: str
    width: float
    alpha: float
    is_dashed: bool


def _marks(study: StudyInfo, trial: Trial, points: Points, metric: Metric, best: Collection[int]) -> list[Mark]:
    steps, values = zip(*points, strict=True)
    style = _style(study, trial, best)
    hover = [f"trial {trial.number}, {trial.state.lower()}\nstep {s}: {metric.name} {short(v)}" for s, v in points]
    line = Line(steps, values, has_dots=len(points) <= 60, hover=hover, **style)
    if trial.state is not TrialState.RUNNING:
        return [line]
    return [line, Dots(steps[-1:], values[-1:], style["color"], symbol="ring", size=8, hover=hover[-1:])]


def _style(study: StudyInfo, trial: Trial, best: Collection[int]) -> _Style:
    if trial.number in best:
        label = f"best, {_named(trial)}" if len(study.objectives) == 1 else "Pareto set"
        return {"color": "accent", "label": label, "width": 2.4}
    if is_defaults(trial):
        return {"color": "second", "label": _named(trial), "width": 2.4}
    if trial.state is TrialState.RUNNING:
        return {"color": "ink", "label": "running", "width": 1.4, "is_dashed": True}
    return {"color": "muted", "label": "other trials", "width": 1.2, "alpha": 0.6}


def _named(trial: Trial) -> str:
    return f"textbook defaults, trial {trial.number}" if is_defaults(trial) else f"trial {trial.number}"


def _height(marked: Sequence[Points], drawn: Sequence[Points], metric: Metric) -> FigureAxis:
    """Return an axis whose window contains the marked curves, while bad values of others may exceed it."""
    last = [points[-1][1] for points in drawn]
    worst = not_far(last, metric.goal)
    limit = (min if metric.goal == "maximize" else max)(worst)
    every = [v for points in drawn for _, v in points]
    kept = [v for v in every if (v >= limit if metric.goal == "maximize" else v <= limit)]
    shown = [v for points in marked for _, v in points] + (kept if metric.goal else every)
    low, high = min(shown), max(shown)
    if is_of_many_sizes(low, high):
        factor = (high / low) ** 0.05
        return FigureAxis(directed(metric), "log", window=(low / factor, high * factor), has_lines=True)
    room = 0.05 * (high - low)
    return FigureAxis(directed(metric), window=(low - room, high + room) if room else None, has_lines=True)


def _curve(trial: Trial, metric: str) -> Points:
    """Return steps with finite values, as a curve may end in NaN."""
    points = ((m.step, m.metrics.get(metric, math.nan)) for m in trial.measurements)
    return [(step, drawable(value)) for step, value in points if math.isfinite(value)]
