"""What the surrogate expects along one parameter, with the observed beside it, and over two."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from bo_client.errors import InvalidRequest
from bo_client.figures.marks import Axis, Band, Dots, Level, Line, Map, Mark, Panel, Picture
from bo_client.figures.showing import (
    MOST_TICKS,
    brief,
    clipped,
    directed,
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
from bo_client.figures.ticks import Ticks, marked
from bo_client.insight import Slice, SliceAxis, SlicePoint
from bo_client.parameters import Value, listed
from bo_client.values import Metric, Prediction, StudyInfo, Trial
from bo_client.wording import assignments, in_order, short, with_unit

MOST_TITLE = 76
STD = 2.0
"""Standard deviations to each side."""


def slice_(study: StudyInfo, found: Slice, trials: Sequence[Trial] = (), metric: str | None = None) -> Picture:
    """The mean with its uncertainty along one parameter, and what trials reached, whose other parameters differ.

    Raises:
        InvalidRequest: nothing is predicted of such a metric.
    """
    of, axis = _metric(study, found, metric), found.axes[0]
    by_index = not is_numeric_value(axis.values[0])
    told = [_prediction(p, of) for p in found.points]
    where = [_place(axis, value, by_index) for value in axis.values]
    means, reach = [p.mean for p in told], [STD * p.std for p in told]
    seen = _observed(study, trials, axis, of, by_index)
    marks: list[Mark] = [*seen, *_expected(axis, where, means, reach, of, by_index), *_barred(found, where)]
    base = found.base.get(axis.parameter)
    if base is not None:
        marks.append(Level(_place(axis, base, by_index), "x", label=f"{_origin(found)}: {short(base)}"))
    upright = Axis(directed(of), window=_window(means, reach, seen[0].y if seen else (), of), has_lines=True)
    across = _axis(study, axis, by_index, where)
    best = (max if of.goal == "maximize" else min)(zip(means, axis.values, strict=True), key=lambda pair: pair[0])
    summary = (
        f"{of.name} expected along {axis.parameter}: best {short(best[0])} at {short(best[1])}; {_rest(study, found)}."
    )
    return Picture(_title(study, found), [Panel(across, upright, marks)], summary=summary)


def contour(
    study: StudyInfo, found: Slice, trials: Sequence[Trial] = (), metric: str | None = None, show: str = "mean"
) -> Picture:
    """A map over two parameters, the first upright, the second across; what violates a constraint has no color.

    Args:
        study: whose parameters they are.
        found: a slice along two of them.
        trials: those that have both are dots.
        metric: by default the first objective.
        show: `mean`, or `std` for its uncertainty.

    Raises:
        InvalidRequest: nothing is predicted of such a metric, or nothing of that name is shown.
    """
    if show not in ("mean", "std"):
        raise InvalidRequest.of("show", f"is {show!r}; it must be 'mean' or 'std'")
    of, (upright, across) = _metric(study, found, metric), found.axes
    by_index = not (is_numeric_value(upright.values[0]) and is_numeric_value(across.values[0]))
    x = [_place(across, value, by_index) for value in across.values]
    y = [_place(upright, value, by_index) for value in upright.values]
    rows = [found.points[i * len(x) : (i + 1) * len(x)] for i in range(len(y))]
    marks: list[Mark] = [_map(rows, x, y, of, show, by_index), *_tried(study, trials, found, by_index)]
    if all(axis.parameter in found.base for axis in found.axes):
        left, up = (_place(axis, found.base[axis.parameter], by_index) for axis in (across, upright))
        marks.append(Dots([left], [up], "second", _origin(found), "star", 13.0))
    panel = Panel(_axis(study, across, by_index, x), _axis(study, upright, by_index, y), marks)
    what = "expected" if show == "mean" else "uncertain: the standard deviation"
    summary = f"{of.name} {what} over {across.parameter} and {upright.parameter}; {_rest(study, found)}."
    return Picture(_title(study, found), [panel], summary=summary)


def _metric(study: StudyInfo, found: Slice, metric: str | None) -> Metric:
    told = [p.metric for p in found.points[0].predictions]
    if metric is None:
        return study.objective
    if metric not in told:
        raise InvalidRequest.of("metric", f"is {metric!r}; predicted are {listed(told)}")
    return metrics_of(study, metric)[0]


def _prediction(point: SlicePoint, metric: Metric) -> Prediction:
    return next(p for p in point.predictions if p.metric == metric.name)


def _title(study: StudyInfo, found: Slice) -> str:
    return clipped(titled(study, _rest(study, found)), MOST_TITLE)


def _rest(study: StudyInfo, found: Slice) -> str:
    """What the parameters that don't vary are held at."""
    names = [axis.parameter for axis in found.axes]
    fixed = assignments({n: v for n, v in in_order(found.base, study.space).items() if n not in names})
    origin = f"trial {found.base_trial}" if found.base_trial else "given"
    return f"the rest as in {origin}" + (f": {fixed}" if fixed else "")


def _origin(found: Slice) -> str:
    return f"trial {found.base_trial}" if found.base_trial else "base"


def _observed(study: StudyInfo, trials: Sequence[Trial], axis: SliceAxis, of: Metric, by_index: bool) -> list[Dots]:
    """What trials reached, at their own value of the parameter; what is far worse stays outside."""
    there = [t for t in trials if axis.parameter in t.parameters and is_observed(t)]
    seen = [(t, v) for t in there if (v := t.value(of.name)) is not None]
    if not seen:
        return []
    places = [_place(axis, t.parameters[axis.parameter], by_index) for t, _ in seen]
    hover = [brief(study, t) for t, _ in seen]
    return [Dots(places, [v for _, v in seen], label="observed, the rest differs", size=5.0, hover=hover, alpha=0.6)]


