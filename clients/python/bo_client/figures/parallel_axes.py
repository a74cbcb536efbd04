"""The parallel-coordinates figure: each trial is a line through its parameters to its metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bo_client.diagnosis import position
from bo_client.figures.common import (
    STOPPED,
    apart_words,
    brief,
    clipped,
    drawable_value,
    is_lost,
    is_observed,
    is_of_many_sizes,
    metrics_of,
    not_far,
    nothing,
    tick,
    titled,
)
from bo_client.figures.marks import Color, ColorScale, Dots, FigureAxis, FigureSpec, Line, Mark, Panel, TextMark
from bo_client.formatting import with_unit
from bo_client.models import Metric, StudyInfo, Trial
from bo_client.parameters import (
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    strict_equal,
)

MAX_LINES = 400
"""Maximum number of trials: the best ones."""
MAX_AXES = 14
MAX_CHARACTERS = 90
"""Approximate number of characters across the figure."""
MAX_LABELED_VALUES = 6
"""Maximum number of values labeled at an axis."""
ABSENT = -0.2
"""The height of an absent parameter, and of the metric of a trial without a result."""
BUCKETS = 12
"""Number of colors, with one line each, so that thousands of trials need few lines."""


@dataclass(frozen=True)
class _MetricAxis:
    """The axis of the metric, which maps values from low to high to 0 to 1."""

    low: float
    high: float
    is_log: bool

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def parallel(study: StudyInfo, trials: Sequence[Trial], metric: str | None = None) -> FigureSpec:
    """Return an axis for each parameter and one for the metric; better trials have stronger colors.

    Trials without a result, or that a stopping rule ended early, are dashed and end below the metric's axis.

    Args:
        study: the study.
        trials: its trials.
        metric: by default the first objective.

    Raises:
        InvalidRequest: the study has no such metric.
    """
    of = metrics_of(study, metric)[0]
    valued = [(t, v) for t in trials if is_observed(t) and (v := drawable_value(t, of)) is not None]
    if not valued:
        return nothing(study, f"no trial of {study.id} has a whole result yet{apart_words(trials)}")
    ranked = sorted(valued, key=lambda pair: -of.sign * pair[1])
    shown = ranked[:MAX_LINES]
    lost = [t for t in trials if is_lost(t)][-MAX_LINES // 4 :]
    stopped = [t for t in trials if t.is_cut_short][-MAX_LINES // 4 :]
    upright = _metric_axis([v for _, v in shown], of)
    parameters = list(study.space.parameters)[:MAX_AXES]
    marks = [
        *_frame(parameters, upright),
        *_absence(parameters),
        *_without(study, lost, parameters, "bad", "ended without a result"),
        *_without(study, stopped, parameters, "muted", f"{STOPPED} ({len(stopped)})"),
        *_lines(study, shown, parameters, of, upright),
    ]
    across = _across(parameters, of)
    foot = -0.28 if lost or stopped or any(p.activation for p in parameters) else -0.1
    count = f"the best {len(shown)} of {len(ranked)}" if len(shown) < len(ranked) else f"{len(shown)}"
    hidden = len(study.space.parameters) - len(parameters)
    more = f", {hidden} more parameters are not shown" if hidden else ""
    title = titled(study, f"{count} results{apart_words(trials)}{more}")
    words = ("worst", "best") if of.goal else ("lowest", "highest")
    return FigureSpec(
        title,
        [Panel(across, FigureAxis(window=(foot, 1.14), is_bare=True), marks)],
        scale=ColorScale(with_unit(of), 0.0, 1.0, words=words),
        summary=f"A line for each of {len(shown)} trials through its parameters to {of.name}{apart_words(trials)}.",
    )


def _metric_axis(values: Sequence[float], of: Metric) -> _MetricAxis:
    shown = not_far(values, of.goal) if of.goal else list(values)
    low, high = min(shown), max(shown)
    return _MetricAxis(low, high, is_of_many_sizes(low, high))


def _across(parameters: Sequence[Parameter], of: Metric) -> FigureAxis:
    names = [*(p.name for p in parameters), with_unit(of)]
    max_length = max(9, MAX_CHARACTERS * 2 // len(names))
    ticks = tuple((float(i), clipped(name, max_length)) for i, name in enumerate(names))
    return FigureAxis(ticks=ticks, window=(-0.3, len(names) - 0.5), is_bare=True)


def _frame(parameters: Sequence[Parameter], upright: _MetricAxis) -> list[Mark]:
    """Return the axes with labels, and a row for absent parameters."""
    marks: list[Mark] = [Line([i, i], [0.0, 1.0], "quiet", width=1.2) for i in range(len(parameters) + 1)]
    max_length = max(5, MAX_CHARACTERS // (len(parameters) + 1))
    for i, parameter in enumerate(parameters):
        if isinstance(parameter, FloatParameter | IntParameter):
            marks += _ends(i, tick(parameter.low), tick(parameter.high))
        else:
            labels = _values(parameter)
            marks += [
                TextMark(i, u, clipped(text, max_length), (1, 0), "ink", 3.0, has_ground=True) for u, text in labels
            ]
    return [*marks, *_ends(len(parameters), tick(upright.low), tick(upright.high))]


def _absence(parameters: Sequence[Parameter]) -> list[Mark]:
    """Return the label of the row for absent parameters; the first parameter is always present."""
    if not any(p.activation for p in parameters):
        return []
    return [TextMark(0.0, ABSENT, "absent", (0, 0), "quiet", 0.0)]


def _ends(place: int, low: str, high: str) -> list[Mark]:
    below = TextMark(place, 0.0, low, (0, -1), "ink", 3.0, has_ground=True)
    return [below, TextMark(place, 1.0, high, (0, 1), "ink", 3.0, has_ground=True)]


def _values(parameter: CategoricalParameter | DiscreteParameter) -> list[tuple[float, str]]:
    """Return heights and labels of a list's values, only some of them if there are many."""
    apart = math.ceil(len(parameter.values) / MAX_LABELED_VALUES)
    return [(_height(parameter, v), tick(v)) for v in parameter.values[::apart]]


