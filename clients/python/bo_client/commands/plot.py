"""Pictures of a study, on matplotlib: how the best value fell, and the trials' learning curves."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bo_client.commands.progress import is_better, is_defaults
from bo_client.commands.records import with_unit
from bo_client.errors import BoClientError
from bo_client.ranking import best_of
from bo_client.values import Metric, StudyInfo, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, DPI = (8.0, 4.8), 150
"""In inches, and pixels to an inch."""
LOG_RATIO = 50.0
"""Values above 0 whose largest is so many times the smallest are drawn on a log axis."""

Points = Sequence[tuple[int, float]]

BEYOND = "beyond a bound"

BLUE, ORANGE, GRAY, RED = "#0b63a5", "#c8590a", "#8a8f98", "#b3261e"


class PlotError(BoClientError):
    """There is nothing to draw, or nothing to draw with."""


def convergence(study: StudyInfo, trials: Sequence[Trial], path: Path) -> None:
    """Each trial's value by its number, the best so far as a step line, the textbook defaults as a level line.

    Each of several objectives has a panel of its own. What is beyond a bound is never best.

    Raises:
        PlotError: no trial has a result, or matplotlib is missing.
    """
    ended = require_results(study, trials)
    panels = blank_panels(rows=len(study.objectives))
    for axes, metric in zip(panels, study.objectives, strict=True):
        _history(axes, study, trials, metric)
        axes.margins(y=0.12)
        axes.set_xlim(min(t.number for t in trials) - 0.6, max(t.number for t in trials) + 0.6)
        _label(axes, "trial" if axes is panels[-1] else "", metric)
    title = f"{study.display_name or study.id}: {len(ended)} of {len(trials)} trials have a result"
    panels[0].set_title(title, loc="left")
    save(panels[0], path)


def require_results(study: StudyInfo, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that have a final measurement. Raises PlotError where none has."""
    ended = [t for t in trials if t.final_measurement]
    if not ended:
        raise PlotError(f"no trial of {study.id} has a result yet; there is nothing to draw")
    return ended


def _history(axes: "Axes", study: StudyInfo, trials: Sequence[Trial], metric: Metric) -> None:
    """One objective by trial."""
    seen = [(t, value) for t in trials if (value := t.value(metric.name)) is not None]
    within, beyond = ([(t.number, v) for t, v in seen if is_within(study, t) is wanted] for wanted in (True, False))
    worst = worst_shown([v for _, v in seen], metric.goal)
    if within and is_better(worst, within[0][1], metric.goal):
        worst = within[0][1]  # the line of the best begins there
    _mark_trials(axes, within, metric.goal, worst, {"color": GRAY, "label": "trial"})
    _mark_trials(axes, beyond, metric.goal, worst, {"edgecolors": RED, "facecolors": "none", "label": BEYOND})
    is_alone = len(study.objectives) == 1
    _mark_far(axes, (*within, *beyond), metric.goal, worst, f"worse than {worst:.3g}" if is_alone else "far worse")
    scale(axes, "y", [v for _, v in seen if not is_better(worst, v, metric.goal)])
    if within:
        _mark_best(axes, within, metric.goal, last=max(t.number for t in trials))
    _mark_defaults(axes, trials, metric, named=is_alone)
    _mark_lost(axes, trials)


def is_within(study: StudyInfo, trial: Trial) -> bool:
    """Whether a trial with a result keeps to every bound."""
    return trial.final_measurement is not None and study.admits(trial.final_measurement.metrics)


def curves(study: StudyInfo, trials: Sequence[Trial], path: Path) -> None:
    """The objective metrics of each trial by step, the best trials highlighted; `trials` with their measurements.

    Raises:
        PlotError: no trial has reported an objective metric, or matplotlib is missing.
    """
    reported = {m.name for t in trials for m in study.objectives if _curve(t, m.name)}
    metrics = [m for m in study.objectives if m.name in reported]
    if not metrics:
        names = " or ".join(repr(m.name) for m in study.objectives)
        raise PlotError(f"no trial of {study.id} has reported {names} while it ran; there is nothing to draw")
    panels = blank_panels(rows=len(metrics))
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_curves(axes, study, trials, metric)
        _label(axes, study.labels.get("step", "step") if axes is panels[-1] else "", metric)
    count = sum(any(_curve(t, m.name) for m in metrics) for t in trials)
    panels[0].set_title(f"{study.display_name or study.id}: learning curves of {count} trials", loc="left")
    save(panels[0], path)


