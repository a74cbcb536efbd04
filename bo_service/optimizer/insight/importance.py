"""Which parameters matter: Sobol indices of the surrogate, over the whole space and over its better quarter.

R replicates of N points Z (N, p), uniform over the space as `spread` draws it: every level of a parameter equally often
on its scale. They are no Sobol sequence: the correction for chance would take its evenness for effects. Values are the
surrogate's, warped: in the user's units a few disasters would be all of the variance.

A parameter that isn't active keeps a value that has no effect, so that its influence counts where it has one. What
violates a constraint is left out. Over the whole space the great divide is between good and hopeless; what is worth
tuning among the good is told by the quarter of it with the best predictions.

The error of an index joins what sampling leaves open (from the replicates) and what the
observations leave open: the root mean square distance to the indices of draws of the posterior (Le Gratiet, Cannamela
and Iooss 2014), hyperparameters included.
"""

from dataclasses import dataclass

import numpy as np

from bo_service.optimizer.encoding.axes import all_positions
from bo_service.optimizer.encoding.encoding import Encoding, Mask
from bo_service.optimizer.insight import sobol_indices
from bo_service.optimizer.insight.joint_posterior import paths
from bo_service.optimizer.insight.moments import spread
from bo_service.optimizer.insight.results import Estimate, Interaction, ParameterImportance, RegionImportance
from bo_service.optimizer.insight.surrogate_view import SurrogateView
from bo_service.optimizer.numerics.array import Array

REPLICATES = 8
POINTS = 1024
SURROGATES, DRAWS_EACH = 4, 4
BETTER = 0.25
MOST_ROWS = 20_000
"""In the sections of one region, over all parameters and replicates; fewer with many observations."""
MOST_KERNEL = 4_000_000
"""Entries of the kernel between those rows and the observations."""
MOST_REDRAWS = 32
BINS = 16
MOST_LEVELS = 32
FEW_FEASIBLE = 64
"""Feasible points, of all drawn, below which points are pulled into the feasible region instead of left out."""
MOST_PAIRED = 12
"""Parameters whose interactions are looked at."""
MOST_INTERACTIONS = 10
LEAST_SHARE = 0.01


def importances(view: SurrogateView) -> tuple[RegionImportance, ...]:
    """Return the importances over the whole space, and over its better quarter."""
    study = _Study.of(view)
    everything = [(Z, study.f(Z)) for Z in study.points()]
    bound = float(np.quantile(np.concatenate([F[:, 0] for _, F in everything]), 1.0 - BETTER))
    better = [(Z[inside], F[inside]) for Z, F in everything for inside in [F[:, 0] >= bound]]
    in_users_units = float(view.output_transform.backward(np.array([bound]))[0])
    return (
        study.region(everything, -np.inf, 1.0, None),
        study.region(better, bound, BETTER, in_users_units),
    )


