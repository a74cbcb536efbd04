"""Why a point is suggested, in numbers and in one sentence."""

import numpy as np

from bo_service.domain.trial import Intent, Origin
from bo_service.optimizer.acquisition.base import TotalAcquisition
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.inputs import Suggestion
from bo_service.optimizer.numerics.array import Array


def explain(encoded: EncodedData, models: FittedModels, acquisition: TotalAcquisition, row: Array) -> Suggestion:
    """Return the suggestion of a row (p,) that the acquisition function chose.

    It exploits where one standard deviation of luck, or less, makes it better than the best so far, or one of the
    Pareto set; it explores where it takes more than that, so that mostly the uncertainty makes it worth trying.
    """
    X = encoded.encoding.features(row[None])
    intent, hope = acquisition.named.prospect(X)
    nearest, distance = encoded.nearest(row)
    near = f"at distance {distance:.2g} from trial {nearest}"
    begin = "Expected to be good" if intent is Intent.EXPLOIT else "Little is known here"
    return Suggestion(
        configuration=encoded.encoding.decode(row),
        origin=Origin.SURROGATE,
        summary=f"{begin}: {hope}, {near}." + _caution(models, X) + _credit(models),
        expected=tuple(model.expect(X)[0] for model in (*models.objectives, *models.limits)),
        acquisition=acquisition.named.name,
        acquisition_value=float(acquisition.value(X)[0]),
        intent=intent,
        nearest_trial=nearest,
        nearest_distance=distance,
    )


def _caution(models: FittedModels, X: Array) -> str:
    told = ""
    if models.limits:
        chance = float(np.exp(models.log_chance(X)[0]))
        told += f" It fulfills the constraints on metrics with a probability of {chance:.0%}."
    if models.feasibility is not None and models.feasibility.value(X)[0] < np.log(0.5):
        told += " It may fail, as configurations like it did."
    if models.cost_penalty is not None:
        told += f" A whole trial of it is expected to take {models.cost_penalty.seconds(X)[0]:.3g} s."
    return told


def _credit(models: FittedModels) -> str:
    """Return how much earlier studies count, where there are any."""
    trust = {name: weight for model in models.objectives for name, weight in model.trust.items()}
    if not trust:
        return ""
    told = ", ".join(f"{name} {weight:.0%}" for name, weight in trust.items())
    return f" Earlier studies count by how well they rank this one's results: {told}."
