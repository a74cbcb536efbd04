"""Which paused trial goes on by forecast: one of the best third of its rung, by what its final value is expected to be.

The values that are recorded at a rung rank until there is a surrogate of curves. Its forecasts change with every curve,
so that in time more than a third of a rung may go on: a trial whose forecast falls makes room for another one.
"""

from collections.abc import Collection, Mapping

import numpy as np

from bo_service.domain.fidelity import best_third
from bo_service.domain.trial import Origin
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.inputs import Continuation, LearningCurve, Suggestion, TrainingInParts
from bo_service.optimizer.numerics.array import Array


def next_to_continue(models: FittedModels, taken: Collection[int]) -> LearningCurve | None:
    """Return the curve of the paused trial that goes on next; None where a new trial should begin.

    Args:
        models: the surrogates.
        taken: numbers of paused trials that go on already.
    """
    training = models.encoded.inputs.training
    if training is None:
        return None
    return promoted(training, taken, models.forecasts if models.curves else None)


def promoted(
    training: TrainingInParts, taken: Collection[int], forecasts: Mapping[int, float] | None = None
) -> LearningCurve | None:
    """Return the paused trial that goes on, of the furthest rung and the best there; None where there is none.

    Args:
        training: the learning curves.
        taken: numbers of paused trials that go on already.
        forecasts: final values by number, larger being better; None to rank by the values that are recorded at a rung.
    """
    paused = {c.number: c for c in training.curves if c.is_paused and c.number not in taken}
    for rung in reversed(training.fidelity.rungs):
        recorded = {c.number: c.value_at(rung) for c in training.curves if c.is_ranked}
        reached = {number: value for number, value in recorded.items() if value is not None}
        ranked = reached if forecasts is None else {n: forecasts[n] for n in reached if n in forecasts}
        best = [number for number in best_third(ranked) if number in paused]
        if best:
            return paused[best[0]]
        for number in reached:
            paused.pop(number, None)
    return None


def continuation(models: FittedModels, chosen: LearningCurve, row: Array) -> Suggestion:
    """Return the suggestion that a paused trial, at a row (p,), goes on."""
    (objective,) = models.objectives
    best = float(objective.output_transform.backward(np.array([models.best]))[0])
    goes_on = Continuation(chosen.number, chosen.steps[-1], best)
    expected = tuple(objective.expect(models.encoded.encoding.features(row[None])))
    return Suggestion(chosen.configuration, Origin.SURROGATE, "A paused trial goes on.", expected, continues=goes_on)
