"""The convergence figure: each trial's value by its number, and the best so far."""

from collections.abc import Sequence

from bo_client.figures.common import (
    OUT_OF_BOUNDS,
    STOPPED,
    axis_over,
    directed,
    drawable_value,
    facts_of,
    is_lost,
    is_within,
    metrics_of,
    nothing,
    stopped_words,
    titled,
    with_result,
    worst_shown,
)
from bo_client.figures.marks import Dots, FigureAxis, FigureSpec, Line, Mark, Panel, ReferenceLine, Symbol, TextMark
from bo_client.formatting import with_unit
from bo_client.models import Metric, Origin, StudyInfo, Trial
from bo_client.ranking import is_better, is_defaults

KINDS: dict[Origin | None, tuple[str, Symbol]] = {
    Origin.QUASI_RANDOM: ("initial design", "diamond"),
    Origin.DEFAULT: ("initial design", "diamond"),
    Origin.WARM_START: ("initial design", "diamond"),
    Origin.USER: ("given by a user", "square"),
    Origin.SURROGATE: ("by the surrogate", "circle"),
    Origin.CUSTOM_ALGORITHM: ("by the study's own algorithm", "circle"),
    Origin.RANDOM: ("by random search", "circle"),
    Origin.GRID: ("on the grid", "circle"),
    Origin.CONFIRMATION: ("repeated", "square"),
}
"""Name and symbol of trials, by origin."""


def convergence(study: StudyInfo, trials: Sequence[Trial], metric: str | None = None) -> FigureSpec:
    """Return a figure of each trial's value by its number, with the best value so far as a step line.

    The value of the textbook defaults is a level line. Each objective has a panel. Values out of bounds are never best.
    Symbols distinguish trials of the initial design or of a user from the surrogate's.

    Raises:
        InvalidRequest: the study has no such metric.
    """
    shown = [m for m in metrics_of(study, metric) if any(t.value(m.name) is not None for t in trials)]
    ended = with_result(trials)
    if not shown:
        return nothing(study, f"no trial of {study.id} has a result yet")
    panels = [_panel(study, trials, m, "trial" if m is shown[-1] else "") for m in shown]
    title = titled(study, f"{len(ended)} of {len(trials)} trials have a result{stopped_words(trials)}")
    best = "; ".join(w.text for p in panels for w in p.marks if isinstance(w, TextMark))
    what = ", ".join(with_unit(m) for m in shown)
    summary = f"{what} of each trial by its number{stopped_words(trials)}. Best: {best or 'none'}."
    return FigureSpec(title, panels, summary=summary)


def _panel(study: StudyInfo, trials: Sequence[Trial], metric: Metric, title: str) -> Panel:
    observed = [(t, value) for t in trials if (value := drawable_value(t, metric)) is not None]
    within = [(t, v) for t, v in observed if is_within(study, t) and not t.is_cut_short]
    beyond = [(t, v) for t, v in observed if not is_within(study, t) and not t.is_cut_short]
    stopped = [(t, v) for t, v in observed if t.is_cut_short]
    worst = worst_shown([v for _, v in [*within, *beyond] or observed], metric.goal)
    if within and is_better(worst, within[0][1], metric.goal):
        worst = within[0][1]  # the line of the best begins there
    is_alone = len(study.objectives) == 1
    near = [v for _, v in observed if not is_better(worst, v, metric.goal)]
    edge = [worst] if len(near) < len(observed) else []  # where outliers are drawn
    marks = [
        *_by_origin(study, [(t, v) for t, v in within if not is_better(worst, v, metric.goal)]),
        *_beyond(study, [(t, v) for t, v in beyond if not is_better(worst, v, metric.goal)]),
        *_stopped(study, [(t, v) for t, v in stopped if not is_better(worst, v, metric.goal)], len(stopped)),
        *_far(study, [(t, v) for t, v in observed if is_better(worst, v, metric.goal)], metric, worst, is_alone),
        *(_best(within, metric, last=max(t.number for t in trials)) if metric.goal else ()),
        *_defaults(trials, metric, is_alone),
        *_bound(metric),
        *_lost(study, trials),
    ]
    numbers = [t.number for t in trials]
    across = FigureAxis(title, window=(min(numbers) - 0.6, max(numbers) + 0.6), is_whole=True)
    levels = [mark.at for mark in marks if isinstance(mark, ReferenceLine)]
    room = 0.2 if any(map(is_lost, trials)) else 0.12  # those stand at the foot
    return Panel(across, axis_over(directed(metric), [*near, *edge, *levels], room), marks)


TrialValues = Sequence[tuple[Trial, float]]


