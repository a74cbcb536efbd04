"""The Pareto-front figure: objectives against each other, with the front of non-dominated trials."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from bo_client.figures.common import (
    OUT_OF_BOUNDS,
    axis_over,
    directed,
    drawable_value,
    facts_of,
    fraction,
    is_within,
    not_far,
    nothing,
    titled,
    with_result,
)
from bo_client.figures.marks import ColorScale, CornerText, Dots, FigureAxis, FigureSpec, Line, Mark, Panel, TextMark
from bo_client.models import Metric, StudyInfo, Trial
from bo_client.ranking import best_of, front_of, is_defaults

LABEL_WIDTH, LABEL_HEIGHT = 30.0, 12.0
"""Size of a number in points."""
PANEL = (440.0, 270.0)
"""Approximate size of a panel in points."""

Pair = tuple[Metric, Metric]


def front(study: StudyInfo, trials: Sequence[Trial]) -> FigureSpec:
    """Return every pair of objectives against each other.

    Trials are colored by their number. The front of the trials within the bounds is a step line, and the Pareto set of
    all objectives is ringed.
    """
    pairs = list(combinations(study.objectives, 2))
    if not pairs:
        return nothing(study, f"{study.id} has one objective; a front is of two or three: draw its convergence")
    ended = with_result(trials)
    if not ended:
        return nothing(study, f"no trial of {study.id} has a result yet")
    best = best_of(study, trials)
    panels = [_panel(study, ended, best, pair, len(pairs)) for pair in pairs]
    within = f" within the bounds, {len(best)} of them" if study.limits else f", {len(best)}"
    count = sum(is_within(study, t) for t in ended)
    numbers = [t.number for t in ended]
    listed_numbers = ", ".join(str(t.number) for t in best) or "none"
    return FigureSpec(
        titled(study, f"{count} results{within} in the Pareto set"),
        panels,
        columns=len(pairs),
        scale=ColorScale("trial", min(numbers), max(numbers), is_whole=True) if len(ended) > 1 else None,
        summary=f"Objectives against each other. Pareto set: trials {listed_numbers}.",
    )


def _panel(study: StudyInfo, ended: Sequence[Trial], best: Sequence[Trial], pair: Pair, count: int) -> Panel:
    x, y = (_axis(metric, ended, best) for metric in pair)
    within = [t for t in ended if is_within(study, t)]
    beyond = [t for t in ended if not is_within(study, t)]
    marks: list[Mark] = [
        _colored(_dots(study, within, pair, Dots((), (), label="trial", size=6.5)), within, len(ended)),
        *([_dots(study, beyond, pair, Dots((), (), "bad", OUT_OF_BOUNDS, "ring"))] if beyond else []),
        *_step(study, within, pair, x, y),
        *([_dots(study, best, pair, Dots((), (), "ink", "Pareto set", "ring", 10.5))] if best else []),
        *_numbers(best, pair, (x, y), count),
    ]
    defaults = [t for t in ended if is_defaults(t)]
    if defaults:
        marks.append(_dots(study, defaults, pair, Dots((), (), "second", "textbook defaults", "diamond", 8.0)))
    return Panel(x, y, [*marks, *_outside(ended, pair, x, y)])


def _axis(metric: Metric, ended: Sequence[Trial], best: Sequence[Trial]) -> FigureAxis:
    """Return an axis that contains the Pareto set, and the other trials except outliers."""
    shown = [*_values(best, metric), *not_far(_values(ended, metric), metric.goal)]
    return axis_over(directed(metric), shown)


def _values(trials: Sequence[Trial], metric: Metric) -> list[float]:
    return [value for t in trials if (value := drawable_value(t, metric)) is not None]


def _dots(study: StudyInfo, trials: Sequence[Trial], pair: Pair, template: Dots) -> Dots:
    x, y = (_values(trials, metric) for metric in pair)
    return replace(template, x=x, y=y, hover=facts_of(study, trials), trials=[t.number for t in trials])


def _colored(dots: Dots, trials: Sequence[Trial], ended: int) -> Dots:
    return replace(dots, shades=[t.number for t in trials]) if ended > 1 else replace(dots, color="accent")


def _outside(ended: Sequence[Trial], pair: Pair, x: FigureAxis, y: FigureAxis) -> list[Mark]:
    """Return the number of trials outside the window, in the corner of the worst values."""
    assert x.window is not None
    assert y.window is not None
    points = zip(*(_values(ended, metric) for metric in pair), strict=True)
    count = sum(not (x.window[0] <= a <= x.window[1] and y.window[0] <= b <= y.window[1]) for a, b in points)
    if not count:
        return []
    right, top = (metric.goal == "minimize" for metric in pair)
    return [CornerText(f"{count} far worse, outside", right, top)]


def _step(study: StudyInfo, within: Sequence[Trial], pair: Pair, across: FigureAxis, upright: FigureAxis) -> list[Mark]:
    """Return the border of the dominated region up to the window; with three objectives, for these two alone."""
    if not within:
        return []
    assert across.window is not None
    assert upright.window is not None
    (left, right), (bottom, top) = across.window, upright.window
    front_trials = front_of(within, pair)
    corners = sorted(zip(*(_values(front_trials, metric) for metric in pair), strict=True))
    x, y = [c[0] for c in corners], [c[1] for c in corners]
    worst = top if pair[1].goal == "minimize" else bottom
    label = "Pareto front" if len(study.objectives) == 2 else "front of these two"
    if pair[0].goal == "minimize":
        return [Line([x[0], *x, right], [worst, *y, y[-1]], "ink", label, 1.6, "post")]
    return [Line([left, *x, x[-1]], [y[0], *y, worst], "ink", label, 1.6, "pre")]


def _numbers(best: Sequence[Trial], pair: Pair, axes: tuple[FigureAxis, FigureAxis], count: int) -> list[Mark]:
    """Return the trials' numbers, on the better side of the front, where they fit."""
    right, up = (1 if metric.goal == "maximize" else -1 for metric in pair)
    width = PANEL[0] * (1 + 0.45 * (count - 1)) / count
    occupied: list[tuple[float, float]] = []
    words: list[Mark] = []
    for trial, place in zip(best, zip(*(_values(best, metric) for metric in pair), strict=True), strict=True):
        x, y = fraction(axes[0], place[0]) * width, fraction(axes[1], place[1]) * PANEL[1]
        if any(abs(x - left) < LABEL_WIDTH and abs(y - low) < LABEL_HEIGHT for left, low in occupied):
            continue
        occupied.append((x, y))
        words.append(TextMark(place[0], place[1], str(trial.number), (right, up)))
    return words
