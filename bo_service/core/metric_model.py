"""The surrogate of one metric, with the warp of its values."""

from dataclasses import dataclass, replace

import numpy as np

from bo_service.core.axes import Array
from bo_service.core.evidence import Expected
from bo_service.core.gaussian_process import fit
from bo_service.core.surrogate import Surrogate
from bo_service.core.warping import Warp
from bo_service.core.workbench import Workbench


@dataclass(frozen=True)
class MetricModel:
    """Everything that is known of one metric; features X (m, f) as in `encoding.py`."""

    warp: Warp
    surrogate: Surrogate

    @classmethod
    def of(cls, bench: Workbench, X: Array, values: Array, doubts: Array, *purpose: int) -> "MetricModel":
        """Fitted to values (n,) at X (n, f) in the user's units, which have standard deviations `doubts` (n,), or 0."""
        warp = Warp.fit(values)
        spread = (warp.forward(values + doubts) - warp.forward(values - doubts)) / 2
        encoding = bench.encoding
        d = max(len(encoding.blocks), 1)
        return cls(warp, fit(X, warp.forward(values), encoding.owner, d, bench.rng(*purpose), spread**2))

    def believe(self, X: Array) -> "MetricModel":
        """As if X (b, f) had given what is expected of them."""
        return replace(self, surrogate=self.surrogate.believe(X))

    def expect(self, X: Array) -> list[Expected]:
        """What is expected at X (m, f), in the user's units."""
        posterior = self.surrogate.posterior(X)
        mean, std = self.warp.moments(posterior.mean, posterior.std)
        return [Expected(float(m), float(s)) for m, s in zip(mean, std, strict=True)]

    def means(self, X: Array) -> Array:
        """(m,): posterior means at X (m, f), in warped units."""
        return self.surrogate.posterior(X).mean

    def threshold(self, value: float) -> float:
        """A value of the metric in warped units."""
        return float(self.warp.forward(np.array([value]))[0])
