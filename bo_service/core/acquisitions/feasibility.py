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

from dataclasses import replace

import numpy as np

from bo_service.core.acquisitions.appraisal import Fulfillment
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.fitting import fit_on
from bo_service.core.surrogates.metric_model import MetricModel
from bo_service.core.surrogates.observations import Observations
from bo_service.core.surrogates.schedule import milestone

PROBIT_VARIANCE = 1.0
FAILURE_VARIANCE, MOST_ODDS = 0.1, 3.0
"""Noise variance of the label of a failure that nobody blames the parameters for, where as many trials ran. It grows
with the square of the odds that a trial runs, up to these: where few fail, the machine is the likelier cause."""
RUN_VARIANCE = 0.05
"""The same of the other labels beside these: were they exact, a constant would explain them too well."""
MOST_FAILURES = 200
"""Failures that an objective's surrogate is conditioned on, at most."""


def feasibility(bench: Workbench, X: Array) -> Fulfillment | None:
    """log P(x runs), from trials with features X (n, f); None where none has failed, or none has a value."""
    failed = bench.encoding.features(bench.failed_rows)
    if (bench.is_measured.all() and not len(failed)) or not bench.is_measured.any():
        return None
    labels = np.append(np.full(len(failed), -1.0), np.where(bench.is_measured, 1.0, -1.0))
    odds = min(int(bench.is_measured.sum()) / max(len(failed), 1), MOST_ODDS)
    known = np.append(
        np.full(len(failed), FAILURE_VARIANCE * odds**2), np.full(len(X), RUN_VARIANCE if len(failed) else 0.0)
    )
    data, m = Observations(np.vstack([failed, X]), labels, known), len(failed) + milestone(len(X))
    return Fulfillment(fit_on(bench, data, data.rows(np.arange(m)), 8), 0.0, PROBIT_VARIANCE)


def with_failures(bench: Workbench, model: MetricModel, values: Array, runs: Fulfillment | None) -> MetricModel:
    """The model of an objective conditioned on the failures that nobody blames the parameters for.

    Args:
        bench: what the failures are taken from.
        model: of the objective, with nothing believed yet.
        values: (n,), of the objective.
        runs: the probability that a configuration runs, if one is modeled.
    """
    count = len(bench.failed_rows)
    if runs is None or not count:
        return model
    chosen = np.linspace(0, count - 1, min(count, MOST_FAILURES)).round().astype(np.intp)
    Q = bench.encoding.features(bench.failed_rows[chosen])
    chance = np.exp(replace(runs, variance=0.0).value(Q))
    expected = model.surrogate.mean(Q)
    loss = np.maximum(expected - model.threshold(float(values.min())), 0.0)
    y, variance = expected - (1.0 - chance) * loss, chance * (1.0 - chance) * loss**2
    return replace(model, surrogate=model.surrogate.observe(Q, y, variance))
