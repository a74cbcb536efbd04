"""Variance-based sensitivity of a function whose inputs are uniform over a part G of a product of axes.

R replicates of N points Z (N, p); f gives (m, c): c functions at once; V (c,) its variance over G.

    first-order   S_i = Var(E[f | z_i]) / V        total   T_i = E[Var(f | all but z_i)] / V        (Sobol 2001)
    together      S_ij = Var(E[f | z_i, z_j]) / V - S_i - S_j

Conditional means are taken over bins of z_i, and the variance of bin means is freed of what chance alone would give it
(one-way analysis of variance). Conditional variances are sample variances over sections: points of G with z_i redrawn,
of which those in G count; with one redraw and G everything this is Jansen's estimator (1999). All of this holds for
dependent inputs as well (Kucherenko, Tarantola and Annoni 2012), and so for a G that is no box.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.encoding import Mask
from bo_service.optimizer.numerics.array import Array

NO_VARIANCE = 1e-14

Function = Callable[[Array], Array]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Sample:
    """One replicate: rows Z (N, p) of G with f there (N, c) and the bins (N, p) of their coordinates."""

    Z: Array
    F: Array
    labels: Labels


@dataclass(frozen=True)
class Sections:
    """How sections are drawn: `redrawn` gives fresh rows (m, p), `inside` says which rows and values are in G."""

    f: Function
    redrawn: Callable[[int], Array]
    inside: Callable[[Array, Array], Mask]
    bases: int
    """Points of each replicate through which sections are laid."""
    redraws: int
    """Of each section."""


def variance(samples: list[Sample]) -> Array:
    """Return the variance V (c,) over all replicates; inf where there is none, so that shares of it are 0."""
    F = np.concatenate([s.F for s in samples])
    V = F.var(axis=0)
    least = NO_VARIANCE * np.maximum(1.0, (F**2).max(axis=0))
    return np.where(least < V, V, np.inf)


def first_order(samples: list[Sample], V: Array) -> Array:
    """Estimate the first-order indices S (R, p, c)."""
    return np.array([[between(s.F, s.labels[:, i]) for i in range(s.Z.shape[1])] for s in samples]) / V


def second_order(samples: list[Sample], V: Array, chosen: list[int]) -> dict[tuple[int, int], Array]:
    """Estimate the second-order indices S_ij (R, c) of every pair of the chosen inputs."""
    alone = first_order(samples, V)
    return {
        (i, j): np.array([between(s.F, _crossed(s.labels, i, j)) for s in samples]) / V - alone[:, i] - alone[:, j]
        for i, j in combinations(chosen, 2)
    }


def total(samples: list[Sample], sections: Sections, V: Array) -> Array:
    """Estimate the total indices T (R, p, c)."""
    return np.array([_within_sections(s, sections) for s in samples]) / V


def between(F: Array, labels: Labels) -> Array:
    """Estimate the variance (c,) of E[f | label], unbiased, from values F (N, c)."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    counts = np.diff(starts, append=len(labels))
    groups = len(counts)
    if groups < 2 or len(F) <= groups:
        return np.zeros(F.shape[1])
    G = F - F.mean(axis=0)
    sums = np.add.reduceat(G[order], starts, axis=0)
    among = (sums**2 / counts[:, None]).sum(axis=0)
    by_chance = ((G**2).sum(axis=0) - among) / (len(F) - groups)
    return np.asarray((among - (groups - 1) * by_chance) / len(F))


def _within_sections(sample: Sample, sections: Sections) -> Array:
    """Return the mean variance (p, c) along each coordinate."""
    base = sample.Z[: sections.bases]
    b, p = base.shape
    k = sections.redraws
    rows = np.repeat(base[:, None, None, :], p * k, axis=1).reshape(b, p, k, p)
    fresh = sections.redrawn(b * k).reshape(b, k, p)
    for i in range(p):
        rows[:, i, :, i] = fresh[:, :, i]
    flat = rows.reshape(-1, p)
    values = sections.f(flat)
    inside = sections.inside(flat, values).reshape(b, p, k, 1)
    values = values.reshape(b, p, k, -1)
    own = np.broadcast_to(sample.F[:b, None, None, :], (b, p, 1, values.shape[-1]))
    everything = np.concatenate([own, values], axis=2)
    counted = np.concatenate([np.ones((b, p, 1, 1), dtype=np.bool_), inside], axis=2)
    return _mean_variance(everything, counted)


def _mean_variance(values: Array, counted: Mask) -> Array:
    """Return the mean sample variance (p, c) of what counts over sections (b, p, k, c).

    Sections of one point don't count.
    """
    count = counted.sum(axis=2)
    center = (values * counted).sum(axis=2) / count
    squares = (((values - center[:, :, None]) ** 2) * counted).sum(axis=2)
    spread = squares / np.maximum(count - 1, 1)
    told = count > 1
    return np.asarray((spread * told).sum(axis=0) / np.maximum(told.sum(axis=0), 1))


def _crossed(labels: Labels, i: int, j: int) -> Labels:
    return np.asarray(labels[:, i] * (labels[:, j].max() + 1) + labels[:, j])
