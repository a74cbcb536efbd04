"""Ranking of results: the best of one objective, or the Pareto set of several."""

from collections.abc import Mapping, Sequence

from bo_client.models import Metric, StudyInfo, Trial

DEFAULTS_LABEL = ("role", "textbook-defaults")
"""The label of the trial of the textbook defaults."""


def is_better(value: float, than: float, goal: str | None) -> bool:
    """Return whether `value` is better than `than`."""
    return value > than if goal == "maximize" else value < than


def is_defaults(trial: Trial) -> bool:
    """Return whether the trial is that of the textbook defaults."""
    return trial.labels.get(DEFAULTS_LABEL[0]) == DEFAULTS_LABEL[1]


def front(rows: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of non-dominated rows, where larger is better; of equal rows the first."""
    non_dominated: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: [-value for value in rows[i]]):
        # In descending order nothing that comes later can dominate: what is beaten is beaten by one that was kept.
        if not any(all(a >= b for a, b in zip(rows[k], rows[i], strict=True)) for k in non_dominated):
            non_dominated.append(i)
    return sorted(non_dominated)


def leaders(study: StudyInfo, results: Sequence[Mapping[str, float]]) -> list[int]:
    """Return the indices of the best results within all bounds, ordered by the first objective.

    With one objective it is one, the first of equals; with several the Pareto set.
    """
    feasible = [i for i, metrics in enumerate(results) if study.admits(metrics)]
    rows = [[m.sign * results[i][m.name] for m in study.objectives] for i in feasible]
    ranked = sorted(front(rows), key=lambda place: -rows[place][0])
    return [feasible[place] for place in ranked]


def front_of(trials: Sequence[Trial], metrics: Sequence[Metric]) -> list[Trial]:
    """Return the trials that no other dominates in these metrics, regardless of other metrics and bounds."""
    rows = [[m.sign * t.final_measurement.metrics[m.name] for m in metrics] for t in trials if t.final_measurement]
    return [trials[i] for i in front(rows)]


def best_of(study: StudyInfo, trials: Sequence[Trial]) -> list[Trial]:
    """Return the best trials by number, as the server does.

    Trials that a rule ended early count only if there are no others.
    """
    with_result = [t for t in trials if t.final_measurement]
    whole = [t for t in with_result if not t.is_cut_short]
    feasible = [t for t in whole if t.final_measurement and study.admits(t.final_measurement.metrics)]
    ended = whole if feasible else with_result
    return [ended[i] for i in leaders(study, [t.final_measurement.metrics for t in ended if t.final_measurement])]
