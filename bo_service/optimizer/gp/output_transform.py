"""The output warp: objective values as something nearly normal, and predictions back in the user's units.

n values y (n,), larger being better; t = (y - center) / spread; w = yeo_johnson(t), standardized to mean 0, variance 1.

The center is the median and the spread the interquartile range, unless bad values make up so much of it that the good
ones could not be told apart: then both are those of the better values alone, and t is bounded below by a monotone
function. Whether a loss is 1e3 or 1e12 tells nothing of where losses from 0.1 to 1 come from. Of a constraint's margins
those near 0 count, and t is bounded on both sides. Where a gap shows that values are huge, this is done at once; else
`transform_choice.py` decides.

A value far above all others is the best there is, and no disaster. Where one lies beyond FARTHEST, t grows with the
logarithm above the knee: of two such values the better one stays the better, and the others are told apart still.

Losses are skewed: a diverged run is a hundred times a good one. The Yeo-Johnson power (Yeo and Johnson 2000, Biometrika
87, 954-959) is found by maximum a posteriori at every fit, with a normal prior around 1, which is no warp at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array

POWERS = np.linspace(-2.0, 4.0, 121)
POWER_PRIOR_STD = 0.5
FARTHEST = 1e4
"""Values further than so many spreads below the center count as so far: they are bad, and how bad is of no interest."""
FAR, APART = 10.0, 5.0
"""Where some values lie further than so many spreads of the better ones from these, t may have to be bounded. They lie
apart where they are so many times as far off as any nearer value: a long tail leaves no such gap as a rule."""
BETTER = ((0.5, 0.75, 2.0, 5.0), (0.7, 0.9, 1.78, 20.0))
"""Two quantiles; the factor from the difference between them to the interquartile range, of normal values; and from how
many times as large an interquartile range on this difference takes its place."""
NEAR = (0.4, 2.57, 20.0)
"""The same of margins: a quantile of their sizes, the factor from it to the interquartile range, and the excess."""
GAP = 100.0
"""Huge values lie apart: the nearest of them is so many times as far from the center as any other value. Without such a
gap there is a long tail, which the power deals with."""
ROUNDING, ORDINARY = 16.0 * float(np.finfo(np.float64).eps), 1e3
"""Differences smaller than this part of the largest value are errors of rounding, such as that of the cosine of a right
angle. Values beyond an ordinary size may be huge themselves: there it is a part of the ordinary size."""
KNEE, ROOM = 2.0, 1.0
"""Where t is bounded: from so many spreads beside the center on, and to so many more."""
BEYOND_VARIANCE = 1.0
"""Variance of the noise of a value beyond the knee, warped: a surrogate need not be exact there."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
MOST = float(np.finfo(np.float64).max)


def yeo_johnson(t: Array, power: Array | float) -> Array:
    """Return the transform of t at a power; both broadcast."""
    power = np.asarray(power, dtype=np.float64)
    up = _box_cox(np.maximum(t, 0.0), power)
    down = _box_cox(np.maximum(-t, 0.0), 2.0 - power)
    return np.where(t >= 0.0, up, -down)


def yeo_johnson_inverse(w: Array, power: float) -> Array:
    """Return t of a transformed w; inf beyond the end of a bounded transform."""
    up = _box_cox_inverse(np.maximum(w, 0.0), power)
    down = _box_cox_inverse(np.maximum(-w, 0.0), 2.0 - power)
    return np.where(w >= 0.0, up, -down)


def _box_cox(t: Array, power: Array) -> Array:
    """Return ((1 + t)^power - 1) / power for t >= 0, and its limit log(1 + t) at power 0."""
    log = np.log1p(t)
    safe = np.where(np.abs(power) < 1e-9, 1.0, power)
    return np.where(np.abs(power) < 1e-9, log, np.expm1(safe * log) / safe)


def _box_cox_inverse(w: Array, power: float) -> Array:
    with np.errstate(over="ignore", divide="ignore"):
        if abs(power) < 1e-9:
            return np.expm1(w)
        return np.expm1(np.log1p(np.maximum(power * w, -1.0)) / power)


