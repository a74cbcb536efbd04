"""Which paused trial goes on by forecast: one of the best third of its rung, by what its final value is expected to be.

The values that are recorded at a rung rank until there is a surrogate of curves. Its forecasts change with every curve,
so that in time more than a third of a rung may go on: a trial whose forecast falls makes room for another one.

With `per_cost` the best third of a rung is that of the most gain for each second. Gain is the improvement expected over
the best forecast outside of the best third of forecasts: over the best of all it would be nothing for trials that have
ended. All trials of a rung count with the same uncertainty, so that at equal cost the order is that of their forecasts.
From a rung all have as many steps left, so that the seconds of a whole trial are what divides.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from bo_service.domain.fidelity import REDUCTION_FACTOR, best_third
from bo_service.domain.trial import Origin
from bo_service.optimizer.acquisition.analytic import log_ei
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.inputs import Continuation, LearningCurve, Suggestion, TrainingInParts
from bo_service.optimizer.numerics.array import Array

Forecasts = Mapping[int, float]
"""What ranks the trials of a rung, by number; larger is better."""


def next_to_continue(models: FittedModels, taken: Collection[int]) -> LearningCurve | None:
    """Return the curve of the paused trial that goes on next; None where a new trial should begin.

    Args:
        models: the surrogates.
        taken: numbers of paused trials that go on already.
    """
    training = models.encoded.inputs.training
    if training is None:
        return None
    if not models.curves:
        return promoted(training, taken)
    return promoted(training, taken, models.forecasts, gain_per_second(models))


def gain_per_second(models: FittedModels) -> Callable[[Forecasts], Forecasts] | None:
    """Return what turns the forecasts of a rung into log gains for each second; None where cost does not count."""
    if models.cost_penalty is None:
        return None
    encoding, row = models.encoded.encoding, {curve.number: i for i, curve in enumerate(models.curves)}
    X = encoding.features(encoding.encode([curve.configuration for curve in models.curves]))
    variance, less_log_cost = models.objectives[0].surrogate.posterior(X).std ** 2, models.cost_penalty.value(X)

    def gains(forecasts: Forecasts) -> Forecasts:
        numbers = sorted(forecasts)
        rows, means = [row[number] for number in numbers], np.array([forecasts[number] for number in numbers])
        without_place = float(np.sort(means)[::-1][len(means) // REDUCTION_FACTOR])
        std = np.full(len(means), np.sqrt(variance[rows].mean()))
        return dict(zip(numbers, log_ei(means, std, without_place).value + less_log_cost[rows], strict=True))

    return gains


def promoted(
    training: TrainingInParts,
    taken: Collection[int],
    forecasts: Forecasts | None = None,
    weigh: Callable[[Forecasts], Forecasts] | None = None,
) -> LearningCurve | None:
    """Return the paused trial that goes on, of the furthest rung and the best there; None where there is none.

    Args:
        training: the learning curves.
        taken: numbers of paused trials that go on already.
        forecasts: final values by number, larger being better; None to rank by the values that are recorded at a rung.
        weigh: what turns the forecasts of those that have reached a rung into what ranks them; None to rank by them.
    """
    paused = {c.number: c for c in training.curves if c.is_paused and c.number not in taken}
    for rung in reversed(training.fidelity.rungs):
        recorded = {c.number: c.value_at(rung) for c in training.curves if c.is_ranked}
        reached = {number: value for number, value in recorded.items() if value is not None}
        ranked: Forecasts = reached if forecasts is None else {n: forecasts[n] for n in reached if n in forecasts}
        if weigh is not None and ranked:
            ranked = weigh(ranked)
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
    X = models.encoded.encoding.features(row[None])
    cost = None if models.cost_penalty is None else float(models.cost_penalty.seconds(X)[0])
    goes_on = Continuation(chosen.number, chosen.steps[-1], best, cost)
    expected = tuple(objective.expect(X))
    return Suggestion(chosen.configuration, Origin.SURROGATE, "A paused trial goes on.", expected, continues=goes_on)
