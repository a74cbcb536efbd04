"""The output warp: objective values as something nearly normal, and predictions back in the user's units.

n values y (n,), larger being better; t = (y - median) / spread; w = yeo_johnson(t), standardized to mean 0, variance 1.

Losses are skewed: a diverged run is a hundred times a good one. The Yeo-Johnson power (Yeo and Johnson 2000, Biometrika
87, 954-959) is found by maximum a posteriori at every fit, with a normal prior around 1, which is no warp at all.
"""

from dataclasses import dataclass

import numpy as np

from bo_service.core.numerics.array import Array

POWERS = np.linspace(-2.0, 4.0, 121)
POWER_PRIOR_STD = 0.5
FARTHEST = 1e4
"""Values further than so many spreads from the median count as so far: they are bad, and how bad is of no interest."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
MOST = float(np.finfo(np.float64).max)


def yeo_johnson(t: Array, power: Array | float) -> Array:
    """The transform of t at a power; both broadcast."""
    power = np.asarray(power, dtype=np.float64)
    up = _box_cox(np.maximum(t, 0.0), power)
    down = _box_cox(np.maximum(-t, 0.0), 2.0 - power)
    return np.where(t >= 0.0, up, -down)


def yeo_johnson_inverse(w: Array, power: float) -> Array:
    """Its inverse; inf beyond the end of a bounded transform."""
    up = _box_cox_inverse(np.maximum(w, 0.0), power)
    down = _box_cox_inverse(np.maximum(-w, 0.0), 2.0 - power)
    return np.where(w >= 0.0, up, -down)


def _box_cox(t: Array, power: Array) -> Array:
    """((1 + t)^power - 1) / power for t >= 0, and its limit log(1 + t) at power 0."""
    log = np.log1p(t)
    safe = np.where(np.abs(power) < 1e-9, 1.0, power)
    return np.where(np.abs(power) < 1e-9, log, np.expm1(safe * log) / safe)


def _box_cox_inverse(w: Array, power: float) -> Array:
    with np.errstate(over="ignore", divide="ignore"):
        if abs(power) < 1e-9:
            return np.expm1(w)
        return np.expm1(np.log1p(np.maximum(power * w, -1.0)) / power)


@dataclass(frozen=True)
class Warp:
    """A fitted warp. `unit` keeps the arithmetic within range for values such as 1e300."""

    unit: float
    median: float
    spread: float
    power: float
    shift: float
    scale: float
    lowest: float
    highest: float

    @classmethod
    def fit(cls, y: Array) -> "Warp":
        """The warp of finite values y (n,), n >= 1. Equal values get an arbitrary scale: their own size."""
        unit = float(np.abs(y).max()) or 1.0
        v = y / unit
        median = float(np.median(v))
        spread = _spread(v)
        t = np.clip((v - median) / spread, -FARTHEST, FARTHEST)
        power = _likeliest_power(t)
        w = yeo_johnson(t, power)
        scale = float(w.std())
        return cls(
            unit=unit,
            median=median,
            spread=spread,
            power=power,
            shift=float(w.mean()),
            scale=scale if scale > 1e-12 else 1.0,
            lowest=float(t.min()),
            highest=float(t.max()),
        )

    def forward(self, y: Array) -> Array:
        """Values in the user's units, warped."""
        t = np.clip((y / self.unit - self.median) / self.spread, -FARTHEST, FARTHEST)
        return (yeo_johnson(t, self.power) - self.shift) / self.scale

    def backward(self, w: Array) -> Array:
        """Warped values in the user's units; at most one range of the observed values beyond them."""
        t = yeo_johnson_inverse(w * self.scale + self.shift, self.power)
        reach = (self.highest - self.lowest) or 10.0
        v = self.median + self.spread * np.clip(t, self.lowest - reach, self.highest + reach)
        with np.errstate(over="ignore"):
            return np.clip(v * self.unit, -MOST, MOST)

    def moments(self, mean: Array, std: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (m,) in the user's units of a normal in warped units, by Gauss-Hermite."""
        v = self.backward(mean[:, None] + std[:, None] * NODES) / self.unit
        weights = WEIGHTS / WEIGHTS.sum()
        center = v @ weights
        variance = ((v - center[:, None]) ** 2) @ weights
        with np.errstate(over="ignore"):
            return np.clip(center * self.unit, -MOST, MOST), np.minimum(np.sqrt(variance) * self.unit, MOST)


def _spread(v: Array) -> float:
    """The interquartile range where it tells values apart, else the standard deviation, else 1."""
    low, high = np.quantile(v, [0.25, 0.75])
    for spread in (float(high - low), float(v.std())):
        if spread > 1e-12 * float(np.abs(v).max()):
            return spread
    return 1.0


def _likeliest_power(t: Array) -> float:
    """Maximum a posteriori over a grid, of the profile likelihood with mean and variance at their best."""
    w = yeo_johnson(t, POWERS[:, None])
    jacobian = (np.sign(t) * np.log1p(np.abs(t))).sum()
    with np.errstate(divide="ignore"):
        fit = -0.5 * len(t) * np.log(w.var(axis=1)) + (POWERS - 1.0) * jacobian
    if not np.isfinite(fit).all():
        return 1.0
    return float(POWERS[np.argmax(fit - 0.5 * ((POWERS - 1.0) / POWER_PRIOR_STD) ** 2)])
