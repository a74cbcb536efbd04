"""From observations to suggestions: what to try next, and why.

Every function is pure: the same input, in any order, gives the same answer in any process. Larger objective values are
better.
"""

from collections.abc import Sequence

from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import NotEnoughData
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.acquisition.registry import build_acquisition
from bo_service.optimizer.algorithms.registry import ALGORITHMS
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.initial_design import encode_for_suggestions
from bo_service.optimizer.inputs import OptimizerInput, PointPrediction, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.numerics.computation_cache import CholeskyCache


def suggest(inputs: OptimizerInput, count: int) -> list[Suggestion]:
    """Return the next configurations to try, best first, all different from each other and from everything tried.

    Where a small finite space has been tried in full, the Gaussian processes repeat the best configuration, and where
    its results differ any of them. There are fewer than `count` only where nothing is left: a finite space is
    exhausted, or no configuration fulfills the constraints.
    """
    return suggest_with(inputs, count, CholeskyCache()).suggestions


def suggest_with(inputs: OptimizerInput, count: int, factors: CholeskyCache) -> SuggestionBatch:
    """Return the same as `suggest`, with all hyperparameters used; `factors` holds what was computed before."""
    encoded = encode_for_suggestions(inputs, factors)
    suggestions = ALGORITHMS[inputs.settings.algorithm].suggest(encoded, count)
    factors.evict_unused(inputs.study, frozenset(encoded.cache.used_factors))
    return SuggestionBatch(suggestions, encoded.cache.used)


def predict(
    inputs: OptimizerInput, configurations: Sequence[Configuration], factors: CholeskyCache | None = None
) -> Predictions:
    """Return what the surrogate expects of valid configurations; `factors` holds what was computed before.

    Raises:
        NotEnoughData: below two observations with values.
    """
    encoded = EncodedData(inputs, factors)
    if len(encoded.values) < 2:
        raise NotEnoughData(
            f"the study has {len(encoded.values)} finished trials with a value; predictions need at least 2: "
            "complete more trials first"
        )
    models = FittedModels.of(encoded)
    acquisition = build_acquisition(models)
    X = encoded.encoding.features(encoded.encoding.encode(configurations))
    expected = zip(*(model.expect(X) for model in (*models.objectives, *models.limits)), strict=True)
    values = acquisition.value(X)
    points = tuple(PointPrediction(metrics, float(value)) for metrics, value in zip(expected, values, strict=True))
    observed = sum(t.value is not None and not t.is_short for t in inputs.observations)
    return Predictions(points, acquisition.named.name, observed)