@dataclass(frozen=True)
class OutputTransform:
    """A fitted warp. `unit` keeps the arithmetic within range for values such as 1e300."""

    unit: float
    center: float
    spread: float
    is_bounded: bool
    """Whether t is bounded below."""
    is_bounded_above: bool
    is_slowed: bool
    """Whether t grows with the logarithm above the knee."""
    power: float
    shift: float
    scale: float
    lowest: float
    highest: float

    @classmethod
    def fit(cls, y: Array, about: float | None = None, is_robust: bool = False) -> "OutputTransform":
        """Fit to finite values y (n,), n >= 1. Equal values get an arbitrary scale: their own size.

        Args:
            y: the values.
            about: the value near which differences count, if any; else those between the largest values do.
            is_robust: whether t is bounded also where no gap shows that some values are huge.
        """
        unit, least = _unit(y)
        center, spread, is_bounded = _scale_of(y / unit, None if about is None else about / unit, least, is_robust)
        t = _ratio(y / unit - center, spread)
        sides = is_bounded, is_bounded and about is not None, about is None and bool(t.max() > FARTHEST)
        t = _standardized(y / unit, center, spread, *sides)
        power = _likeliest_power(t)
        w = yeo_johnson(t, power)
        scale = float(w.std())
        return cls(
            unit=unit,
            center=center,
            spread=spread,
            is_bounded=sides[0],
            is_bounded_above=sides[1],
            is_slowed=sides[2],
            power=power,
            shift=float(w.mean()),
            scale=scale if scale > 1e-12 else 1.0,
            lowest=float(t.min()),
            highest=float(t.max()),
        )

    def forward(self, y: Array) -> Array:
        """Warp values in the user's units."""
        t = _standardized(y / self.unit, self.center, self.spread, *self._sides)
        return (yeo_johnson(t, self.power) - self.shift) / self.scale

    def log_slope(self, y: Array) -> Array:
        """Return log dw/dy (n,) at values within the knee, up to a constant that all warps of them share."""
        v = y / self.unit
        t = _standardized(v, self.center, self.spread, *self._sides)
        yeo_johnson_slope = np.sign(t) * (self.power - 1.0) * np.log1p(np.abs(t))
        slowed = _excess(v - self.center, self.spread) if self.is_slowed else 0.0
        return np.asarray(yeo_johnson_slope - slowed - np.log(self.scale) - np.log(self.spread))

    @property
    def _sides(self) -> tuple[bool, bool, bool]:
        return self.is_bounded, self.is_bounded_above, self.is_slowed

    def is_beyond(self, y: Array, size: float = KNEE) -> NDArray[np.bool_]:
        """Return which values (n,) lie further than so many spreads from the center on a side where t is bounded."""
        t = _ratio(y / self.unit - self.center, self.spread)
        return (self.is_bounded & (t < -size)) | (self.is_bounded_above & (t > size))

    def extra_noise_variance(self, y: Array) -> Array:
        """Return variances (n,), in warped units, of values so far off that only their order is known."""
        return np.where(self.is_beyond(y), BEYOND_VARIANCE, 0.0)

    def backward(self, w: Array) -> Array:
        """Return warped values in the user's units; at most one range of the observed values beyond them."""
        t = yeo_johnson_inverse(w * self.scale + self.shift, self.power)
        reach = (self.highest - self.lowest) or 10.0
        above = KNEE if self.is_slowed else reach  # a factor of e
        t = np.clip(t, self.lowest - reach, self.highest + above)
        with np.errstate(over="ignore"):
            v = self.center + self.spread * _unbounded(t, *self._sides)
            return np.clip(v * self.unit, -MOST, MOST)

    def moments(self, mean: Array, std: Array) -> tuple[Array, Array]:
        """Return mean and std (m,) in the user's units of a normal in warped units, by Gauss-Hermite quadrature."""
        v = self.backward(mean[:, None] + std[:, None] * NODES) / self.unit
        weights = WEIGHTS / WEIGHTS.sum()
        center = v @ weights
        away = v - center[:, None]
        size = np.ldexp(1.0, np.frexp(np.abs(away).max(axis=1))[1] - 1)  # a power of 2: squares stay within range
        std = size * np.sqrt(((away / size[:, None]) ** 2) @ weights)
        with np.errstate(over="ignore"):
            return np.clip(center * self.unit, -MOST, MOST), np.minimum(std * self.unit, MOST)


def find_far_values(y: Array, about: float | None = None) -> tuple[bool, bool]:
    """Return whether a robust transform of values y (n,) bounds some that lie FAR off, and whether these lie APART."""
    unit, least = _unit(y)
    near = None if about is None else about / unit
    center, spread, is_bounded = _scale_of(y / unit, near, least, True)
    away = center - y / unit if about is None else np.abs(y / unit - center)
    is_far = is_bounded and bool((_ratio(away, spread) > FAR).any())
    return is_far, is_far and _has_gap(away, spread, APART)


def _unit(y: Array) -> tuple[float, float]:
    """Return a power of 2 near the largest value, for exact division, and the least spread of values in that unit."""
    unit = float(np.ldexp(1.0, np.frexp(np.abs(y).max())[1] - 1))
    return unit, ROUNDING * min(1.0, ORDINARY / unit)


