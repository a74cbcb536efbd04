"""The surrogate of a study whose trials are trained in parts: fitted to all learning curves there are."""

from dataclasses import dataclass, replace

import numpy as np

from bo_service.optimizer.curves.data import CurveData, spaced_steps
from bo_service.optimizer.curves.fitting import APART, kernel_with, learn, teaching_part
from bo_service.optimizer.curves.leave_one_out import calibration_factor, widened
from bo_service.optimizer.curves.posterior import condition_on_curves
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.metric_model import MetricModel
from bo_service.optimizer.gp.output_transform import OutputTransform
from bo_service.optimizer.inputs import LearningCurve
from bo_service.optimizer.numerics.array import Array

MOST_CURVES = 400
"""The surrogate rests on at most so many curves: all whole ones first, then the last ones."""
FEWEST_CURVES = APART
"""Before there are so many, the values that are recorded at a rung rank, and extrapolations teach."""
PURPOSE = 10


@dataclass(frozen=True)
class CurveModel:
    """The objective as all curves tell it."""

    model: MetricModel
    """Of the final values: first those of the curves, in their order."""
    curves: tuple[LearningCurve, ...]
    """Those that it rests on."""

    @classmethod
    def of(cls, encoded: EncodedData) -> "CurveModel | None":
        """Return the model, or None where trials aren't trained in parts or there are too few curves."""
        training = encoded.inputs.training
        if training is None or len(training.curves) < FEWEST_CURVES:
            return None
        last_step = training.fidelity.max_step
        curves = _chosen(training.curves, last_step)
        features = encoded.encoding.features(encoded.encoding.encode([curve.configuration for curve in curves]))
        raw = CurveData.of(features, [_points(curve, last_step) for curve in curves])
        teaching = teaching_part(raw)
        transform, worst = _transform(teaching), float(teaching.y[teaching.mask].min())
        theta, factor = _learned(encoded, teaching.transformed(transform.forward))
        kernel = widened(kernel_with(theta, _dimensions(encoded), encoded.encoding.feature_group), factor)
        bounded = raw.transformed(lambda y: transform.forward(np.maximum(y, worst)))  # how bad it is, is of no interest
        process = condition_on_curves(kernel, bounded)
        numbers, counted = {curve.number for curve in curves}, {trial.number for trial in encoded.observations}
        rows = np.array([i for i, t in enumerate(encoded.observations) if t.number in numbers], dtype=np.intp)
        again = [i for i, curve in enumerate(curves) if curve.is_running and curve.number in counted]  # once paused
        return cls(MetricModel(transform, process, rows, {}).condition_on_mean(features[again]), curves)


def _dimensions(encoded: EncodedData) -> int:
    return max(len(encoded.encoding.blocks), 1)


def _chosen(curves: tuple[LearningCurve, ...], last_step: int) -> tuple[LearningCurve, ...]:
    ordered = sorted(curves, key=lambda curve: (curve.steps[-1] < last_step, -curve.number))
    return tuple(sorted(ordered[:MOST_CURVES], key=lambda curve: curve.number))


def _points(curve: LearningCurve, last_step: int) -> list[tuple[float, float]]:
    values = dict(zip(curve.steps, curve.values, strict=True))
    return [(max(step, 0.1) / last_step, values[step]) for step in spaced_steps(curve.steps)]


def _transform(teaching: CurveData) -> OutputTransform:
    """Return the transform under which the final values among those have mean 0; all last values, if none is final."""
    fitted, is_whole = OutputTransform.fit(teaching.y[teaching.mask]), teaching.is_whole
    center = float(fitted.forward(teaching.last[is_whole] if is_whole.any() else teaching.last).mean())
    return replace(fitted, shift=fitted.shift + center * fitted.scale)


def _learned(encoded: EncodedData, teaching: CurveData) -> tuple[Array, float]:
    """Return theta and the factor, found or learned."""
    owner, seed = encoded.encoding.feature_group, encoded.seed(PURPOSE)
    rows, y = teaching.rows()

    def make() -> Array:
        theta = learn(teaching, _dimensions(encoded), owner, np.random.default_rng(seed))
        return np.array([*theta, calibration_factor(kernel_with(theta, _dimensions(encoded), owner), teaching)])

    *theta, factor = encoded.cache.theta([rows, y, owner, np.array(seed, dtype=np.uint64)], make).tolist()
    return np.array(theta), factor