def _draw_curves(axes: "Axes", study: StudyInfo, trials: Sequence[Trial], metric: Metric) -> None:
    drawn = {t.number: points for t in trials if (points := _curve(t, metric.name))}
    best = {t.number for t in best_of(study, trials)}
    marked = {t.number for t in trials if t.number in best or is_defaults(t)}
    for trial in sorted(trials, key=lambda t: (t.number in best, is_defaults(t))):
        if trial.number in drawn:
            steps, values = zip(*drawn[trial.number], strict=True)
            axes.plot(steps, values, **_style(study, trial, best))
    _frame(axes, [p for n, p in drawn.items() if n in marked], list(drawn.values()), metric.goal)


def blank_axes() -> "Axes":
    """Axes of a figure of their own. Raises PlotError where matplotlib is missing."""
    return blank_panels()[0]


def blank_panels(rows: int = 1, columns: int = 1) -> "list[Axes]":
    """Axes of a figure of their own, row by row. Raises PlotError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure  # optional; a Figure of its own needs no display
    except ImportError:
        raise PlotError('plots need matplotlib: pip install "bo-service[plot]"') from None
    size = SIZE[0] * (1 + 0.45 * (columns - 1)), SIZE[1] * (1 + 0.5 * (rows - 1))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return [_dressed(axes) for axes in figure.subplots(rows, columns, squeeze=False).flat]


def _dressed(axes: "Axes") -> "Axes":
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10.5)
    axes.xaxis.label.set_fontsize(12)
    axes.yaxis.label.set_fontsize(12)
    return axes


def save(axes: "Axes", path: Path) -> None:
    """Writes the figure that the axes are of, with one legend for all of its axes. Raises PlotError."""
    axes.title.set_fontsize(12)
    figure: Any = axes.figure
    named: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if len(named) > 1:
        columns = len(named) if len(named) <= 4 else 3
        figure.legend(
            named.values(), named.keys(), frameon=False, fontsize=10.5, loc="outside lower center", ncols=columns
        )
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise PlotError(f"{path}: the picture can't be written: {error}") from None


def worst_shown(values: Sequence[float], goal: str | None) -> float:
    """The worst value that gets its own height: a few very bad ones would flatten all others."""
    ordered = sorted(values, reverse=goal == "maximize")
    usual = ordered[3 * (len(ordered) - 1) // 4]
    limit = usual + 2.0 * (usual - ordered[0])
    far = usual != ordered[0] and abs(ordered[-1] - ordered[0]) > 1.5 * abs(limit - ordered[0])
    return limit if far else ordered[-1]


def _mark_trials(axes: "Axes", seen: Points, goal: str | None, worst: float, style: dict[str, Any]) -> None:
    """A dot for each trial that isn't worse than what is shown."""
    inside = [(n, v) for n, v in seen if not is_better(worst, v, goal)]
    if inside:
        axes.scatter([n for n, _ in inside], [v for _, v in inside], s=34, zorder=2, **style)


def _mark_far(axes: "Axes", seen: Points, goal: str | None, worst: float, label: str) -> None:
    """Trials far worse than the others are arrows at the edge."""
    far = [n for n, v in seen if is_better(worst, v, goal)]
    if far:
        marker = "^" if goal == "minimize" else "v"
        axes.scatter(far, [worst] * len(far), s=34, marker=marker, color=GRAY, label=label, zorder=2)


