"""What there is to gain over what is known or believed: the terms of an appraisal that move with every trial."""

import numpy as np
from numpy.typing import NDArray

from bo_service.core.acquisitions.acquisition import Criterion
from bo_service.core.acquisitions.appraisal import Improvement, NoisyImprovement, ParetoImprovement
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array
from bo_service.core.numerics.pareto import boxes, reference_point
from bo_service.core.study import Acquisition
from bo_service.core.surrogates.metric_model import MetricModel
from bo_service.core.surrogates.surrogate import Surrogate

Gain = Improvement | NoisyImprovement | ParetoImprovement

NOISY = 1e-2
"""From this part of the values' variance on, noise leaves open what the best so far is."""
DRAWS = 16
AMONG = 40
"""The best so far is drawn among so many trials, those of the highest means."""


def gain_of(bench: Workbench, objectives: tuple[MetricModel, ...], limits: tuple[MetricModel, ...]) -> Gain:
    """Over the best seen, or the Pareto set, of those that are expected to fulfill the constraints `limits`."""
    judged = _judged(bench, objectives)
    X = bench.encoding.features(bench.seen.Z[judged])
    are_those = not len(bench.failed_rows)
    F = np.column_stack([_means(model.surrogate, X) if are_those else model.surrogate.mean(X) for model in objectives])
    holds = _hold(bench, limits, judged, X)
    if len(objectives) == 1:
        return _over_best(bench, objectives[0], X, F[:, 0], holds)
    reference = reference_point(F[holds] if holds.any() else F)
    return ParetoImprovement(tuple(model.surrogate for model in objectives), *boxes(F[holds], reference))


def _over_best(
    bench: Workbench, model: MetricModel, X: Array, means: Array, holds: NDArray[np.bool_]
) -> Improvement | NoisyImprovement:
    """Of one objective, whose means at X (n, f) are (n,).

    The best is judged by means, not by values: no lucky draw of the noise. Where noise is notable there are draws of
    what the best may be, unless the settings choose another acquisition function. Where nothing fulfills the
    constraints yet, everything improves on the worst, so that the chances to fulfill them decide.
    """
    settings, surrogate = bench.evidence.settings, model.surrogate
    best = float(means[holds].max()) if holds.any() else float(means.min())
    criterion = Criterion.of(settings, best, len(bench.seen), is_noisy=surrogate.noisiness > NOISY)
    if criterion.kind is not Acquisition.LOG_NEI or not holds.any():
        return Improvement(surrogate, criterion)
    candidates = np.flatnonzero(holds)
    top = candidates[np.argsort(-means[candidates], kind="stable")[:AMONG]]
    imagined = surrogate.imagine(X[top], DRAWS, bench.rng(9))
    return NoisyImprovement(surrogate, imagined, imagined.values.max(axis=0), criterion)


def _judged(bench: Workbench, objectives: tuple[MetricModel, ...]) -> NDArray[np.intp]:
    """Indices (j,) of the rows seen that the best so far is looked for among: those that the surrogates rest on, which
    are all unless there are very many, and all that are pending."""
    past = np.unique(np.concatenate([model.rows for model in objectives]))
    return np.concatenate([past, np.arange(len(bench.past), len(bench.seen))])


def _means(surrogate: Surrogate, X: Array) -> Array:
    """(j,): posterior means at the judged rows, with features X, which are at least those that it rests on."""
    return surrogate.means if len(surrogate.means) == len(X) else surrogate.mean(X)


def _hold(bench: Workbench, limits: tuple[MetricModel, ...], judged: NDArray[np.intp], X: Array) -> NDArray[np.bool_]:
    """Mask (j,) of the judged rows, with features X, that are expected to fulfill every constraint on outcomes."""
    holds = np.ones(len(X), dtype=bool)
    if bench.is_measured.any():
        past = judged[judged < len(bench.past)]
        holds[: len(past)] = bench.is_measured[past]
    for model in limits:
        holds &= model.surrogate.mean(X) >= model.threshold(0.0)
    return holds
