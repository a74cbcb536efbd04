"""Whether a new trial begins or a paused one goes on: what promises the most improvement for each step of training.

    log EI(μ_f, s̃; best) - log Δ         s̃ = cov(f, y(t + Δ)) / √var y(t + Δ)

f is the final value, Δ the steps to the next rung, and s̃ what the value there will tell of f. One pick in eight goes by
rank, so that a surrogate that errs can't keep the best trial waiting.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from bo_service.domain.fidelity import FidelitySettings, best_third
from bo_service.domain.trial import Origin
from bo_service.optimizer.acquisition.analytic import log_ei
from bo_service.optimizer.acquisition.base import TotalAcquisition
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.inputs import Continuation, LearningCurve, Suggestion, TrainingInParts
from bo_service.optimizer.numerics.array import Array

BY_RANK = 8
"""One pick in so many goes by rank."""


@dataclass(frozen=True)
class Pick:
    """What to train next: a paused trial, or a new one where there is none here; and how far."""

    curve: LearningCurve | None
    until_step: int


def pick(
    models: FittedModels, acquisition: TotalAcquisition, row: Array | None, taken: Collection[int], already: int
) -> Pick | None:
    """Return what to train next; None where there is no paused trial to choose, or no forecast.

    Args:
        models: the surrogates, conditioned on what is pending.
        acquisition: over them.
        row: of the best new configuration (p,), if any is left.
        taken: numbers of paused trials that go on already.
        already: how many picks were made before in the same batch.
    """
    curves, training = models.curves, models.encoded.inputs.training
    if curves is None or training is None:
        return None
    fidelity = training.fidelity
    is_cut = curves.gain > 0.0
    waiting = [i for i, curve in enumerate(curves.curves) if curve.is_paused and curve.number not in taken]
    ends = [fidelity.next_stop(curves.curves[i].steps[-1]) if is_cut else fidelity.max_step for i in waiting]
    first = fidelity.rungs[0] if is_cut else fidelity.max_step
    if (_picks(training) + already) % BY_RANK == BY_RANK - 1:
        ranked = promoted(training, taken)
        if ranked is not None:
            return Pick(ranked, fidelity.next_stop(ranked.steps[-1]))
    posterior = curves.given(models.objectives[0])
    last = float(fidelity.max_step)
    found: list[tuple[float, Pick]] = []
    if waiting:
        steps = posterior.step(np.array(waiting), np.array(ends) / last)
        value = log_ei(posterior.process.means[waiting], steps, models.best).value
        for i, end, each in zip(waiting, ends, value.tolist(), strict=True):
            curve = curves.curves[i]
            found.append((each - np.log(end - curve.steps[-1]), Pick(curve, end)))
    if row is not None:
        X = models.encoded.encoding.features(row[None])
        value = log_ei(posterior.process.mean(X), posterior.first_step(X, first / last), models.best).value
        further = sum(float(term.value(X)[0]) for term in acquisition.terms)
        found.append((float(value[0]) + further - np.log(first), Pick(None, first)))
    return max(found, key=lambda each: each[0])[1] if found else None


def resumed(models: FittedModels, chosen: LearningCurve, until_step: int, row: Array) -> Suggestion:
    """Return the suggestion that a paused trial, at a row (p,), goes on."""
    (objective,) = models.objectives
    best = float(objective.output_transform.backward(np.array([models.best]))[0])
    goes_on = Continuation(chosen.number, chosen.steps[-1], best)
    expected = tuple(objective.expect(models.encoded.encoding.features(row[None])))
    summary = "A paused trial goes on."
    return Suggestion(
        chosen.configuration, Origin.SURROGATE, summary, expected, continues=goes_on, until_step=until_step
    )


def promoted(training: TrainingInParts, taken: Collection[int]) -> LearningCurve | None:
    """Return the paused trial that goes on by rank, the furthest along first; None where there is none."""
    paused = {c.number: c for c in training.curves if c.is_paused and c.number not in taken}
    for rung in reversed(training.fidelity.rungs):
        reached = {c.number: c.value_at(rung) for c in training.curves if c.is_ranked}
        values = {number: value for number, value in reached.items() if value is not None}
        best = [number for number in best_third(values) if number in paused]
        if best:
            return paused[best[0]]
        for number in values:
            paused.pop(number, None)
    return None


def _picks(training: TrainingInParts) -> int:
    """Return how many picks there have been, about: it rises by one with each."""
    return sum(_parts(training.fidelity, curve) for curve in training.curves)


def _parts(fidelity: FidelitySettings, curve: LearningCurve) -> int:
    return max(1, sum(rung <= curve.steps[-1] for rung in fidelity.rungs) + curve.is_running)