def _scale_of(v: Array, about: float | None, least: float, is_robust: bool) -> tuple[float, float, bool]:
    """Return the center and the spread of values, at least `least`, and whether those further off are bounded."""
    if about is None:
        return _scale(v, least, is_robust)
    return _scale_about(v, about, least, is_robust)


def _scale(
    v: Array, least: float, is_robust: bool, better: Sequence[tuple[float, float, float, float]] = BETTER
) -> tuple[float, float, bool]:
    """Return center and spread of values, at least `least`, and whether these are of the better ones alone."""
    low, center, high = (float(q) for q in np.quantile(v, [0.25, 0.5, 0.75]))
    spread = high - low if high - low > least else float(v.std()) or 1.0
    is_bounded = False
    for lower, upper, factor, excess in better:
        low, high = (float(q) for q in np.quantile(v, [lower, upper]))
        middle, near = (low + high) / 2.0, factor * (high - low)
        is_first = is_robust and not is_bounded
        if least < near and (is_first or (near < spread / excess and (is_robust or _has_gap(middle - v, near)))):
            center, spread, is_bounded = middle, near, True
    return center, spread, is_bounded


def _scale_about(v: Array, about: float, least: float, is_robust: bool) -> tuple[float, float, bool]:
    """Return what `_scale` does, where differences near `about` count."""
    center, spread, _ = _scale(v, least, False, ())
    quantile, factor, excess = NEAR
    near = factor * float(np.quantile(np.abs(v - about), quantile))
    is_bounded = least < near and (is_robust or (near < spread / excess and _has_gap(np.abs(v - about), near)))
    return (about, near, True) if is_bounded else (center, spread, False)


def _has_gap(distances: Array, spread: float, gap: float = GAP) -> bool:
    """Return whether some of the distances are `gap` times as large as all others."""
    sizes = np.sort(np.maximum(_ratio(distances, spread), 1.0))
    with np.errstate(invalid="ignore"):
        return bool((sizes[1:] / gap > sizes[:-1]).any())  # a product would overflow


def _standardized(
    v: Array, center: float, spread: float, is_bounded: bool, is_bounded_above: bool, is_slowed: bool
) -> Array:
    """Return t (n,) of values."""
    t = _ratio(v - center, spread)
    low = np.where(t < -KNEE, -_bounded(-t), t) if is_bounded else t
    if is_slowed:
        return np.maximum(np.where(t > KNEE, KNEE * (1.0 + _excess(v - center, spread)), low), -FARTHEST)
    return np.clip(np.where(t > KNEE, _bounded(t), low) if is_bounded_above else low, -FARTHEST, FARTHEST)


def _excess(differences: Array, spread: float) -> Array:
    """Return log(t / KNEE) of values beyond the knee, also where t is more than floats hold; 0 of the others."""
    least = np.finfo(np.float64).smallest_subnormal
    return np.asarray(np.maximum(np.log(np.maximum(differences, least)) - np.log(spread) - np.log(KNEE), 0.0))


def _ratio(differences: Array, spread: float) -> Array:
    """Return differences in spreads; inf for more than floats hold."""
    with np.errstate(over="ignore"):
        return np.asarray(differences / spread)


def _bounded(size: Array) -> Array:
    """Map sizes beyond the knee to the little room that is left there."""
    beyond = np.maximum(size - KNEE, 0.0)
    return KNEE + ROOM * (1.0 - ROOM / (ROOM + beyond))


def _unbounded(t: Array, is_bounded: bool, is_bounded_above: bool, is_slowed: bool) -> Array:
    """Return values of t; of what is bounded at most FARTHEST beyond the knee."""
    share = np.clip(np.abs(t) - KNEE, 0.0, ROOM * (1.0 - ROOM / FARTHEST))
    size = KNEE + ROOM * share / (ROOM - share)
    found = np.where(is_bounded & (t < -KNEE), -size, t)
    if is_slowed:
        return np.where(t > KNEE, KNEE * np.exp(np.maximum(t / KNEE - 1.0, 0.0)), found)
    return np.where(is_bounded_above & (t > KNEE), size, found)


def _likeliest_power(t: Array) -> float:
    """Find the power of highest posterior density on a grid, with mean and variance at their best."""
    w = yeo_johnson(t, POWERS[:, None])
    jacobian = (np.sign(t) * np.log1p(np.abs(t))).sum()
    with np.errstate(divide="ignore"):
        fit = -0.5 * len(t) * np.log(w.var(axis=1)) + (POWERS - 1.0) * jacobian
    if not np.isfinite(fit).all():
        return 1.0
    return float(POWERS[np.argmax(fit - 0.5 * ((POWERS - 1.0) / POWER_PRIOR_STD) ** 2)])
