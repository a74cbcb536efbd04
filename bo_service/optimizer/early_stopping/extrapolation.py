"""Where a learning curve will end, and how sure that is.

Two views are averaged, since each is wrong where the other may be right:

* the curve itself, as y(t) = f - b·(g(t) - g(T)) + noise: f is the value at the last step T, and g falls from 1 to 0 as
  an exponential exp(-t/τ), a power (1 + t/τ)^-α or a logarithm 1/(1 + log(1 + t/τ)). These are families of Domhan et
  al., "Speeding up automatic hyperparameter optimization of deep neural networks by extrapolation of learning curves"
  (IJCAI 2015), on a grid of shapes: f and b are integrated in closed form, and the shapes are averaged by evidence;
* the other trials, as f = y(t) + gain + slope·(y_other(t) - y(t)) + noise over those that have ended: what schedules of
  the learning rate do near the end shows only there.

n points (t, y) of the curve, m pairs (y_other(t), f_other) of other trials, k shapes. Larger is better.
"""

from collections.abc import Sequence

import numpy as np

from bo_service.optimizer.early_stopping.curves import Curve
from bo_service.optimizer.early_stopping.forecast import Forecast
from bo_service.optimizer.early_stopping.regression import regress
from bo_service.optimizer.numerics.array import Array

TIMES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""τ over the last step."""
POWERS = (0.5, 1.0, 2.0)
MOST_POINTS = 64
FEWEST_PAIRS = 3
NOISE = 0.1
"""Noise expected beforehand, over the spread of the values."""
LEAST_UNIT, LEAST_SPREAD = 1e-290, 1e-12
"""Below these, values differ by no more than rounding; their products must not vanish."""
WIDTH, FALL = 20.0, 40.0
"""Standard deviations of f and b over the noise."""


def extrapolate(curve: Curve, last_step: int, others: Sequence[tuple[float, float]]) -> Forecast:
    """Predict the value of a curve (at least one point) at `last_step`.

    Args:
        curve: as far as it is known.
        last_step: T, beyond the curve.
        others: of whole trials, the value at the curve's last step, and the final value.
    """
    t, y = np.array(curve.steps, dtype=float), np.array(curve.values)
    pairs = np.array(others, dtype=float).reshape(-1, 2)
    unit, spread = _units(np.concatenate([y, pairs.ravel()]))
    last = y[-1] / unit
    y, pairs = (y / unit - last) / spread, (pairs / unit - last) / spread
    found = _by_shape(t / last_step, y)
    if len(pairs) >= FEWEST_PAIRS:
        found = found.mixed_with(_by_others(pairs), 0.5)
    return found.scaled(spread, last).scaled(unit, 0.0)


def _units(values: Array) -> tuple[float, float]:
    """Return the largest size among the values, and their standard deviation over it; 1 where that is nothing."""
    unit = max(float(np.abs(values).max()), LEAST_UNIT)
    spread = float((values / unit).std())
    return unit, spread if spread > LEAST_SPREAD else 1.0


def _by_shape(u: Array, y: Array) -> Forecast:
    """Predict from the curve y (n,) at u (n,) = t/T, whose last value is 0 and which varies by about 1."""
    kept = np.unique(np.linspace(0, len(u) - 1, MOST_POINTS).round().astype(int))
    g = shapes(np.append(u[kept], 1.0))
    X = np.stack([np.ones_like(g[:, :-1]), g[:, -1:] - g[:, :-1]], axis=-1)
    return regress(X, y[kept], np.zeros(2), np.array([WIDTH, FALL]), NOISE)


def _by_others(pairs: Array) -> Forecast:
    """Predict from pairs (m, 2) of other curves, for a curve whose last value is 0."""
    X = np.stack([np.ones(len(pairs)), pairs[:, 0]], axis=-1)[None]
    return regress(X, pairs[:, 1], np.array([0.0, 1.0]), np.array([WIDTH, 1 / NOISE]), NOISE)


def shapes(u: Array) -> Array:
    """Return g (k, n) of every family and shape, at u (n,) = t/T."""
    x = u / np.array(TIMES)[:, None]
    powers = [(1 + x) ** -alpha for alpha in POWERS]
    return np.concatenate([np.exp(-x), *powers, 1 / (1 + np.log1p(x))])