def _expected(
    axis: SliceAxis, where: list[float], means: list[float], reach: list[float], of: Metric, by_index: bool
) -> list[Mark]:
    hover = [
        f"{axis.parameter} = {short(v)}\n{of.name} {short(m)} ± {short(r / STD)}"
        for v, m, r in zip(axis.values, means, reach, strict=True)
    ]
    if by_index:
        return [Dots(where, means, "accent", "predicted ± 2 std", size=7.0, spread=reach, hover=hover)]
    low = [m - r for m, r in zip(means, reach, strict=True)]
    high = [m + r for m, r in zip(means, reach, strict=True)]
    return [Band(where, low, high, label="± 2 std"), Line(where, means, label="predicted", width=2.2, hover=hover)]


def _barred(found: Slice, where: list[float]) -> list[Mark]:
    barred = [x for x, point in zip(where, found.points, strict=True) if not point.feasible]
    if not barred:
        return []
    return [Dots(barred, [0.0] * len(barred), "bad", "violates a constraint", "cross", at_foot=True)]


def _window(means: Sequence[float], reach: Sequence[float], seen: Sequence[float], of: Metric) -> tuple[float, float]:
    """From where to where the line is shown: what nobody knows may leave the picture, for it would flatten the rest."""
    near = not_far(seen, of.goal) if seen else []
    low, high = min([*means, *near]), max([*means, *near])
    room = max(0.6 * (max(means) - min(means)), 1.2 * min(reach)) or (0.0 if near and low < high else 1.0)
    lowest, highest = (f(m + sign * r for m, r in zip(means, reach, strict=True)) for f, sign in ((min, -1), (max, 1)))
    edge = 0.05 * (high - low + 2.0 * room)
    return max(low - room, min(lowest, low) - edge), min(high + room, max(highest, high) + edge)


def _map(
    rows: Sequence[Sequence[SlicePoint]], x: list[float], y: list[float], of: Metric, show: str, by_index: bool
) -> Map:
    told = [[(_prediction(p, of), p) for p in row] for row in rows]
    values = [[(q.mean if show == "mean" else q.std) if p.feasible else None for q, p in row] for row in told]
    hover = [
        [f"{assignments(p.parameters)}\n{of.name} {short(q.mean)} ± {short(q.std)}" for q, p in row] for row in told
    ]
    known = sum(v is not None for row in values for v in row)
    is_smooth = not by_index and min(len(x), len(y)) >= 2 and known >= 4
    title = f"predicted {with_unit(of)}" if show == "mean" else f"std of {with_unit(of)}"
    return Map(x, y, values, title, is_smooth, of.goal != "maximize" or show == "std", hover)


def _tried(study: StudyInfo, trials: Sequence[Trial], found: Slice, by_index: bool) -> list[Mark]:
    upright, across = found.axes
    both = [t for t in trials if {upright.parameter, across.parameter} <= t.parameters.keys()]
    kept = [t for t in both if t.final_measurement is None or is_within(study, t)]
    if not kept:
        return []
    x, y = ([_place(axis, t.parameters[axis.parameter], by_index) for t in kept] for axis in (across, upright))
    hover = [brief(study, t) for t in kept]
    return [Dots(x, y, "ink", "trials, the rest differs", "circle", 3.5, hover, alpha=0.7)]


def _place(axis: SliceAxis, value: Value, by_index: bool) -> float:
    """Where a value is on the picture's axis: itself, or its position, or the nearest, among the axis's values."""
    if not by_index:
        return float(value)
    if value in axis.values:
        return float(axis.values.index(value))
    if not is_numeric_value(value):
        return math.nan
    return float(min(range(len(axis.values)), key=lambda i: abs(float(axis.values[i]) - float(value))))


def _axis(study: StudyInfo, axis: SliceAxis, by_index: bool, where: Sequence[float]) -> Axis:
    """The picture's axis with its name, and its scale or its values."""
    parameter = study.space[axis.parameter]
    if not by_index:
        return Axis(named(parameter), "log" if is_log(parameter) else "linear", window=_ends(where))
    return Axis(named(parameter), ticks=_ticks(axis, is_log(parameter)), window=(-0.5, len(axis.values) - 0.5))


def _ticks(axis: SliceAxis, on_log: bool) -> Ticks:
    """Each value at its index; of many numbers round ones, between the indices."""
    if len(axis.values) <= MOST_TICKS or not is_numeric_value(axis.values[0]):
        return tuple((float(i), tick(value)) for i, value in enumerate(axis.values))
    values = [float(v) for v in axis.values]
    return tuple((_index(values, at, on_log), text) for at, text in marked(values[0], values[-1], on_log))


def _index(values: Sequence[float], at: float, on_log: bool) -> float:
    """Where a number is among increasing ones, as an index with its fraction."""
    i = min(max(bisect_right(values, at) - 1, 0), len(values) - 2)
    low, high = values[i], values[i + 1]
    share = math.log(at / low) / math.log(high / low) if on_log else (at - low) / (high - low)
    return i + min(max(share, 0.0), 1.0)


def _ends(where: Sequence[float]) -> tuple[float, float] | None:
    return (where[0], where[-1]) if where[0] < where[-1] else None
