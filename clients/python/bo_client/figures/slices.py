"""Slice and contour figures: predictions along one parameter with the observations, and over two."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from bo_client.errors import InvalidRequest
from bo_client.figures.common import (
    MAX_TICKS,
    brief,
    clipped,
    directed,
    drawable,
    drawable_value,
    is_log,
    is_numeric_value,
    is_observed,
    is_within,
    metrics_of,
    named,
    not_far,
    tick,
    titled,
)
from bo_client.figures.marks import Band, Dots, FigureAxis, FigureSpec, Heatmap, Line, Mark, Panel, ReferenceLine
from bo_client.figures.ticks import Ticks, marked
from bo_client.formatting import assignments, in_order, short, with_unit
from bo_client.insight import Slice, SliceAxis, SlicePoint
from bo_client.models import Metric, Prediction, StudyInfo, Trial
from bo_client.parameters import Value, format_values

MAX_TITLE_LENGTH = 76
NUM_STD = 2.0
"""Standard deviations on each side."""


def slice_(study: StudyInfo, predicted: Slice, trials: Sequence[Trial] = (), metric: str | None = None) -> FigureSpec:
    """Return the mean with its uncertainty along one parameter, with the observed values of trials.

    The other parameters of these trials differ.

    Raises:
        InvalidRequest: the metric is not predicted.
    """
    of, axis = _metric(study, predicted, metric), predicted.axes[0]
    by_index = not is_numeric_value(axis.values[0])
    predictions = [_prediction(p, of) for p in predicted.points]
    places = [_place(axis, value, by_index) for value in axis.values]
    means = [drawable(p.mean) for p in predictions]
    reach = [drawable(NUM_STD * p.std) for p in predictions]
    observed = _observed(study, trials, axis, of, by_index)
    marks: list[Mark] = [*observed, *_expected(axis, places, means, reach, of, by_index), *_barred(predicted, places)]
    base = predicted.base.get(axis.parameter)
    if base is not None:
        marks.append(ReferenceLine(_place(axis, base, by_index), "x", label=f"{_origin(predicted)}: {short(base)}"))
    upright = FigureAxis(
        directed(of), window=_window(means, reach, observed[0].y if observed else (), of), has_lines=True
    )
    across = _axis(study, axis, by_index, places)
    best = (max if of.goal == "maximize" else min)(zip(means, axis.values, strict=True), key=lambda pair: pair[0])
    best_point = f"best {short(best[0])} at {short(best[1])}"
    summary = f"{of.name} expected along {axis.parameter}: {best_point}; {_rest(study, predicted)}."
    return FigureSpec(_title(study, predicted), [Panel(across, upright, marks)], summary=summary)


def contour(
    study: StudyInfo, predicted: Slice, trials: Sequence[Trial] = (), metric: str | None = None, show: str = "mean"
) -> FigureSpec:
    """Return a map over two parameters, the first vertical; infeasible points have no color.

    Args:
        study: the study.
        predicted: a slice along two parameters.
        trials: trials that have both parameters are shown as dots.
        metric: by default the first objective.
        show: `mean`, or `std` for its uncertainty.

    Raises:
        InvalidRequest: the metric is not predicted, or `show` is unknown.
    """
    if show not in ("mean", "std"):
        raise InvalidRequest.of("show", f"is {show!r}; it must be 'mean' or 'std'")
    of, (upright, across) = _metric(study, predicted, metric), predicted.axes
    by_index = not (is_numeric_value(upright.values[0]) and is_numeric_value(across.values[0]))
    x = [_place(across, value, by_index) for value in across.values]
    y = [_place(upright, value, by_index) for value in upright.values]
    rows = [predicted.points[i * len(x) : (i + 1) * len(x)] for i in range(len(y))]
    marks: list[Mark] = [_map(rows, x, y, of, show, by_index), *_tried(study, trials, predicted, by_index)]
    if all(axis.parameter in predicted.base for axis in predicted.axes):
        left, up = (_place(axis, predicted.base[axis.parameter], by_index) for axis in (across, upright))
        marks.append(Dots([left], [up], "second", _origin(predicted), "star", 13.0))
    panel = Panel(_axis(study, across, by_index, x), _axis(study, upright, by_index, y), marks)
    what = "expected" if show == "mean" else "uncertain: the standard deviation"
    summary = f"{of.name} {what} over {across.parameter} and {upright.parameter}; {_rest(study, predicted)}."
    return FigureSpec(_title(study, predicted), [panel], summary=summary)


def _metric(study: StudyInfo, predicted: Slice, metric: str | None) -> Metric:
    names = [p.metric for p in predicted.points[0].predictions]
    if metric is None:
        return study.objective
    if metric not in names:
        raise InvalidRequest.of("metric", f"is {metric!r}; predicted are {format_values(names)}")
    return metrics_of(study, metric)[0]


def _prediction(point: SlicePoint, metric: Metric) -> Prediction:
    return next(p for p in point.predictions if p.metric == metric.name)


def _title(study: StudyInfo, predicted: Slice) -> str:
    return clipped(titled(study, _rest(study, predicted)), MAX_TITLE_LENGTH)


def _rest(study: StudyInfo, predicted: Slice) -> str:
    """Return the values of the parameters that do not vary."""
    names = [axis.parameter for axis in predicted.axes]
    fixed = assignments({n: v for n, v in in_order(predicted.base, study.space).items() if n not in names})
    origin = f"trial {predicted.base_trial}" if predicted.base_trial else "given"
    return f"the rest as in {origin}" + (f": {fixed}" if fixed else "")


def _origin(predicted: Slice) -> str:
    return f"trial {predicted.base_trial}" if predicted.base_trial else "base"


def _observed(study: StudyInfo, trials: Sequence[Trial], axis: SliceAxis, of: Metric, by_index: bool) -> list[Dots]:
    """Return the trials' values at their own value of the parameter, except outliers."""
    with_parameter = [t for t in trials if axis.parameter in t.parameters and is_observed(t)]
    observed = [(t, v) for t in with_parameter if (v := drawable_value(t, of)) is not None]
    if not observed:
        return []
    places = [_place(axis, t.parameters[axis.parameter], by_index) for t, _ in observed]
    hover = [brief(study, t) for t, _ in observed]
    return [
        Dots(
            places,
            [v for _, v in observed],
            label="observed, the rest differs",
            size=5.0,
            hover=hover,
            alpha=0.6,
            trials=[t.number for t, _ in observed],
        )
    ]


