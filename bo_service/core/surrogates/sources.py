"""What earlier studies know, as surrogates in this study's space."""

from dataclasses import replace

import numpy as np

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.evidence import Evidence, Source
from bo_service.core.surrogates.gaussian_process import GaussianProcess, fit, telling
from bo_service.core.surrogates.warping import Warp

MOST = 150
"""Trials that are learned from in each source."""


def fit_sources(bench: Workbench, objective: int) -> dict[str, GaussianProcess]:
    """The surrogate, in warped units, of each source that knows something of the objective, by its study's name."""
    found = {}
    for k, source in enumerate(in_order(bench)):
        past = bench_of(bench, source)
        if source.objective == objective and len(np.unique(past.values)) > 1:
            y = Warp.fit(past.targets).forward(past.targets)
            few = telling(y, MOST)
            X, d = past.encoding.features(past.past_rows[few]), max(len(past.encoding.blocks), 1)
            found[source.name] = fit(X, y[few], past.encoding.owner, d, past.rng(7, k))
    return found


def in_order(bench: Workbench) -> list[Source]:
    """The sources, by name."""
    return sorted(bench.evidence.sources, key=lambda source: (source.name, source.objective))


def bench_of(bench: Workbench, source: Source) -> Workbench:
    """A source's trials, laid out for work."""
    measured = tuple(replace(trial, further=(), margins=()) for trial in source.past)
    return Workbench(Evidence(bench.evidence.space, bench.evidence.settings, bench.evidence.seed, measured))
