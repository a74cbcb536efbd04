"""The last trials of a study that asks for it: repetitions of the configuration that is best on average.

The best of many noisy values is partly luck, and the more trials there are, the luckier it is. What is best on average
is repeated: if it was lucky, its average gets worse, and another takes its place. One by one, this is a race among the
leaders; at once, each goes to another of them.
"""

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from bo_service.domain.constraints import Configuration
from bo_service.domain.study import Study
from bo_service.domain.trial import Origin
from bo_service.optimizer.inputs import Observation, OptimizerInput, Suggestion


@dataclass
class _Tried:
    """The whole trials of one configuration."""

    configuration: Configuration
    first: int
    """Number of the first of them."""
    values: list[float] = field(default_factory=list)
    """What they measured, larger being better."""

    @property
    def mean(self) -> float:
        """The average of its values."""
        return math.fsum(value / len(self.values) for value in self.values)


def num_reserved(study: Study, inputs: OptimizerInput) -> int:
    """Return how many of the study's last trials are repetitions.

    They are none where there is nothing to repeat, and where repetitions have shown that there is no noise.
    """
    tried = _tried(inputs)
    repeated = [t.values for t in tried if len(t.values) > 1]
    is_deterministic = bool(repeated) and all(min(values) == max(values) for values in repeated)
    return 0 if is_deterministic or not tried else study.spec.suggestion.confirming_trials or 0


def confirmations(inputs: OptimizerInput, count: int) -> list[Suggestion]:
    """Return the next repetitions: of the best configurations on average, those first that nobody repeats right now."""
    pending = Counter(_key(configuration) for configuration in inputs.pending)
    tried = _tried(inputs)
    suggestions: list[Suggestion] = []
    while tried and len(suggestions) < count:
        best = min(tried, key=lambda t: (pending[_key(t.configuration)], -t.mean, t.first))
        pending[_key(best.configuration)] += 1
        runs = "one run" if len(best.values) == 1 else f"{len(best.values)} runs"
        why = f"Repeats trial {best.first}, among the best on average (of {runs}), to find out whether that was luck."
        suggestions.append(
            Suggestion(best.configuration, Origin.CONFIRMATION, why, nearest_trial=best.first, nearest_distance=0.0)
        )
    return suggestions


def _tried(inputs: OptimizerInput) -> list[_Tried]:
    """Return the configurations that may be repeated.

    Left out are those that violate constraints on outcomes, unless all do, and those of which a trial failed at every
    attempt or was cancelled.
    """
    whole = [t for t in inputs.observations if t.value is not None and math.isfinite(t.value) and not t.is_short]
    violating = {_key(t.configuration) for t in whole if not t.fulfills}
    excluded = {_key(configuration) for configuration in (*inputs.failed, *inputs.discarded)}
    excluded |= {_key(t.configuration) for t in inputs.observations if t.value is None}
    allowed = [t for t in whole if _key(t.configuration) not in excluded]
    fulfilling = [t for t in allowed if _key(t.configuration) not in violating]
    return _grouped(fulfilling or allowed)


def _grouped(observations: list[Observation]) -> list[_Tried]:
    groups: dict[Hashable, _Tried] = {}
    for trial in observations:
        assert trial.value is not None
        group = groups.setdefault(_key(trial.configuration), _Tried(trial.configuration, trial.number))
        group.values.append(trial.value)
    return list(groups.values())


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
