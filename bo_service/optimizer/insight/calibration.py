"""Whether the surrogate is to be trusted: each observation predicted from all others, by its own posterior.

n observations y (n,), warped, with mean_-i and std_-i of each given the others (see `leave_one_out.py`). The
hyperparameters and the warp are those of all observations, so that the answer is a little on the bright side.

    coverage of q %: share of |y_i - mean_-i| <= z_q std_-i         explained = 1 - Σ (y_i - mean_-i)² / Σ (y_i - ȳ)²
"""

import numpy as np
from scipy.special import ndtri

from bo_service.optimizer.encoding.encoding import Mask
from bo_service.optimizer.gp.leave_one_out import leave_one_out
from bo_service.optimizer.insight.results import Calibration
from bo_service.optimizer.insight.surrogate_view import SurrogateView

WELL, ROUGHLY = 0.6, 0.2
"""Shares of the variance that are explained at least, to be called so."""


def calibrate(view: SurrogateView) -> Calibration:
    """Measure calibration over the observations that have values.

    Values assigned to infeasible trials and to those stopped early don't count.
    """
    y, mean, std = (part[_observed(view)] for part in leave_one_out(view.process))
    z = np.abs(y - mean) / std
    spread = float(((y - y.mean()) ** 2).sum())
    explained = 1.0 - float(((y - mean) ** 2).sum()) / spread if spread > 0.0 else 0.0
    half, most = (float((z <= ndtri(0.5 + q / 2.0)).mean()) for q in (0.5, 0.9))
    return Calibration(_sentence(len(y), most, explained), len(y), half, most, explained)


def _observed(view: SurrogateView) -> Mask:
    """Return a mask (n,) of the surrogate's rows that are of trials with values."""
    encoded = view.encoded
    with_value = encoded.is_measured & ~np.array([t.is_short for t in encoded.observations])
    known = {x.tobytes() for x in encoded.encoding.features(encoded.past_rows[with_value])}
    return np.array([x.tobytes() in known for x in view.process.X])


def _sentence(count: int, coverage: float, explained: float) -> str:
    """Return a sentence on the figures. A coverage is too low where chance would hardly make it so."""
    if explained >= WELL:
        begin = "The surrogate predicts held-out results well"
    elif explained >= ROUGHLY:
        begin = "The surrogate predicts held-out results roughly"
    else:
        begin = "The surrogate does not predict held-out results yet, so do not rely on the tables above"
    told = f"{begin} (it explains {max(explained, 0.0):.0%} of the variation of {count} results)"
    if coverage < 0.9 - 2.0 * np.sqrt(0.09 / count):
        return f"{told}. It is overconfident: only {coverage:.0%} of them lie within its 90% intervals."
    return f"{told}. {coverage:.0%} of them lie within its 90% intervals."