def _by_origin(study: StudyInfo, observed: TrialValues) -> list[Mark]:
    """Return dots with a symbol for each origin; with one symbol if all origins are equal."""
    kinds = {kind: symbol for t, _ in observed for kind, symbol in [KINDS.get(t.origin, ("given by a user", "square"))]}
    if len(kinds) < 2:
        return [_dots(study, observed, "trial", "circle")] if observed else []
    groups = {
        kind: [(t, v) for t, v in observed if KINDS.get(t.origin, ("given by a user",))[0] == kind] for kind in kinds
    }
    return [_dots(study, groups[kind], kind, symbol) for kind, symbol in kinds.items()]


def _dots(study: StudyInfo, observed: TrialValues, label: str, symbol: Symbol) -> Dots:
    numbers, values = [t.number for t, _ in observed], [v for _, v in observed]
    return Dots(
        numbers, values, "muted", label, symbol, hover=facts_of(study, [t for t, _ in observed]), trials=numbers
    )


def _beyond(study: StudyInfo, observed: TrialValues) -> list[Mark]:
    hover = facts_of(study, [t for t, _ in observed])
    if not observed:
        return []
    numbers, values = [t.number for t, _ in observed], [v for _, v in observed]
    return [Dots(numbers, values, "bad", OUT_OF_BOUNDS, "ring", hover=hover, trials=numbers)]


def _stopped(study: StudyInfo, observed: TrialValues, count: int) -> list[Mark]:
    """Return the trials that a stopping rule ended early, at the value they had reached, with their count."""
    if not observed:
        return []
    label, hover = f"{STOPPED} ({count}), as far as they came", facts_of(study, [t for t, _ in observed])
    numbers, values = [t.number for t, _ in observed], [v for _, v in observed]
    return [Dots(numbers, values, "muted", label, "cross", hover=hover, alpha=0.6, trials=numbers)]


def _far(study: StudyInfo, observed: TrialValues, metric: Metric, worst: float, is_alone: bool) -> list[Mark]:
    """Return outliers as arrows at the edge."""
    if not observed:
        return []
    label = f"worse than {worst:.3g}" if is_alone else "far worse"
    symbol: Symbol = "down" if metric.goal == "maximize" else "up"
    hover = facts_of(study, [t for t, _ in observed])
    numbers = [t.number for t, _ in observed]
    return [Dots(numbers, [worst] * len(numbers), "muted", label, symbol, hover=hover, trials=numbers)]


def _best(observed: TrialValues, metric: Metric, last: int) -> list[Mark]:
    """Return the best so far as a step line to trial `last`, and a star with the value of the best."""
    if not observed:
        return []
    numbers, best = [t.number for t, _ in observed], best_so_far([v for _, v in observed], metric.goal)
    leaders = numbers[:1]
    for number, value, previous in zip(numbers[1:], best[1:], best, strict=False):
        leaders.append(number if value != previous else leaders[-1])
    winner = leaders[-1]
    side = -1 if winner > 0.8 * last else 1 if winner < 0.2 * last else 0
    return [
        Line([*numbers, last], [*best, best[-1]], "accent", "best so far", 2.2, step="post", trials=[*leaders, winner]),
        Dots([winner], [best[-1]], "accent", symbol="star", size=11, trials=[winner]),
        TextMark(
            winner,
            best[-1],
            f"{best[-1]:.4g}, trial {winner}",
            (side, -1 if metric.goal == "minimize" else 1),
            "accent",
            9.0,
        ),
    ]


def best_so_far(values: Sequence[float], goal: str | None) -> list[float]:
    """Return the best of the values up to each."""
    best = [values[0]]
    for value in values[1:]:
        best.append(value if is_better(value, best[-1], goal) else best[-1])
    return best


def _defaults(trials: Sequence[Trial], metric: Metric, is_alone: bool) -> list[Mark]:
    for trial in trials:
        value = drawable_value(trial, metric)
        if is_defaults(trial) and value is not None:
            return [
                ReferenceLine(value, "y", label=f"textbook defaults, {value:.4g}" if is_alone else "textbook defaults")
            ]
    return []


def _bound(metric: Metric) -> list[Mark]:
    if metric.role != "constraint" or metric.bound is None:
        return []
    return [
        ReferenceLine(
            metric.bound, "y", "bad", f"at {'most' if metric.goal == 'minimize' else 'least'} {metric.bound:g}"
        )
    ]


def _lost(study: StudyInfo, trials: Sequence[Trial]) -> list[Mark]:
    """Return the trials that ended without a result, at the bottom of the figure."""
    lost = [t for t in trials if is_lost(t)]
    if not lost:
        return []
    label, hover = "ended without a result", facts_of(study, lost)
    numbers = [t.number for t in lost]
    return [Dots(numbers, [0.0] * len(lost), "bad", label, "cross", hover=hover, at_foot=True, trials=numbers)]
