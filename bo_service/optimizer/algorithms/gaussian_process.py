"""The algorithm that maximizes an acquisition function over Gaussian processes."""

from dataclasses import replace

import numpy as np

from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.acquisition.maximize import STARTS, Search, maximize_acquisition
from bo_service.optimizer.acquisition.registry import build_acquisition
from bo_service.optimizer.algorithms.continuation import continuation, next_to_continue
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.explain import explain
from bo_service.optimizer.initial_design import without_surrogate
from bo_service.optimizer.inputs import Suggestion
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.repeated_trials import Repeats, find_repeats

FURTHER_STARTS = 2
"""Candidates that are refined for the second of a batch and those after it: they are for workers that can't wait."""


class GaussianProcesses:
    """The initial design, and then what the surrogate chooses, as soon as two different values are observed."""

    def suggest(self, encoded: EncodedData, count: int) -> list[Suggestion]:
        """Return the rest of the initial design and maxima of the acquisition function; see `SuggestionAlgorithm`."""
        inputs = encoded.inputs
        initial = min(count, max(0, inputs.initial_trials - inputs.num_started)) if inputs.can_be_fitted else count
        suggestions = without_surrogate(encoded, initial)
        if len(suggestions) < initial or len(suggestions) == count:
            return suggestions
        return suggestions + _with_surrogate(encoded, count - len(suggestions))


def _with_surrogate(encoded: EncodedData, count: int) -> list[Suggestion]:
    models = FittedModels.of(encoded)
    anchors, best = encoded.region.feasible_seeds(encoded.evaluated.Z, encoded.rng(2)), encoded.best_rows()
    suggestions: list[Suggestion] = []
    taken: set[int] = set()
    for i in range(count):
        paused = next_to_continue(models, taken)
        if paused is not None:
            taken.add(paused.number)
            (row,) = encoded.encoding.encode([paused.configuration])
            suggestions.append(continuation(models, paused, row))
        else:
            acquisition, starts = build_acquisition(models), STARTS if i == 0 else FURTHER_STARTS
            search = Search(encoded.encoding, encoded.region, acquisition, anchors, encoded.rng(3, i), starts)
            found, reason = maximize_acquisition(search, best, encoded.evaluated, encoded.region.listed), ""
            if found is None:
                repeats = find_repeats(encoded)
                if not len(repeats.rows):
                    break
                found, reason = _row_to_repeat(encoded, models, repeats), repeats.reason
            row, suggestion = found, explain(encoded, models, acquisition, found)
            suggestions.append(replace(suggestion, summary=reason + suggestion.summary))
        encoded.evaluated.add(row)
        if len(suggestions) < count:
            models = models.condition_on_mean(row)
    if len(suggestions) < count and encoded.region.listed is None:
        suggestions += without_surrogate(encoded, count - len(suggestions))
    return suggestions


def _row_to_repeat(encoded: EncodedData, models: FittedModels, repeats: Repeats) -> Array:
    """Return the row (p,) that is most useful to repeat.

    By the upper confidence bound of its noise-free value, whose standard deviation falls with each repeat; of several
    objectives by the acquisition function.
    """
    if not repeats.is_noisy:
        return np.asarray(repeats.rows[0])
    X = encoded.encoding.features(repeats.rows)
    if len(models.objectives) > 1:
        value = build_acquisition(models).value(X)
    else:
        posterior = models.objectives[0].surrogate.posterior(X)
        value = posterior.mean + posterior.std + (models.log_chance(X) if models.limits else 0.0)
    return np.asarray(repeats.rows[int(np.argmax(value))])
