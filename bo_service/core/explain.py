"""Why a point is suggested, in numbers and in one sentence."""

import numpy as np
from scipy.special import ndtr

from bo_service.core.acquisitions.appraisal import ParetoImprovement
from bo_service.core.acquisitions.fitted import Fitted
from bo_service.core.acquisitions.gain import Gain
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.evidence import Suggestion
from bo_service.core.numerics.array import Array
from bo_service.core.trial import Intent, Origin


def explain(bench: Workbench, fitted: Fitted, row: Array) -> Suggestion:
    """The suggestion of a row (p,) that the surrogate chose.

    It exploits where one standard deviation of luck, or less, makes it better than the best so far, or one of the
    Pareto set; it explores where it takes more than that, so that mostly the uncertainty makes it worth trying.
    """
    X = bench.encoding.features(row[None])
    intent, hope = _prospect(fitted.gain, X)
    nearest, distance = bench.nearest(row)
    near = f"at distance {distance:.2g} from trial {nearest}"
    begin = "Expected to be good" if intent is Intent.EXPLOIT else "Little is known here"
    return Suggestion(
        configuration=bench.encoding.decode(row),
        origin=Origin.SURROGATE,
        summary=f"{begin}: {hope}, {near}." + _caution(fitted, X) + _credit(fitted),
        expected=tuple(model.expect(X)[0] for model in (*fitted.objectives, *fitted.limits)),
        acquisition=fitted.acquisition,
        acquisition_value=float(fitted.appraisal.value(X)[0]),
        intent=intent,
        nearest_trial=nearest,
        nearest_distance=distance,
    )


def _prospect(gain: Gain, X: Array) -> tuple[Intent, str]:
    """Whether X (1, f) exploits or explores, and what there is to hope for."""
    if not isinstance(gain, ParetoImprovement):
        posterior = gain.surrogate.posterior(X)
        z = float((posterior.mean[0] - gain.criterion.best) / posterior.std[0])
        intent = Intent.EXPLOIT if z >= -1.0 else Intent.EXPLORE
        return intent, f"a chance of {float(ndtr(z)):.0%} to beat the best so far"
    posteriors = [s.posterior(X) for s in gain.surrogates]
    lucky = np.array([p.mean[0] + p.std[0] for p in posteriors])
    is_free = bool((lucky > gain.low).all(axis=1).any())
    return Intent.EXPLOIT if is_free else Intent.EXPLORE, "to add to the Pareto set"


def _caution(fitted: Fitted, X: Array) -> str:
    told = ""
    if fitted.limits:
        chance = float(np.exp(fitted.chances.value(X)[0]))
        told += f" It fulfills the constraints on metrics with a probability of {chance:.0%}."
    if fitted.feasibility is not None and fitted.feasibility.value(X)[0] < np.log(0.5):
        told += " It may fail, as configurations like it did."
    return told


def _credit(fitted: Fitted) -> str:
    """How much earlier studies count, where there are any."""
    trust = {name: weight for model in fitted.objectives for name, weight in model.trust.items()}
    if not trust:
        return ""
    told = ", ".join(f"{name} {weight:.0%}" for name, weight in trust.items())
    return f" Earlier studies count by how well they rank this one's results: {told}."