def _height(parameter: Parameter, value: Value | None) -> float:
    """Return u of a value; the values of a list have equal distances."""
    if value is None:
        return ABSENT
    if isinstance(parameter, FloatParameter | IntParameter):
        u = position(parameter, value)
        return 0.5 if u is None else u
    count = len(parameter.values)
    place = next((i for i, candidate in enumerate(parameter.values) if strict_equal(candidate, value)), None)
    return ABSENT if place is None else 0.5 if count == 1 else place / (count - 1)


def _lines(
    study: StudyInfo,
    valued: Sequence[tuple[Trial, float]],
    parameters: Sequence[Parameter],
    of: Metric,
    upright: _MetricAxis,
) -> list[Mark]:
    """Return a line for each color, from faint to strong."""
    buckets: dict[int, list[tuple[Trial, float]]] = {}
    for trial, value in valued:
        u = upright.at(value)
        goodness = u if of.goal != "minimize" else 1.0 - u
        buckets.setdefault(min(int(goodness * BUCKETS), BUCKETS - 1), []).append((trial, u))
    marks: list[Mark] = []
    for bucket in sorted(buckets):
        strength = (bucket + 0.5) / BUCKETS
        ends = [([_height(p, t.parameters.get(p.name)) for p in parameters], u) for t, u in buckets[bucket]]
        hover = [brief(study, t) for t, _ in buckets[bucket]]
        marks.append(_joined([[*heights, u] for heights, u in ends], hover, strength))
    return marks


def _joined(rows: Sequence[Sequence[float]], hover: Sequence[str], strength: float) -> Line:
    """Return a line with a gap after each trial."""
    x = [place for row in rows for place in (*map(float, range(len(row))), math.nan)]
    y = [height for row in rows for height in (*row, math.nan)]
    hover_by_point = [text for row, text in zip(rows, hover, strict=True) for text in [text] * (len(row) + 1)]
    return Line(x, y, width=1.0 + strength, alpha=0.45 + 0.5 * strength, shade=strength, hover=hover_by_point)


def _without(
    study: StudyInfo, lost: Sequence[Trial], parameters: Sequence[Parameter], color: Color, label: str
) -> list[Mark]:
    """Return the trials without a final value: their lines end below the metric's axis."""
    if not lost:
        return []
    rows = [[*(_height(p, t.parameters.get(p.name)) for p in parameters), ABSENT] for t in lost]
    x = [place for row in rows for place in (*map(float, range(len(row))), math.nan)]
    y = [height for row in rows for height in (*row, math.nan)]
    hover = [text for row, t in zip(rows, lost, strict=True) for text in [brief(study, t)] * (len(row) + 1)]
    ends = Dots([len(parameters)] * len(lost), [ABSENT] * len(lost), color, symbol="cross")
    return [Line(x, y, color, label, 0.9, is_dashed=True, alpha=0.55, hover=hover), ends]
