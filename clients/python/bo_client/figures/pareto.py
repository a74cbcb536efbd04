"""Several objectives against each other: what the trials reached, and the front of what nothing beats."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from bo_client.figures.marks import Axis, Corner, Dots, Line, Mark, Panel, Picture, Scale, Words
from bo_client.figures.showing import (
    BEYOND,
    axis_over,
    directed,
    facts_of,
    fraction,
    is_within,
    not_far,
    nothing,
    titled,
    with_result,
)
from bo_client.ranking import best_of, front_of, is_defaults
from bo_client.values import Metric, StudyInfo, Trial

WIDE, HIGH = 30.0, 12.0
"""What a number takes, in points."""
PANEL = (440.0, 270.0)
"""About what a panel has, in points."""

Pair = tuple[Metric, Metric]


def front(study: StudyInfo, trials: Sequence[Trial]) -> Picture:
    """Every two objectives against each other: trials colored in their order, the front of what is within the bounds as
    a step line, the Pareto set of all objectives ringed.
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
    return Picture(
        titled(study, f"{count} results{within} in the Pareto set"),
        panels,
        columns=len(pairs),
        scale=Scale("trial", min(numbers), max(numbers), is_whole=True) if len(ended) > 1 else None,
        summary=f"Objectives against each other. Pareto set: trials {listed_numbers}.",
    )


def _panel(study: StudyInfo, ended: Sequence[Trial], best: Sequence[Trial], pair: Pair, count: int) -> Panel:
    x, y = (_axis(metric, ended, best) for metric in pair)
    within = [t for t in ended if is_within(study, t)]
    beyond = [t for t in ended if not is_within(study, t)]
    marks: list[Mark] = [
        _colored(_dots(study, within, pair, Dots((), (), label="trial", size=6.5)), within, len(ended)),
        *([_dots(study, beyond, pair, Dots((), (), "bad", BEYOND, "ring"))] if beyond else []),
        *_step(study, within, pair, x, y),
        *([_dots(study, best, pair, Dots((), (), "ink", "Pareto set", "ring", 10.5))] if best else []),
        *_numbers(best, pair, (x, y), count),
    ]
    defaults = [t for t in ended if is_defaults(t)]
    if defaults:
        marks.append(_dots(study, defaults, pair, Dots((), (), "second", "textbook defaults", "diamond", 8.0)))
    return Panel(x, y, [*marks, *_outside(ended, pair, x, y)])


def _axis(metric: Metric, ended: Sequence[Trial], best: Sequence[Trial]) -> Axis:
    """What is far worse than the others stays outside, but for the Pareto set; the front's ends have room."""
    shown = [*_values(best, metric), *not_far(_values(ended, metric), metric.goal)]
    return axis_over(directed(metric), shown)


def _values(trials: Sequence[Trial], metric: Metric) -> list[float]:
    return [t.final_measurement.metrics[metric.name] for t in trials if t.final_measurement]


def _dots(study: StudyInfo, trials: Sequence[Trial], pair: Pair, like: Dots) -> Dots:
    x, y = (_values(trials, metric) for metric in pair)
    return replace(like, x=x, y=y, hover=facts_of(study, trials))


def _colored(dots: Dots, trials: Sequence[Trial], ended: int) -> Dots:
    return replace(dots, shades=[t.number for t in trials]) if ended > 1 else replace(dots, color="accent")


def _outside(ended: Sequence[Trial], pair: Pair, x: Axis, y: Axis) -> list[Mark]:
    """How many trials the window leaves out, where the worst would be."""
    assert x.window is not None
    assert y.window is not None
    points = zip(*(_values(ended, metric) for metric in pair), strict=True)
    count = sum(not (x.window[0] <= a <= x.window[1] and y.window[0] <= b <= y.window[1]) for a, b in points)
    if not count:
        return []
    right, top = (metric.goal == "minimize" for metric in pair)
    return [Corner(f"{count} far worse, outside", right, top)]


def _step(study: StudyInfo, within: Sequence[Trial], pair: Pair, across: Axis, upright: Axis) -> list[Mark]:
    """The border of what the trials dominate, to the edges of the picture; of three objectives in these two alone."""
    if not within:
        return []
    assert across.window is not None
    assert upright.window is not None
    (left, right), (bottom, top) = across.window, upright.window
    kept = front_of(within, pair)
    corners = sorted(zip(*(_values(kept, metric) for metric in pair), strict=True))
    x, y = [c[0] for c in corners], [c[1] for c in corners]
    worst = top if pair[1].goal == "minimize" else bottom
    label = "Pareto front" if len(study.objectives) == 2 else "front of these two"
    if pair[0].goal == "minimize":
        return [Line([x[0], *x, right], [worst, *y, y[-1]], "ink", label, 1.6, "post")]
    return [Line([left, *x, x[-1]], [y[0], *y, worst], "ink", label, 1.6, "pre")]


def _numbers(best: Sequence[Trial], pair: Pair, axes: tuple[Axis, Axis], count: int) -> list[Mark]:
    """The trials' numbers, on the better side of the front, where there is room for them."""
    right, up = (1 if metric.goal == "maximize" else -1 for metric in pair)
    width = PANEL[0] * (1 + 0.45 * (count - 1)) / count
    taken: list[tuple[float, float]] = []
    words: list[Mark] = []
    for trial, place in zip(best, zip(*(_values(best, metric) for metric in pair), strict=True), strict=True):
        x, y = fraction(axes[0], place[0]) * width, fraction(axes[1], place[1]) * PANEL[1]
        if any(abs(x - left) < WIDE and abs(y - low) < HIGH for left, low in taken):
            continue
        taken.append((x, y))
        words.append(Words(place[0], place[1], str(trial.number), (right, up)))
    return words
