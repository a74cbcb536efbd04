"""Which results are best: of one objective the best, of several those that no other beats in all of them."""

from collections.abc import Mapping, Sequence

from bo_client.values import Metric, StudyInfo, Trial

DEFAULTS_LABEL = ("role", "textbook-defaults")
"""The label of the trial that others are compared with."""


def is_better(value: float, than: float, goal: str | None) -> bool:
    """Whether `value` beats `than`."""
    return value > than if goal == "maximize" else value < than


def is_defaults(trial: Trial) -> bool:
    """Whether this is the trial that others are compared with."""
    return trial.labels.get(DEFAULTS_LABEL[0]) == DEFAULTS_LABEL[1]


def front(rows: Sequence[Sequence[float]]) -> list[int]:
    """Places, in their order, of the rows that no other dominates, larger being better; of equal rows the first."""
    kept: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: [-value for value in rows[i]]):
        # In descending order nothing that comes later can dominate: what is beaten is beaten by one that was kept.
        if not any(all(a >= b for a, b in zip(rows[k], rows[i], strict=True)) for k in kept):
            kept.append(i)
    return sorted(kept)


def leaders(study: StudyInfo, results: Sequence[Mapping[str, float]]) -> list[int]:
    """Places of the best among results that keep to every bound, the best in the first objective first.

    With one objective that is one, the first of equals; with several the Pareto set.
    """
    kept = [i for i, metrics in enumerate(results) if study.admits(metrics)]
    rows = [[m.sign * results[i][m.name] for m in study.objectives] for i in kept]
    found = sorted(front(rows), key=lambda place: -rows[place][0])
    return [kept[place] for place in found]


def front_of(trials: Sequence[Trial], metrics: Sequence[Metric]) -> list[Trial]:
    """Of trials with results those that no other beats in all of these metrics, whatever the others and the bounds."""
    rows = [[m.sign * t.final_measurement.metrics[m.name] for m in metrics] for t in trials if t.final_measurement]
    return [trials[i] for i in front(rows)]


def best_of(study: StudyInfo, trials: Sequence[Trial]) -> list[Trial]:
    """The leaders among trials in the order of their numbers; of those cut short only where all were, as the server has
    it."""
    given = [t for t in trials if t.final_measurement]
    whole = [t for t in given if not t.is_cut_short]
    kept = [t for t in whole if t.final_measurement and study.admits(t.final_measurement.metrics)]
    ended = whole if kept else given
    return [ended[i] for i in leaders(study, [t.final_measurement.metrics for t in ended if t.final_measurement])]
