"""The learning-curves figure: the reported metrics of trials by step."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from bo_client.errors import InvalidRequest
from bo_client.figures.common import TINY, directed, drawable, is_of_many_sizes, metrics_of, not_far, nothing, titled
from bo_client.figures.marks import Color, CornerText, Dots, FigureAxis, FigureSpec, Line, Mark, Panel
from bo_client.formatting import short
from bo_client.models import Metric, StudyInfo, Trial, TrialState
from bo_client.ranking import best_of, is_defaults

MAX_CURVES = 200
"""Maximum number of curves: the best, the textbook defaults, the running trials, then the latest."""

SCALES = ("auto", "linear", "log")
MAX_SMOOTHING = 0.99

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class CurveOptions:
    """What the figure shows of each curve.

    Raises:
        InvalidRequest: the scale or the smoothing does not exist.
    """

    scale: str = "auto"
    """`linear`, `log`, or `auto` for a log axis if the values span several orders of magnitude."""
    smoothing: float = 0.0
    """Weight of the earlier values in each one, 0 to 0.99, as in TensorBoard; 0 shows the values themselves."""
    numbers: Collection[int] = ()
    """Numbers of the trials; empty for all."""

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise InvalidRequest.of("scale", f"is {self.scale!r}; it must be one of {', '.join(SCALES)}")
        if not 0.0 <= self.smoothing <= MAX_SMOOTHING:
            raise InvalidRequest.of("smoothing", f"is {self.smoothing}; give a number from 0 to {MAX_SMOOTHING}")


AS_REPORTED = CurveOptions()


def curves(
    study: StudyInfo, trials: Sequence[Trial], metric: str | None = None, options: CurveOptions = AS_REPORTED
) -> FigureSpec:
    """Return the curves of each trial by step, with the best highlighted. The trials need their measurements.

    Args:
        study: the study.
        trials: its trials.
        metric: a metric of the study or one that a trial has reported; by default the objectives.
        options: the scale, the smoothing and the choice of trials.

    Raises:
        InvalidRequest: no trial has reported the metric, and the study has no such metric.
    """
    listed = [t for t in trials if not options.numbers or t.number in options.numbers]
    wanted = _wanted(study, trials, metric)
    shown = [m for m in wanted if any(_curve(t, m.name) for t in listed)]
    if not shown:
        names = " or ".join(repr(m.name) for m in wanted)
        return nothing(study, f"no trial of {study.id} has reported {names} while it ran")
    reported = [t for t in listed if any(_curve(t, m.name) for m in shown)]
    drawn = _chosen(study, trials, reported)
    steps = study.labels.get("step", "step")
    panels = [_panel(study, trials, drawn, m, steps if m is shown[-1] else "", options) for m in shown]
    count = f"{len(drawn)} of {len(reported)}" if len(drawn) < len(reported) else str(len(reported))
    smoothed = f", smoothed by {options.smoothing:g}" if options.smoothing else ""
    summary = f"{', '.join(m.name for m in shown)} by {steps}{smoothed}, a line for each of {count} trials."
    return FigureSpec(titled(study, f"learning curves of {count} trials"), panels, summary=summary)


def reported_metrics(study: StudyInfo, trials: Iterable[Trial]) -> list[str]:
    """Return the names of the study's metrics, then of others that trials have reported while they ran."""
    declared = [m.name for m in study.metrics]
    reported = {name for t in trials for m in t.measurements for name in m.metrics}
    return [*declared, *sorted(reported.difference(declared))]


def _wanted(study: StudyInfo, trials: Sequence[Trial], metric: str | None) -> Sequence[Metric]:
    if metric is not None and any(metric in m.metrics for t in trials for m in t.measurements):
        declared = [m for m in study.metrics if m.name == metric]
        return declared or [Metric(metric, role="information")]
    return metrics_of(study, metric)


def smoothed(points: Points, weight: float) -> Points:
    """Return the exponential moving average of the values, without the bias of its start.

    Kingma and Ba, "Adam" (2015), section 3, derive the correction.
    """
    if not weight:
        return points
    average, averaged = 0.0, []
    for i, (step, value) in enumerate(points):
        average = weight * average + (1.0 - weight) * value
        averaged.append((step, average / (1.0 - weight ** (i + 1))))
    return averaged


