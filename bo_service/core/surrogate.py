"""What a surrogate is to those who search it: a normal posterior at any point, with gradients.

m queries Q (m, f), one query x (f,), in the features of `encoding.py`; values in warped units, larger being better.
"""

from dataclasses import dataclass
from typing import Protocol

from bo_service.core.axes import Array


@dataclass(frozen=True)
class Posterior:
    """What is expected at m queries, in warped units: mean (m,) and std (m,) of the noise-free value."""

    mean: Array
    std: Array


@dataclass(frozen=True)
class Slope:
    """The posterior at one query x (f,), and its gradients (f,) by x."""

    mean: float
    std: float
    by_mean: Array
    by_std: Array


class Surrogate(Protocol):
    """An emulator of one metric."""

    def posterior(self, Q: Array) -> Posterior:
        """At queries Q (m, f)."""

    def slope(self, x: Array) -> Slope:
        """At one query x (f,), with gradients."""

    def believe(self, Q: Array) -> "Surrogate":
        """The surrogate as if queries Q (b, f) had given what is expected of them."""

    def incumbent(self) -> float:
        """The highest posterior mean at the points observed or believed."""
