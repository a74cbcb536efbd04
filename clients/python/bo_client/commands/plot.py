"""Pictures of a study, on matplotlib: how the best value fell, and the trials' learning curves."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bo_client.commands.progress import is_better, is_defaults
from bo_client.commands.records import with_unit
from bo_client.errors import BoClientError
from bo_client.values import Metric, StudyInfo, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, DPI = (8.0, 4.8), 150
"""In inches, and pixels to an inch."""
LOG_RATIO = 50.0
"""Values above 0 whose largest is so many times the smallest are drawn on a log axis."""

Points = Sequence[tuple[int, float]]

BLUE, ORANGE, GRAY, RED = "#0b63a5", "#c8590a", "#8a8f98", "#b3261e"


class PlotError(BoClientError):
    """There is nothing to draw, or nothing to draw with."""


def convergence(study: StudyInfo, trials: Sequence[Trial], path: Path) -> None:
    """Each trial's value by its number, the best so far as a step line, the textbook defaults as a level line.

    Raises:
        PlotError: no trial has a result, or matplotlib is missing.
    """
    metric = study.objective
    seen = [(t.number, v) for t in trials if (v := t.value(metric.name)) is not None]
    if not seen:
        raise PlotError(f"no trial of {study.id} has a result yet; there is nothing to draw")
    axes = blank_axes()
    _mark_trials(axes, seen, metric.goal)
    _mark_best(axes, seen, metric.goal, last=max(t.number for t in trials))
    _mark_defaults(axes, study, trials)
    _mark_lost(axes, trials)
    axes.margins(y=0.12)
    axes.set_xlim(min(t.number for t in trials) - 0.6, max(t.number for t in trials) + 0.6)
    _label(axes, "trial", metric)
    axes.set_title(f"{study.display_name or study.id}: {len(seen)} of {len(trials)} trials have a result", loc="left")
    save(axes, path)


def curves(study: StudyInfo, trials: Sequence[Trial], path: Path) -> None:
    """The objective metric of each trial by step, the best trial highlighted; `trials` with their measurements.

    Raises:
        PlotError: no trial has reported the objective metric, or matplotlib is missing.
    """
    metric = study.objective
    drawn = {t.number: points for t in trials if (points := _curve(t, metric.name))}
    if not drawn:
        raise PlotError(f"no trial of {study.id} has reported {metric.name!r} while it ran; there is nothing to draw")
    axes = blank_axes()
    best = _best_trial(study, trials)
    marked = {t.number for t in trials if t is best or is_defaults(t)}
    for trial in sorted(trials, key=lambda t: (t is best, is_defaults(t))):
        if trial.number in drawn:
            steps, values = zip(*drawn[trial.number], strict=True)
            axes.plot(steps, values, **_style(trial, best))
    _frame(axes, [p for n, p in drawn.items() if n in marked], list(drawn.values()), metric.goal)
    _once_in_legend(axes)
    _label(axes, study.labels.get("step", "step"), metric)
    axes.set_title(f"{study.display_name or study.id}: learning curves of {len(drawn)} trials", loc="left")
    save(axes, path)


def blank_axes() -> "Axes":
    """Axes of a figure of their own. Raises PlotError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure  # optional; a Figure of its own needs no display
    except ImportError:
        raise PlotError('plots need matplotlib: pip install "bo-service[plot]"') from None
    axes = Figure(figsize=SIZE, dpi=DPI, layout="constrained").add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10.5)
    axes.xaxis.label.set_fontsize(12)
    axes.yaxis.label.set_fontsize(12)
    return axes


def save(axes: "Axes", path: Path) -> None:
    """Writes the figure with its legend. Raises PlotError."""
    axes.title.set_fontsize(12)
    figure: Any = axes.figure
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        columns = len(handles) if len(handles) <= 4 else 3
        figure.legend(handles, labels, frameon=False, fontsize=10.5, loc="outside lower center", ncols=columns)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise PlotError(f"{path}: the picture can't be written: {error}") from None


