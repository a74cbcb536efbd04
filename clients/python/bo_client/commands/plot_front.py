"""Pictures of several objectives against each other, on matplotlib."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bo_client.commands import plot
from bo_client.commands.plot import BEYOND, GRAY, ORANGE, RED, PlotError
from bo_client.commands.progress import is_better, is_defaults
from bo_client.ranking import best_of, front_of
from bo_client.values import Metric, StudyInfo, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1d2330"
COLORS = "viridis_r"
NUMBER_SIZE = 9.5

Pair = tuple[Metric, Metric]


def front(study: StudyInfo, trials: Sequence[Trial], path: Path) -> None:
    """Every two objectives against each other: trials colored in their order, the front of what is within the bounds as
    a step line, the Pareto set of all objectives ringed.

    Raises:
        PlotError: there is one objective, no trial has a result, or matplotlib is missing.
    """
    pairs = list(combinations(study.objectives, 2))
    if not pairs:
        raise PlotError(f"{study.id} has one objective; a front is of two or three: draw its convergence")
    ended = plot.require_results(study, trials)
    best = best_of(study, trials)
    panels = plot.blank_panels(columns=len(pairs))
    for axes, pair in zip(panels, pairs, strict=True):
        _draw(axes, study, ended, best, pair)
    dots = panels[0].collections[0]
    if len(ended) > 1:
        figure: Any = panels[0].figure
        figure.colorbar(dots, ax=panels, label="trial", format="%d", pad=0.02)
    within = f" within the bounds, {len(best)} of them" if study.limits else f", {len(best)}"
    count = sum(plot.is_within(study, t) for t in ended)
    panels[0].set_title(f"{study.display_name or study.id}: {count} results{within} in the Pareto set", loc="left")
    plot.save(panels[0], path)


def _draw(axes: "Axes", study: StudyInfo, ended: Sequence[Trial], best: Sequence[Trial], pair: Pair) -> None:
    numbers = [t.number for t in ended]
    style: dict[str, Any] = {"cmap": COLORS, "vmin": min(numbers), "vmax": max(max(numbers), min(numbers) + 1)}
    within = [t for t in ended if plot.is_within(study, t)]
    axes.scatter(*_columns(within, pair), c=[t.number for t in within], s=42, label="trial", zorder=3, **style)
    beyond = [t for t in ended if not plot.is_within(study, t)]
    if beyond:
        axes.scatter(*_columns(beyond, pair), s=34, facecolors="none", edgecolors=RED, label=BEYOND, zorder=2)
    _window(axes, [*within, *beyond], best, pair)
    _tell_outside(axes, ended, pair)
    _step(axes, study, within, pair)
    if best:
        ring: dict[str, Any] = {"s": 110, "facecolors": "none", "edgecolors": INK, "linewidths": 1.6}
        axes.scatter(*_columns(best, pair), label="Pareto set", zorder=4, **ring)
        _number(axes, best, pair)
    defaults = [t for t in ended if is_defaults(t)]
    if defaults:
        axes.scatter(*_columns(defaults, pair), s=60, marker="D", color=ORANGE, label="textbook defaults", zorder=5)
    axes.grid(axis="x", color="#e4e6ea", linewidth=0.8)
    axes.set_xlabel(plot.directed(pair[0]))
    axes.set_ylabel(plot.directed(pair[1]))


def _columns(trials: Sequence[Trial], pair: Pair) -> tuple[list[float], list[float]]:
    x, y = ([t.final_measurement.metrics[m.name] for t in trials if t.final_measurement] for m in pair)
    return x, y


def _window(axes: "Axes", ended: Sequence[Trial], best: Sequence[Trial], pair: Pair) -> None:
    """What is far worse than the others stays outside, but for the Pareto set; the front's ends have room."""
    for side, metric, values, top in zip("xy", pair, _columns(ended, pair), _columns(best, pair), strict=True):
        worst = plot.worst_shown(values, metric.goal)
        shown = [*top, *(v for v in values if not is_better(worst, v, metric.goal))]
        plot.scale(axes, side, shown)
        low, high = min(shown), max(shown)
        if getattr(axes, f"get_{side}scale")() == "log":
            room = (high / low) ** 0.08
            getattr(axes, f"set_{side}lim")(low / room, high * room)
        else:
            room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
            getattr(axes, f"set_{side}lim")(low - room, high + room)


def _tell_outside(axes: "Axes", ended: Sequence[Trial], pair: Pair) -> None:
    """How many trials the window leaves out, where the worst would be."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    points = zip(*_columns(ended, pair), strict=True)
    outside = sum(not (left <= x <= right and bottom <= y <= top) for x, y in points)
    if outside:
        across, upright = (0.98 if metric.goal == "minimize" else 0.02 for metric in pair)
        where: dict[str, Any] = {"ha": "right" if across > 0.5 else "left", "va": "top" if upright > 0.5 else "bottom"}
        text = f"{outside} far worse, outside"
        axes.text(across, upright, text, transform=axes.transAxes, color=GRAY, fontsize=NUMBER_SIZE, **where)


def _step(axes: "Axes", study: StudyInfo, within: Sequence[Trial], pair: Pair) -> None:
    """The border of what the trials dominate, to the edges of the picture; of three objectives in these two alone."""
    if not within:
        return
    across, upright = pair
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    corners = sorted(zip(*_columns(front_of(within, pair), pair), strict=True))
    x, y = [c[0] for c in corners], [c[1] for c in corners]
    worst = top if upright.goal == "minimize" else bottom
    label = "Pareto front" if len(study.objectives) == 2 else "front of these two"
    if across.goal == "minimize":
        x, y, where = [x[0], *x, right], [worst, *y, y[-1]], "post"
    else:
        x, y, where = [left, *x, x[-1]], [y[0], *y, worst], "pre"
    axes.step(x, y, where=where, color=INK, linewidth=1.6, label=label, zorder=2)  # type: ignore[arg-type]


def _number(axes: "Axes", best: Sequence[Trial], pair: Pair) -> None:
    """The trials' numbers, on the better side of the front, where there is room for them."""
    toward = [7 * metric.sign for metric in pair]
    wide, high = 3.0 * NUMBER_SIZE * plot.DPI / 72, 1.2 * NUMBER_SIZE * plot.DPI / 72
    taken: list[tuple[float, float]] = []
    for trial, place in zip(best, zip(*_columns(best, pair), strict=True), strict=True):
        x, y = axes.transData.transform(place)
        if any(abs(x - left) < wide and abs(y - low) < high for left, low in taken):
            continue
        taken.append((x, y))
        axes.annotate(
            str(trial.number),
            place,
            textcoords="offset points",
            xytext=(toward[0], toward[1]),
            ha="right" if toward[0] < 0 else "left",
            va="top" if toward[1] < 0 else "bottom",
            color=INK,
            fontsize=NUMBER_SIZE,
        )
