"""What failures teach: the probability that a configuration runs at all.

n past trials, labels +1 for those that gave values and -1 for those whose parameters were to blame for their failure;
c configurations that failed at every attempt without blaming their parameters, labels -1 with a noise of their own.

    P(x runs) = Φ(mean(x) / √(1 + var(x)))

A Gaussian process of the labels under a probit: least-squares classification (Rasmussen and Williams 2006, section
6.5). Failed trials also count as the worst values observed; the probability is what tells a cliff from a slope. It is
kept mild, between about Φ(-1) and Φ(1), because both speak of the same failures.

A machine may be to blame for the c failures. Where others ran nearby, the noise lets those decide. Of the objective
such a failure is taken to have given, with chance P(x runs), what is expected there, and else the worst value observed:
an observation with the mean and the variance of this mixture.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.base import PosteriorWithGradient, Surrogate
from bo_service.optimizer.gp.fitting import fit_on
from bo_service.optimizer.gp.metric_model import MetricModel
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.gp.refit_schedule import last_refit_size
from bo_service.optimizer.numerics.array import Array

PROBIT_VARIANCE = 1.0
FAILURE_VARIANCE, MOST_ODDS = 0.1, 3.0
"""Noise variance of the label of a failure that nobody blames the parameters for, where as many trials ran. It grows
with the square of the odds that a trial runs, up to these: where few fail, the machine is the likelier cause."""
RUN_VARIANCE = 0.05
"""The same of the other labels beside these: were they exact, a constant would explain them too well."""
MOST_FAILURES = 200
"""Failures that an objective's surrogate is conditioned on, at most."""
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True)
class LogProbabilityOfFeasibility:
    """The acquisition term log P(a metric comes out at or above the threshold), both in warped units."""

    surrogate: Surrogate
    threshold: float
    variance: float = 0.0
    """Of the metric beside the surrogate's own."""

    def value(self, X: Array) -> Array:
        posterior = self.surrogate.posterior(X)
        return np.asarray(log_ndtr((posterior.mean - self.threshold) / np.sqrt(posterior.std**2 + self.variance)))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        at: PosteriorWithGradient = self.surrogate.posterior_with_gradient(x)
        spread = float(np.sqrt(at.std**2 + self.variance))
        z = (at.mean - self.threshold) / spread
        log = float(log_ndtr(z))
        by_z = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log)
        return log, by_z * (at.d_mean - z * at.std / spread * at.d_std) / spread


def feasibility(encoded: EncodedData, X: Array) -> LogProbabilityOfFeasibility | None:
    """Return log P(x runs), from trials with features X (n, f); None where none has failed, or none has a value."""
    failed = encoded.encoding.features(encoded.failed_rows)
    if (encoded.is_measured.all() and not len(failed)) or not encoded.is_measured.any():
        return None
    labels = np.append(np.full(len(failed), -1.0), np.where(encoded.is_measured, 1.0, -1.0))
    odds = min(int(encoded.is_measured.sum()) / max(len(failed), 1), MOST_ODDS)
    known = np.append(
        np.full(len(failed), FAILURE_VARIANCE * odds**2), np.full(len(X), RUN_VARIANCE if len(failed) else 0.0)
    )
    data, m = TrainingData(np.vstack([failed, X]), labels, known), len(failed) + last_refit_size(len(X))
    return LogProbabilityOfFeasibility(fit_on(encoded, data, data.rows(np.arange(m)), 8), 0.0, PROBIT_VARIANCE)


def with_failures(
    encoded: EncodedData, model: MetricModel, values: Array, runs: LogProbabilityOfFeasibility | None
) -> MetricModel:
    """Condition the model of an objective on the failures that aren't blamed on the parameters.

    Args:
        encoded: what the failures are taken from.
        model: of the objective, with nothing believed yet.
        values: (n,), of the objective.
        runs: the probability that a configuration runs, if one is modeled.
    """
    count = len(encoded.failed_rows)
    if runs is None or not count:
        return model
    chosen = np.linspace(0, count - 1, min(count, MOST_FAILURES)).round().astype(np.intp)
    Q = encoded.encoding.features(encoded.failed_rows[chosen])
    chance = np.exp(replace(runs, variance=0.0).value(Q))
    expected = model.surrogate.mean(Q)
    loss = np.maximum(expected - model.threshold(float(values.min())), 0.0)
    y, variance = expected - (1.0 - chance) * loss, chance * (1.0 - chance) * loss**2
    return replace(model, surrogate=model.surrogate.observe(Q, y, variance))
