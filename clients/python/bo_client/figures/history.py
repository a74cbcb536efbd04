"""How the best value came about: each trial's value by its number, and the best so far."""

from collections.abc import Sequence

from bo_client.figures.marks import Axis, Dots, Level, Line, Mark, Panel, Picture, Symbol, Words
from bo_client.figures.showing import (
    BEYOND,
    STOPPED,
    axis_over,
    directed,
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
from bo_client.ranking import is_better, is_defaults
from bo_client.values import Metric, Origin, StudyInfo, Trial
from bo_client.wording import with_unit

KINDS: dict[Origin | None, tuple[str, Symbol]] = {
    Origin.QUASI_RANDOM: ("first design", "diamond"),
    Origin.DEFAULT: ("first design", "diamond"),
    Origin.WARM_START: ("first design", "diamond"),
    Origin.USER: ("given by a user", "square"),
    Origin.SURROGATE: ("by the surrogate", "circle"),
}
"""What trials are called by their origin, and how they are drawn."""


def convergence(study: StudyInfo, trials: Sequence[Trial], metric: str | None = None) -> Picture:
    """Each trial's value by its number, the best so far as a step line, the textbook defaults as a level line.

    Each of several objectives has a panel of its own. What is beyond a bound is never best. Trials that the first
    design or a user gave are told from those that the surrogate chose.

    Raises:
        InvalidRequest: the study has no such metric.
    """
    shown = [m for m in metrics_of(study, metric) if any(t.value(m.name) is not None for t in trials)]
    ended = with_result(trials)
    if not shown:
        return nothing(study, f"no trial of {study.id} has a result yet")
    panels = [_panel(study, trials, m, "trial" if m is shown[-1] else "") for m in shown]
    title = titled(study, f"{len(ended)} of {len(trials)} trials have a result{stopped_words(trials)}")
    best = "; ".join(w.text for p in panels for w in p.marks if isinstance(w, Words))
    what = ", ".join(with_unit(m) for m in shown)
    summary = f"{what} of each trial by its number{stopped_words(trials)}. Best: {best or 'none'}."
    return Picture(title, panels, summary=summary)


def _panel(study: StudyInfo, trials: Sequence[Trial], metric: Metric, title: str) -> Panel:
    seen = [(t, value) for t in trials if (value := t.value(metric.name)) is not None]
    within = [(t, v) for t, v in seen if is_within(study, t) and not t.is_cut_short]
    beyond = [(t, v) for t, v in seen if not is_within(study, t) and not t.is_cut_short]
    stopped = [(t, v) for t, v in seen if t.is_cut_short]
    worst = worst_shown([v for _, v in [*within, *beyond] or seen], metric.goal)
    if within and is_better(worst, within[0][1], metric.goal):
        worst = within[0][1]  # the line of the best begins there
    is_alone = len(study.objectives) == 1
    near = [v for _, v in seen if not is_better(worst, v, metric.goal)]
    marks = [
        *_by_origin(study, [(t, v) for t, v in within if not is_better(worst, v, metric.goal)]),
        *_beyond(study, [(t, v) for t, v in beyond if not is_better(worst, v, metric.goal)]),
        *_stopped(study, [(t, v) for t, v in stopped if not is_better(worst, v, metric.goal)], len(stopped)),
        *_far(study, [(t, v) for t, v in seen if is_better(worst, v, metric.goal)], metric, worst, is_alone),
        *(_best(within, metric, last=max(t.number for t in trials)) if metric.goal else ()),
        *_defaults(trials, metric, is_alone),
        *_bound(metric),
        *_lost(study, trials),
    ]
    numbers = [t.number for t in trials]
    across = Axis(title, window=(min(numbers) - 0.6, max(numbers) + 0.6), is_whole=True)
    levels = [mark.at for mark in marks if isinstance(mark, Level)]
    room = 0.2 if any(map(is_lost, trials)) else 0.12  # those stand at the foot
    return Panel(across, axis_over(directed(metric), [*near, *levels], room), marks)


Seen = Sequence[tuple[Trial, float]]


def _by_origin(study: StudyInfo, seen: Seen) -> list[Mark]:
    """A kind of dot for each origin; all alike where there is one."""
    kinds = {kind: symbol for t, _ in seen for kind, symbol in [KINDS.get(t.origin, ("given by a user", "square"))]}
    if len(kinds) < 2:
        return [_dots(study, seen, "trial", "circle")] if seen else []
    groups = {kind: [(t, v) for t, v in seen if KINDS.get(t.origin, ("given by a user",))[0] == kind] for kind in kinds}
    return [_dots(study, groups[kind], kind, symbol) for kind, symbol in kinds.items()]


def _dots(study: StudyInfo, seen: Seen, label: str, symbol: Symbol) -> Dots:
    numbers, values = [t.number for t, _ in seen], [v for _, v in seen]
    return Dots(numbers, values, "muted", label, symbol, hover=facts_of(study, [t for t, _ in seen]))


def _beyond(study: StudyInfo, seen: Seen) -> list[Mark]:
    hover = facts_of(study, [t for t, _ in seen])
    return [Dots([t.number for t, _ in seen], [v for _, v in seen], "bad", BEYOND, "ring", hover=hover)] if seen else []


def _stopped(study: StudyInfo, seen: Seen, count: int) -> list[Mark]:
    """Trials that a rule cut short, apart from the others: what they had reached until then. They are counted."""
    if not seen:
        return []
    label, hover = f"{STOPPED} ({count}), as far as they came", facts_of(study, [t for t, _ in seen])
    numbers, values = [t.number for t, _ in seen], [v for _, v in seen]
    return [Dots(numbers, values, "muted", label, "cross", hover=hover, alpha=0.6)]


def _far(study: StudyInfo, seen: Seen, metric: Metric, worst: float, is_alone: bool) -> list[Mark]:
    """Trials far worse than the others are arrows at the edge."""
    if not seen:
        return []
    label = f"worse than {worst:.3g}" if is_alone else "far worse"
    symbol: Symbol = "down" if metric.goal == "maximize" else "up"
    hover = facts_of(study, [t for t, _ in seen])
    return [Dots([t.number for t, _ in seen], [worst] * len(seen), "muted", label, symbol, hover=hover)]


def _best(seen: Seen, metric: Metric, last: int) -> list[Mark]:
    """The best so far as a step line to trial `last`, and a star with its value where the best was found."""
    if not seen:
        return []
    numbers, best = [t.number for t, _ in seen], best_so_far([v for _, v in seen], metric.goal)
    winner = numbers[best.index(best[-1])]
    side = -1 if winner > 0.8 * last else 1 if winner < 0.2 * last else 0
    return [
        Line([*numbers, last], [*best, best[-1]], "accent", "best so far", 2.2, step="post"),
        Dots([winner], [best[-1]], "accent", symbol="star", size=11),
        Words(
            winner,
            best[-1],
            f"{best[-1]:.4g}, trial {winner}",
            (side, -1 if metric.goal == "minimize" else 1),
            "accent",
            9.0,
        ),
    ]


def best_so_far(values: Sequence[float], goal: str | None) -> list[float]:
    """The best of the values up to each."""
    best = [values[0]]
    for value in values[1:]:
        best.append(value if is_better(value, best[-1], goal) else best[-1])
    return best


def _defaults(trials: Sequence[Trial], metric: Metric, is_alone: bool) -> list[Mark]:
    for trial in trials:
        value = trial.value(metric.name)
        if is_defaults(trial) and value is not None:
            return [Level(value, "y", label=f"textbook defaults, {value:.4g}" if is_alone else "textbook defaults")]
    return []


def _bound(metric: Metric) -> list[Mark]:
    if metric.role != "constraint" or metric.bound is None:
        return []
    return [Level(metric.bound, "y", "bad", f"at {'most' if metric.goal == 'minimize' else 'least'} {metric.bound:g}")]


def _lost(study: StudyInfo, trials: Sequence[Trial]) -> list[Mark]:
    """Trials that ended without a result, at the foot of the picture."""
    lost = [t for t in trials if is_lost(t)]
    if not lost:
        return []
    label, hover = "ended without a result", facts_of(study, lost)
    return [Dots([t.number for t in lost], [0.0] * len(lost), "bad", label, "cross", hover=hover, at_foot=True)]
