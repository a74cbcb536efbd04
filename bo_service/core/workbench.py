"""Evidence laid out for work: in a fixed order, encoded, with everything that is derived from it.

n informative trials, p parameters.
"""

import math
from functools import cached_property

import numpy as np

from bo_service.core.axes import Array
from bo_service.core.constraints import Configuration
from bo_service.core.encoding import Encoding
from bo_service.core.evidence import Evidence, PastTrial
from bo_service.core.region import Region
from bo_service.core.seen import Seen


class Workbench:
    """One request's view of its evidence. `seen` grows with what is suggested."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.encoding = Encoding(evidence.space)
        self.region = Region(self.encoding)
        self.past: tuple[PastTrial, ...] = tuple(sorted(evidence.past, key=_order))
        self.pending: tuple[Configuration, ...] = tuple(sorted(evidence.pending, key=_name))
        self.seen = Seen(self.encoding, [t.configuration for t in self.past], self.pending)
        self.past_rows: Array = self.seen.Z[: len(self.past)]
        """Z (n, p) of the past trials."""
        self.pending_rows: Array = self.seen.Z[len(self.past) :]
        """Z (b, p) of the pending configurations."""

    @cached_property
    def values(self) -> Array:
        """The finite values observed, (at most n,)."""
        return np.array([t.value for t in self.past if t.value is not None and math.isfinite(t.value)])

    @cached_property
    def targets(self) -> Array:
        """(n,): the value of each past trial; the worst observed one where it proved infeasible."""
        worst = float(self.values.min()) if len(self.values) else 0.0
        given = (t.value for t in self.past)
        return np.array([v if v is not None and math.isfinite(v) else worst for v in given])

    @cached_property
    def doubts(self) -> Array:
        """(n,): the standard deviation of each target that was expected rather than measured, else 0."""
        return np.array([t.std if t.value is not None and math.isfinite(t.value) else 0.0 for t in self.past])

    def best_rows(self) -> Array:
        """Z of the past trials, best first."""
        return self.past_rows[np.argsort(-self.targets, kind="stable")]

    def rng(self, *purpose: int) -> np.random.Generator:
        """A generator for one purpose, made from the seed and the amount of evidence."""
        return np.random.default_rng([self.evidence.seed % 2**64, len(self.past), len(self.pending), *purpose])


def _order(trial: PastTrial) -> tuple[int, str, str]:
    return trial.number, _name(trial.configuration), repr(trial.value)


def _name(configuration: Configuration) -> str:
    return repr(sorted(configuration.items()))