@dataclass(frozen=True)
class _Study:
    view: SurrogateView
    encoding: Encoding
    f: sobol_indices.Function
    rng: np.random.Generator

    @classmethod
    def of(cls, view: SurrogateView) -> "_Study":
        encoding, rng = view.encoded.encoding, view.encoded.rng(20)
        mean = paths(view.process, 0, rng)
        drawn = [paths(p, DRAWS_EACH, rng) for p in view.ensemble[:: max(1, len(view.ensemble) // SURROGATES)]]

        def f(Z: Array) -> Array:
            X = encoding.features(Z)
            return np.column_stack([mean(X), *(part(X)[:, 1:] for part in drawn)])

        return cls(view, encoding, f, rng)

    def points(self) -> list[Array]:
        """Draw R arrays of feasible rows; without constraints (N, p) each."""
        region = self.view.encoded.region
        drawn = [self._drawn(POINTS) for _ in range(REPLICATES)]
        kept = [Z[region.holds(Z)] for Z in drawn]
        if sum(map(len, kept)) >= FEW_FEASIBLE * REPLICATES:
            return kept
        anchors = region.feasible_seeds(self.view.encoded.past_rows, self.rng)
        return [region.project(Z, anchors, self.rng, inward=True) for Z in drawn]

    def region(
        self, inside: list[tuple[Array, Array]], least: float, share: float, bound: float | None
    ) -> RegionImportance:
        """Estimate the indices over feasible rows whose predictions are at least `least`, in warped units."""
        samples = [sobol_indices.Sample(Z, F, self._labels(Z)) for Z, F in inside if len(Z)]
        V = sobol_indices.variance(samples)
        S = _estimates(sobol_indices.first_order(samples, V))
        T = _estimates(sobol_indices.total(samples, self._sections(samples, least), V))
        names = [p.name for p in self.encoding.space.parameters]
        found = [ParameterImportance(n, s, t) for n, s, t in zip(names, S, T, strict=True)]
        order = sorted(range(len(found)), key=lambda i: (-found[i].total.value, -found[i].first.value, i))
        pairs = self._interactions(samples, V, order[:MOST_PAIRED]) if bound is None else ()
        values = self.view.output_transform.backward(np.concatenate([s.F[:, 0] for s in samples]))
        return RegionImportance(share, bound, spread(values), tuple(found[i] for i in order), pairs)

    def _interactions(
        self, samples: list[sobol_indices.Sample], V: Array, chosen: list[int]
    ) -> tuple[Interaction, ...]:
        names = [p.name for p in self.encoding.space.parameters]
        pairs = sobol_indices.second_order(samples, V, sorted(chosen))
        found = [
            Interaction((names[i], names[j]), share)
            for (i, j), shares in pairs.items()
            for (share,) in [_estimates(shares[:, None])]
            if share.value > max(LEAST_SHARE, 2.0 * share.error)
        ]
        return tuple(sorted(found, key=lambda i: -i.share.value)[:MOST_INTERACTIONS])

    def _sections(self, samples: list[sobol_indices.Sample], least: float) -> sobol_indices.Sections:
        """Draw sections of as many points as it takes to meet the region.

        They go through as many points as the budget allows.
        """
        region = self.view.encoded.region
        kept = sum(len(s.Z) for s in samples) / (REPLICATES * POINTS)
        redraws = min(max(3, int(np.ceil(4.0 / kept)) - 1), MOST_REDRAWS)
        rows = min(MOST_ROWS, MOST_KERNEL // len(self.view.process.X))
        bases = max(4, rows // (REPLICATES * redraws * self.encoding.width))

        def inside(Z: Array, F: Array) -> Mask:
            return np.asarray(region.holds(Z) & (F[:, 0] >= least))

        return sobol_indices.Sections(self.f, self._drawn, inside, bases, redraws)

    def _drawn(self, count: int) -> Array:
        """Draw rows as `Encoding.spread` does.

        Parameters keep their values where they aren't active and have no effect.
        """
        U = self.rng.random((count, self.encoding.width))
        return np.column_stack([axis.from_uniform(U[:, j]) for j, axis in enumerate(self.encoding.axes)])

    def _labels(self, Z: Array) -> sobol_indices.Labels:
        """Return bins (N, p): the levels of a parameter that has few, else BINS equal parts of its axis."""
        columns = []
        for j, axis in enumerate(self.encoding.axes):
            if axis.levels <= MOST_LEVELS:
                columns.append(np.searchsorted(all_positions(axis), Z[:, j] - 1e-9))
            else:
                top = max(float(axis.levels) - 1.0, 1.0) if self.encoding.is_category[j] else 1.0
                columns.append(np.minimum((Z[:, j] / top * BINS).astype(np.intp), BINS - 1))
        return np.column_stack(columns).astype(np.intp)


def _estimates(shares: Array) -> list[Estimate]:
    """Estimate from shares (R, k, 1 + S) the posterior mean's, with an error from the replicates and the S draws."""
    value = shares[:, :, 0].mean(axis=0)
    sampling = shares[:, :, 0].var(axis=0, ddof=1) / len(shares) if len(shares) > 1 else np.zeros_like(value)
    drawn = shares[:, :, 1:].mean(axis=0)
    error = np.sqrt(sampling + ((drawn - value[:, None]) ** 2).mean(axis=1))
    return [Estimate(float(min(max(v, 0.0), 1.0)), float(min(e, 1.0))) for v, e in zip(value, error, strict=True)]