def _mark_best(axes: "Axes", seen: Sequence[tuple[int, float]], goal: str | None, last: int) -> None:
    """The best so far as a step line to trial `last`, and a star with its value where the best was found."""
    numbers, best = [n for n, _ in seen], _best_so_far([v for _, v in seen], goal)
    steps, levels = [*numbers, last], [*best, best[-1]]
    axes.step(steps, levels, where="post", color=BLUE, linewidth=2.2, label="best so far", zorder=3)
    winner = numbers[best.index(best[-1])]
    axes.scatter([winner], [best[-1]], s=110, marker="*", color=BLUE, zorder=4)
    axes.annotate(
        f"{best[-1]:.4g}, trial {winner}",
        (winner, best[-1]),
        textcoords="offset points",
        xytext=(0, -16 if goal == "minimize" else 9),
        ha="right" if winner > 0.8 * last else "left" if winner < 0.2 * last else "center",
        color=BLUE,
    )


def _frame(axes: "Axes", marked: Sequence[Points], drawn: Sequence[Points], goal: str | None) -> None:
    """A window with the whole of the marked curves, which the worst of the others may leave."""
    worst = worst_shown([points[-1][1] for points in drawn], goal)
    every = [v for points in drawn for _, v in points]
    shown = [v for points in marked for _, v in points] + [v for v in every if not is_better(worst, v, goal)]
    scale(axes, "y", shown)
    low, high = min(shown), max(shown)
    if low < high and axes.get_yscale() == "linear":
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def directed(metric: Metric) -> str:
    """`loss (nats), lower is better`."""
    return f"{with_unit(metric)}, {'lower' if metric.goal == 'minimize' else 'higher'} is better"


def _label(axes: "Axes", steps: str, metric: Metric) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(steps)
    axes.set_ylabel(directed(metric))


def _best_so_far(values: Sequence[float], goal: str | None) -> list[float]:
    best = [values[0]]
    for value in values[1:]:
        best.append(value if is_better(value, best[-1], goal) else best[-1])
    return best


def _curve(trial: Trial, metric: str) -> Points:
    """Steps and finite values: a curve may end in NaN."""
    seen = ((m.step, m.metrics.get(metric, math.nan)) for m in trial.measurements)
    return [(step, value) for step, value in seen if math.isfinite(value)]


def _style(study: StudyInfo, trial: Trial, best: Collection[int]) -> dict[str, Any]:
    marked = {"marker": "o", "markersize": 4.5, "linewidth": 2.4}
    if trial.number in best:
        label = f"best, {_named(trial)}" if len(study.objectives) == 1 else "Pareto set"
        return {**marked, "color": BLUE, "zorder": 4, "label": label}
    if is_defaults(trial):
        return {**marked, "color": ORANGE, "zorder": 3, "label": _named(trial)}
    return {"color": GRAY, "alpha": 0.55, "linewidth": 1.2, "marker": ".", "zorder": 2, "label": "other trials"}


def _named(trial: Trial) -> str:
    return f"textbook defaults, trial {trial.number}" if is_defaults(trial) else f"trial {trial.number}"


def _mark_defaults(axes: "Axes", trials: Sequence[Trial], metric: Metric, named: bool) -> None:
    for trial in trials:
        value = trial.value(metric.name)
        if is_defaults(trial) and value is not None:
            label = f"textbook defaults, {value:.4g}" if named else "textbook defaults"
            axes.axhline(value, color=ORANGE, linewidth=1.6, linestyle="--", label=label, zorder=1)
            return


def _mark_lost(axes: "Axes", trials: Sequence[Trial]) -> None:
    """Trials that ended without a result, at the foot of the picture."""
    lost = [t.number for t in trials if t.state.is_ended and t.final_measurement is None]
    if lost:
        foot = axes.get_xaxis_transform()
        axes.scatter(lost, [0.02] * len(lost), marker="x", color=RED, transform=foot, label="ended without a result")


def scale(axes: "Axes", side: str, values: Sequence[float]) -> None:
    """A log axis where values of many sizes are above 0."""
    if min(values) > 0 and max(values) / min(values) >= LOG_RATIO:
        getattr(axes, f"set_{side}scale")("log")
