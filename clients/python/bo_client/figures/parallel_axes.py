"""Parallel coordinates: each trial is a line through its values, each on an axis of its own, to what it reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bo_client.diagnosis import position
from bo_client.figures.marks import Axis, Color, Dots, Line, Mark, Panel, Picture, Scale, Words
from bo_client.figures.showing import (
    STOPPED,
    apart_words,
    brief,
    clipped,
    is_lost,
    is_observed,
    is_of_many_sizes,
    metrics_of,
    not_far,
    nothing,
    tick,
    titled,
)
from bo_client.parameters import (
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    same,
)
from bo_client.values import Metric, StudyInfo, Trial
from bo_client.wording import with_unit

MOST_LINES = 400
"""The best of them; more would be a blot."""
MOST_AXES = 14
LETTERS = 90
"""About what a line across the picture has room for."""
MOST_WORDS = 6
"""Values that are told at an axis."""
ABSENT = -0.2
"""The height of a parameter that a trial doesn't have, and of what a trial without a result reached."""
BUCKETS = 12
"""Colors: a line for each, so that thousands of trials are drawn with few."""


@dataclass(frozen=True)
class _Upright:
    """The axis of the metric: values from low to high are u from 0 to 1."""

    low: float
    high: float
    is_log: bool

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def parallel(study: StudyInfo, trials: Sequence[Trial], metric: str | None = None) -> Picture:
    """An axis for each parameter and one for the metric; strong colors are good, trials without a result are dashed.

    Trials that a rule cut short are dashed as well, and end below the axis of the metric: they have no final value.

    Args:
        study: whose parameters they are.
        trials: all of them.
        metric: by default the first objective.

    Raises:
        InvalidRequest: the study has no such metric.
    """
    of = metrics_of(study, metric)[0]
    valued = [(t, v) for t in trials if is_observed(t) and (v := t.value(of.name)) is not None]
    if not valued:
        return nothing(study, f"no trial of {study.id} has a whole result yet{apart_words(trials)}")
    ranked = sorted(valued, key=lambda pair: -of.sign * pair[1])
    kept = ranked[:MOST_LINES]
    lost = [t for t in trials if is_lost(t)][-MOST_LINES // 4 :]
    stopped = [t for t in trials if t.is_cut_short][-MOST_LINES // 4 :]
    upright = _upright([v for _, v in kept], of)
    parameters = list(study.space.parameters)[:MOST_AXES]
    marks = [
        *_frame(parameters, upright),
        *_absence(parameters),
        *_without(study, lost, parameters, "bad", "ended without a result"),
        *_without(study, stopped, parameters, "muted", f"{STOPPED} ({len(stopped)})"),
        *_lines(study, kept, parameters, of, upright),
    ]
    across = _across(parameters, of)
    foot = -0.28 if lost or stopped or any(p.activation for p in parameters) else -0.1
    count = f"the best {len(kept)} of {len(ranked)}" if len(kept) < len(ranked) else f"{len(kept)}"
    hidden = len(study.space.parameters) - len(parameters)
    more = f", {hidden} more parameters are not shown" if hidden else ""
    title = titled(study, f"{count} results{apart_words(trials)}{more}")
    words = ("worst", "best") if of.goal else ("lowest", "highest")
    return Picture(
        title,
        [Panel(across, Axis(window=(foot, 1.14), is_bare=True), marks)],
        scale=Scale(with_unit(of), 0.0, 1.0, words=words),
        summary=f"A line for each of {len(kept)} trials through its parameters to {of.name}{apart_words(trials)}.",
    )


def _upright(values: Sequence[float], of: Metric) -> _Upright:
    shown = not_far(values, of.goal) if of.goal else list(values)
    low, high = min(shown), max(shown)
    return _Upright(low, high, is_of_many_sizes(low, high))


def _across(parameters: Sequence[Parameter], of: Metric) -> Axis:
    names = [*(p.name for p in parameters), with_unit(of)]
    most = max(9, LETTERS * 2 // len(names))
    ticks = tuple((float(i), clipped(name, most)) for i, name in enumerate(names))
    return Axis(ticks=ticks, window=(-0.3, len(names) - 0.5), is_bare=True)


def _frame(parameters: Sequence[Parameter], upright: _Upright) -> list[Mark]:
    """The axes, with their values beside them, and a row for what isn't there."""
    marks: list[Mark] = [Line([i, i], [0.0, 1.0], "quiet", width=1.2) for i in range(len(parameters) + 1)]
    most = max(5, LETTERS // (len(parameters) + 1))
    for i, parameter in enumerate(parameters):
        if isinstance(parameter, FloatParameter | IntParameter):
            marks += _ends(i, tick(parameter.low), tick(parameter.high))
        else:
            told = _values(parameter)
            marks += [Words(i, u, clipped(text, most), (1, 0), "ink", 3.0, has_ground=True) for u, text in told]
    return [*marks, *_ends(len(parameters), tick(upright.low), tick(upright.high))]


def _absence(parameters: Sequence[Parameter]) -> list[Mark]:
    """The name of the row of what isn't there; the first parameter always is."""
    if not any(p.activation for p in parameters):
        return []
    return [Words(0.0, ABSENT, "absent", (0, 0), "quiet", 0.0)]


def _ends(place: int, low: str, high: str) -> list[Mark]:
    below = Words(place, 0.0, low, (0, -1), "ink", 3.0, has_ground=True)
    return [below, Words(place, 1.0, high, (0, 1), "ink", 3.0, has_ground=True)]


def _values(parameter: CategoricalParameter | DiscreteParameter) -> list[tuple[float, str]]:
    """Heights and words of a list's values, where they are many of some."""
    apart = math.ceil(len(parameter.values) / MOST_WORDS)
    return [(_height(parameter, v), tick(v)) for v in parameter.values[::apart]]


def _height(parameter: Parameter, value: Value | None) -> float:
    """u of a value; a list's values are in even steps."""
    if value is None:
        return ABSENT
    if isinstance(parameter, FloatParameter | IntParameter):
        u = position(parameter, value)
        return 0.5 if u is None else u
    count = len(parameter.values)
    place = next((i for i, known in enumerate(parameter.values) if same(known, value)), None)
    return ABSENT if place is None else 0.5 if count == 1 else place / (count - 1)


def _lines(
    study: StudyInfo,
    valued: Sequence[tuple[Trial, float]],
    parameters: Sequence[Parameter],
    of: Metric,
    upright: _Upright,
) -> list[Mark]:
    """A line for each color, from the faint to the strong."""
    buckets: dict[int, list[tuple[Trial, float]]] = {}
    for trial, value in valued:
        u = upright.at(value)
        goodness = u if of.goal != "minimize" else 1.0 - u
        buckets.setdefault(min(int(goodness * BUCKETS), BUCKETS - 1), []).append((trial, u))
    marks: list[Mark] = []
    for bucket in sorted(buckets):
        strength = (bucket + 0.5) / BUCKETS
        ends = [([_height(p, t.parameters.get(p.name)) for p in parameters], u) for t, u in buckets[bucket]]
        told = [brief(study, t) for t, _ in buckets[bucket]]
        marks.append(_joined([[*heights, u] for heights, u in ends], told, strength))
    return marks


def _joined(rows: Sequence[Sequence[float]], hover: Sequence[str], strength: float) -> Line:
    """One line with a gap after each trial."""
    x = [place for row in rows for place in (*map(float, range(len(row))), math.nan)]
    y = [height for row in rows for height in (*row, math.nan)]
    told = [text for row, text in zip(rows, hover, strict=True) for text in [text] * (len(row) + 1)]
    return Line(x, y, width=1.0 + strength, alpha=0.45 + 0.5 * strength, shade=strength, hover=told)


def _without(
    study: StudyInfo, lost: Sequence[Trial], parameters: Sequence[Parameter], color: Color, label: str
) -> list[Mark]:
    """Draw trials that have no final value: their lines end below the axis of the metric."""
    if not lost:
        return []
    rows = [[*(_height(p, t.parameters.get(p.name)) for p in parameters), ABSENT] for t in lost]
    x = [place for row in rows for place in (*map(float, range(len(row))), math.nan)]
    y = [height for row in rows for height in (*row, math.nan)]
    told = [text for row, t in zip(rows, lost, strict=True) for text in [brief(study, t)] * (len(row) + 1)]
    ends = Dots([len(parameters)] * len(lost), [ABSENT] * len(lost), color, symbol="cross")
    return [Line(x, y, color, label, 0.9, is_dashed=True, alpha=0.55, hover=told), ends]