def _expected(
    axis: SliceAxis, where: list[float], means: list[float], reach: list[float], of: Metric, by_index: bool
) -> list[Mark]:
    hover = [
        f"{axis.parameter} = {short(v)}\n{of.name} {short(m)} ± {short(r / NUM_STD)}"
        for v, m, r in zip(axis.values, means, reach, strict=True)
    ]
    if by_index:
        return [Dots(where, means, "accent", "predicted ± 2 std", size=7.0, spread=reach, hover=hover)]
    low = [m - r for m, r in zip(means, reach, strict=True)]
    high = [m + r for m, r in zip(means, reach, strict=True)]
    return [Band(where, low, high, label="± 2 std"), Line(where, means, label="predicted", width=2.2, hover=hover)]


def _barred(predicted: Slice, where: list[float]) -> list[Mark]:
    barred = [x for x, point in zip(where, predicted.points, strict=True) if not point.feasible]
    if not barred:
        return []
    return [Dots(barred, [0.0] * len(barred), "bad", "violates a constraint", "cross", at_foot=True)]


def _window(
    means: Sequence[float], reach: Sequence[float], observed: Sequence[float], of: Metric
) -> tuple[float, float]:
    """Return the window of the values; wide uncertainties may exceed it, so that the mean remains visible."""
    near = not_far(observed, of.goal) if observed else []
    low, high = min([*means, *near]), max([*means, *near])
    room = max(0.6 * (max(means) - min(means)), 1.2 * min(reach)) or (0.0 if near and low < high else 1.0)
    lowest, highest = (f(m + sign * r for m, r in zip(means, reach, strict=True)) for f, sign in ((min, -1), (max, 1)))
    edge = 0.05 * (high - low + 2.0 * room)
    return max(low - room, min(lowest, low) - edge), min(high + room, max(highest, high) + edge)


