"""Why a point is suggested, in numbers and in one sentence."""

import numpy as np
from scipy.special import ndtr

from bo_service.core.axes import Array
from bo_service.core.evidence import Suggestion
from bo_service.core.fitted import Fitted
from bo_service.core.trial import Intent, Origin
from bo_service.core.workbench import Workbench


def explain_blind(bench: Workbench, row: Array, origin: Origin) -> Suggestion:
    """The suggestion of a row (p,) that was chosen without a surrogate."""
    summary = "The defaults of the search space, and the centers of parameters that have none."
    if origin is Origin.QUASI_RANDOM:
        summary = "A space-filling point: chosen to cover the space, without regard to earlier results."
    nearest, distance = _nearest(bench, row)
    return Suggestion(bench.encoding.decode(row), origin, summary, nearest_trial=nearest, nearest_distance=distance)


def explain(bench: Workbench, fitted: Fitted, row: Array) -> Suggestion:
    """The suggestion of a row (p,) that the surrogate chose.

    It exploits where the incumbent is within one standard deviation of what is expected here, or below; it explores
    where it takes more luck than that to do better, so that mostly the uncertainty makes it worth trying.
    """
    posterior = fitted.surrogate.posterior(bench.encoding.features(row[None]))
    z = float((posterior.mean[0] - fitted.criterion.best) / posterior.std[0])
    mean, std = fitted.warp.moments(posterior.mean, posterior.std)
    intent = Intent.EXPLOIT if z >= -1.0 else Intent.EXPLORE
    nearest, distance = _nearest(bench, row)
    return Suggestion(
        configuration=bench.encoding.decode(row),
        origin=Origin.SURROGATE,
        summary=_sentence(intent, float(ndtr(z)), nearest, distance),
        mean=float(mean[0]),
        std=float(std[0]),
        acquisition=fitted.criterion.kind.value,
        acquisition_value=float(fitted.criterion(posterior.mean, posterior.std).value[0]),
        intent=intent,
        nearest_trial=nearest,
        nearest_distance=distance,
    )


def _sentence(intent: Intent, chance: float, nearest: int | None, distance: float | None) -> str:
    begin = "Expected to be good" if intent is Intent.EXPLOIT else "Little is known here"
    beaten = f"a chance of {chance:.0%} to beat the best so far"
    return f"{begin}: {beaten}, at distance {distance:.2g} from trial {nearest}."


def _nearest(bench: Workbench, row: Array) -> tuple[int | None, float | None]:
    """Number of the nearest past trial, the earliest of equals, and its distance over the unit cube's diagonal."""
    if not bench.past:
        return None, None
    encoding = bench.encoding
    difference = encoding.features(bench.past_rows) - encoding.features(row[None])
    distances = np.sqrt((difference**2).sum(axis=1) / max(len(encoding.blocks), 1))
    i = int(np.argmin(distances))
    return bench.past[i].number, min(float(distances[i]), 1.0)
