"""The L-BFGS-B of scipy within a box, for functions that come with their gradient."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import Bounds, minimize

from bo_service.optimizer.numerics.array import Array


def minimize_lbfgsb(
    loss: Callable[[Array], tuple[float, Array]], start: Array, low: Array, high: Array, steps: int
) -> tuple[float, Array]:
    """Return the lowest value found from `start` in at most so many steps, and where (k,).

    `loss` gives value and gradient.
    """
    found = minimize(
        loss,
        start,
        args=(),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(low, high),
        options={"maxiter": steps},
    )
    return float(found.fun), np.asarray(found.x, dtype=np.float64)