def _worst_shown(values: Sequence[float], goal: str | None) -> float:
    """The worst value that gets its own height: a few very bad ones would flatten all others."""
    ordered = sorted(values, reverse=goal == "maximize")
    usual = ordered[3 * (len(ordered) - 1) // 4]
    limit = usual + 2.0 * (usual - ordered[0])
    far = usual != ordered[0] and abs(ordered[-1] - ordered[0]) > 1.5 * abs(limit - ordered[0])
    return limit if far else ordered[-1]


def _mark_trials(axes: "Axes", seen: Sequence[tuple[int, float]], goal: str | None) -> None:
    """A dot for each trial; those far beyond the others are arrows at the edge."""
    worst = _worst_shown([v for _, v in seen], goal)
    inside = [(n, v) for n, v in seen if not is_better(worst, v, goal)]
    beyond = [n for n, v in seen if is_better(worst, v, goal)]
    axes.scatter([n for n, _ in inside], [v for _, v in inside], s=34, color=GRAY, label="trial", zorder=2)
    if beyond:
        marker = "^" if goal == "minimize" else "v"
        label = f"worse than {worst:.3g}"
        axes.scatter(beyond, [worst] * len(beyond), s=34, marker=marker, color=GRAY, label=label, zorder=2)
    _scale(axes, [v for _, v in inside])


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
    worst = _worst_shown([points[-1][1] for points in drawn], goal)
    every = [v for points in drawn for _, v in points]
    shown = [v for points in marked for _, v in points] + [v for v in every if not is_better(worst, v, goal)]
    _scale(axes, shown)
    low, high = min(shown), max(shown)
    if low < high and axes.get_yscale() == "linear":
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _label(axes: "Axes", steps: str, metric: Metric) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(steps)
    axes.set_ylabel(f"{with_unit(metric)}, {'lower' if metric.goal == 'minimize' else 'higher'} is better")


def _best_so_far(values: Sequence[float], goal: str | None) -> list[float]:
    best = [values[0]]
    for value in values[1:]:
        best.append(value if is_better(value, best[-1], goal) else best[-1])
    return best


def _best_trial(study: StudyInfo, trials: Sequence[Trial]) -> Trial | None:
    best: Trial | None = None
    top = 0.0
    for trial in trials:
        value = trial.value(study.objective.name)
        if value is not None and (best is None or is_better(value, top, study.objective.goal)):
            best, top = trial, value
    return best


def _curve(trial: Trial, metric: str) -> Points:
    """Steps and finite values: a curve may end in NaN."""
    seen = ((m.step, m.metrics.get(metric, math.nan)) for m in trial.measurements)
    return [(step, value) for step, value in seen if math.isfinite(value)]


def _style(trial: Trial, best: Trial | None) -> dict[str, Any]:
    marked = {"marker": "o", "markersize": 4.5, "linewidth": 2.4}
    if trial is best:
        return {**marked, "color": BLUE, "zorder": 4, "label": f"best, {_named(trial)}"}
    if is_defaults(trial):
        return {**marked, "color": ORANGE, "zorder": 3, "label": _named(trial)}
    return {"color": GRAY, "alpha": 0.55, "linewidth": 1.2, "marker": ".", "zorder": 2, "label": "other trials"}


def _named(trial: Trial) -> str:
    return f"textbook defaults, trial {trial.number}" if is_defaults(trial) else f"trial {trial.number}"


def _mark_defaults(axes: "Axes", study: StudyInfo, trials: Sequence[Trial]) -> None:
    for trial in trials:
        value = trial.value(study.objective.name)
        if is_defaults(trial) and value is not None:
            label = f"textbook defaults, {value:.4g}"
            axes.axhline(value, color=ORANGE, linewidth=1.6, linestyle="--", label=label, zorder=1)
            return


def _mark_lost(axes: "Axes", trials: Sequence[Trial]) -> None:
    """Trials that ended without a result, at the foot of the picture."""
    lost = [t.number for t in trials if t.state.is_ended and t.final_measurement is None]
    if lost:
        foot = axes.get_xaxis_transform()
        axes.scatter(lost, [0.02] * len(lost), marker="x", color=RED, transform=foot, label="ended without a result")


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    if min(values) > 0 and max(values) / min(values) >= LOG_RATIO:
        axes.set_yscale("log")


def _once_in_legend(axes: "Axes") -> None:
    seen: set[str] = set()
    for line in axes.get_lines():
        label = str(line.get_label())
        if label in seen:
            line.set_label("_" + label)
        seen.add(label)