def _map(
    rows: Sequence[Sequence[SlicePoint]], x: list[float], y: list[float], of: Metric, show: str, by_index: bool
) -> Heatmap:
    cells = [[(_prediction(p, of), p) for p in row] for row in rows]
    values = [[drawable(q.mean if show == "mean" else q.std) if p.feasible else None for q, p in row] for row in cells]
    hover = [
        [f"{assignments(p.parameters)}\n{of.name} {short(q.mean)} ± {short(q.std)}" for q, p in row] for row in cells
    ]
    num_values = sum(v is not None for row in values for v in row)
    is_smooth = not by_index and min(len(x), len(y)) >= 2 and num_values >= 4
    title = f"predicted {with_unit(of)}" if show == "mean" else f"std of {with_unit(of)}"
    return Heatmap(x, y, values, title, is_smooth, of.goal != "maximize" or show == "std", hover)


def _tried(study: StudyInfo, trials: Sequence[Trial], predicted: Slice, by_index: bool) -> list[Mark]:
    upright, across = predicted.axes
    both = [t for t in trials if {upright.parameter, across.parameter} <= t.parameters.keys()]
    shown = [t for t in both if t.final_measurement is None or is_within(study, t)]
    if not shown:
        return []
    x, y = ([_place(axis, t.parameters[axis.parameter], by_index) for t in shown] for axis in (across, upright))
    hover = [brief(study, t) for t in shown]
    numbers = [t.number for t in shown]
    return [Dots(x, y, "ink", "trials, the rest differs", "circle", 3.5, hover, alpha=0.7, trials=numbers)]


def _place(axis: SliceAxis, value: Value, by_index: bool) -> float:
    """Return the position of a value on the figure's axis: itself, or the index of the equal or nearest value."""
    if not by_index:
        return float(value)
    if value in axis.values:
        return float(axis.values.index(value))
    if not is_numeric_value(value):
        return math.nan
    return float(min(range(len(axis.values)), key=lambda i: abs(float(axis.values[i]) - float(value))))


def _axis(study: StudyInfo, axis: SliceAxis, by_index: bool, where: Sequence[float]) -> FigureAxis:
    """Return the figure's axis with its name, and its scale or values."""
    parameter = study.space[axis.parameter]
    if not by_index:
        return FigureAxis(named(parameter), "log" if is_log(parameter) else "linear", window=_ends(where))
    return FigureAxis(named(parameter), ticks=_ticks(axis, is_log(parameter)), window=(-0.5, len(axis.values) - 0.5))


def _ticks(axis: SliceAxis, on_log: bool) -> Ticks:
    """Return each value at its index; for many numbers, round numbers between the indices."""
    if len(axis.values) <= MAX_TICKS or not is_numeric_value(axis.values[0]):
        return tuple((float(i), tick(value)) for i, value in enumerate(axis.values))
    values = [float(v) for v in axis.values]
    return tuple((_index(values, at, on_log), text) for at, text in marked(values[0], values[-1], on_log))


def _index(values: Sequence[float], at: float, on_log: bool) -> float:
    """Return the fractional index of a number among increasing ones."""
    i = min(max(bisect_right(values, at) - 1, 0), len(values) - 2)
    low, high = values[i], values[i + 1]
    share = math.log(at / low) / math.log(high / low) if on_log else (at - low) / (high - low)
    return i + min(max(share, 0.0), 1.0)


def _ends(where: Sequence[float]) -> tuple[float, float] | None:
    return (where[0], where[-1]) if where[0] < where[-1] else None