def _chosen(study: StudyInfo, trials: Sequence[Trial], reported: Sequence[Trial]) -> list[Trial]:
    best = {t.number for t in best_of(study, trials)}
    ranked = sorted(reported, key=lambda t: (t.number not in best, not is_defaults(t), t.state.is_ended, -t.number))
    return sorted(ranked[:MAX_CURVES], key=lambda t: t.number)


def _panel(
    study: StudyInfo,
    trials: Sequence[Trial],
    drawn: Sequence[Trial],
    metric: Metric,
    steps: str,
    options: CurveOptions,
) -> Panel:
    curves_by_trial = {t.number: smoothed(_curve(t, metric.name), options.smoothing) for t in drawn}
    if options.scale == "log":
        curves_by_trial = {n: [p for p in curve if p[1] > TINY] for n, curve in curves_by_trial.items()}
    points = {number: curve for number, curve in curves_by_trial.items() if curve}
    if not points:  # a log axis has no place for any of them
        return Panel(FigureAxis(steps), FigureAxis(directed(metric)), [CornerText("no positive values", True, True)])
    best = {t.number for t in best_of(study, trials)}
    marks: list[Mark] = []
    for trial in sorted(drawn, key=lambda t: (t.number in best, is_defaults(t), not t.state.is_ended)):
        if trial.number in points:
            style = _compared_style(trial, drawn) if options.numbers else _style(study, trial, best)
            marks += _marks(trial, points[trial.number], metric, style)
    marked = [points[t.number] for t in drawn if t.number in points and (t.number in best or is_defaults(t))]
    return Panel(FigureAxis(steps, is_whole=True), _height(marked, list(points.values()), metric, options.scale), marks)


class _Style(TypedDict, total=False):
    color: Color
    label: str
    width: float
    alpha: float
    is_dashed: bool
    shade: float


def _marks(trial: Trial, points: Points, metric: Metric, style: _Style) -> list[Mark]:
    steps, values = zip(*points, strict=True)
    hover = [f"trial {trial.number}, {trial.state.lower()}\nstep {s}: {metric.name} {short(v)}" for s, v in points]
    numbers = [trial.number] * len(points)
    line = Line(steps, values, has_dots=len(points) <= 60, hover=hover, trials=numbers, **style)
    if trial.state is not TrialState.RUNNING:
        return [line]
    color = style.get("color", "muted")
    last = Dots(steps[-1:], values[-1:], color, symbol="ring", size=8, hover=hover[-1:], trials=numbers[:1])
    return [line, last]


def _compared_style(trial: Trial, drawn: Sequence[Trial]) -> _Style:
    """Return a color of its own for each of a few trials."""
    place = next(i for i, each in enumerate(drawn) if each.number == trial.number)
    shade = 0.1 + 0.8 * place / max(1, len(drawn) - 1)
    is_running = trial.state is TrialState.RUNNING
    return {"shade": shade, "label": f"trial {trial.number}", "width": 2.2, "is_dashed": is_running}


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


def _height(marked: Sequence[Points], drawn: Sequence[Points], metric: Metric, scale: str) -> FigureAxis:
    """Return an axis whose window contains the marked curves, while bad values of others may exceed it."""
    last = [points[-1][1] for points in drawn]
    worst = not_far(last, metric.goal)
    limit = (min if metric.goal == "maximize" else max)(worst)
    every = [v for points in drawn for _, v in points]
    kept = [v for v in every if (v >= limit if metric.goal == "maximize" else v <= limit)]
    shown = [v for points in marked for _, v in points] + (kept if metric.goal else every)
    low, high = min(shown), max(shown)
    if scale == "log" or (scale == "auto" and is_of_many_sizes(low, high)):
        factor = (high / low) ** 0.05 if high > low else 2.0
        return FigureAxis(directed(metric), "log", window=(low / factor, high * factor), has_lines=True)
    room = 0.05 * (high - low)
    return FigureAxis(directed(metric), window=(low - room, high + room) if room else None, has_lines=True)


def _curve(trial: Trial, metric: str) -> Points:
    """Return steps with finite values, as a curve may end in NaN."""
    points = ((m.step, m.metrics.get(metric, math.nan)) for m in trial.measurements)
    return [(step, drawable(value)) for step, value in points if math.isfinite(value)]
