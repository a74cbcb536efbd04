"""Beginning from earlier studies: their surrogates in this study's space, and their best configurations to open with.

p parameters, f features.
"""

from dataclasses import replace
from itertools import zip_longest

import numpy as np

from bo_service.core.axes import Array
from bo_service.core.evidence import Evidence, Source
from bo_service.core.gaussian_process import GaussianProcess, fit, telling
from bo_service.core.warping import Warp
from bo_service.core.workbench import Workbench

MOST = 150
"""Trials that are learned from in each source."""
APART = 0.1
"""Openings differ by more than this in some coordinate, from each other and from all that has been tried."""


def fit_sources(bench: Workbench, objective: int) -> dict[str, GaussianProcess]:
    """The surrogate, in warped units, of each source that knows something of the objective, by its study's name."""
    found = {}
    for k, source in enumerate(_in_order(bench)):
        past = _bench_of(bench, source)
        if source.objective == objective and len(np.unique(past.values)) > 1:
            y = Warp.fit(past.targets).forward(past.targets)
            few = telling(y, MOST)
            X, d = past.encoding.features(past.past_rows[few]), max(len(past.encoding.blocks), 1)
            found[source.name] = fit(X, y[few], past.encoding.owner, d, past.rng(7, k))
    return found


def opening_rows(bench: Workbench) -> list[Array]:
    """New feasible rows (p,) that did best in the sources, from each in turn, its best first."""
    ranked = [[z for z in _bench_of(bench, s).best_rows() if bench.region.holds(z[None])[0]] for s in _in_order(bench)]
    known = bench.seen.Z
    found: list[Array] = []
    for row in (z for turn in zip_longest(*ranked) for z in turn if z is not None):
        if not len(known) or bool((np.abs(known - row).max(axis=1) > APART).all()):
            known = np.vstack([known, row])
            found.append(row)
    return found


def _in_order(bench: Workbench) -> list[Source]:
    return sorted(bench.evidence.sources, key=lambda source: (source.name, source.objective))


def _bench_of(bench: Workbench, source: Source) -> Workbench:
    measured = tuple(replace(trial, further=(), margins=()) for trial in source.past)
    return Workbench(Evidence(bench.evidence.space, bench.evidence.settings, bench.evidence.seed, measured))
