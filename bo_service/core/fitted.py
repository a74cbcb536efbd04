"""The surrogate of a study at one moment, with the warp of its values and the acquisition function in use."""

from dataclasses import dataclass, replace

from bo_service.core.acquisition import Criterion
from bo_service.core.axes import Array
from bo_service.core.gaussian_process import fit
from bo_service.core.surrogate import Surrogate
from bo_service.core.warping import Warp
from bo_service.core.workbench import Workbench


@dataclass(frozen=True)
class Fitted:
    """Everything that judges a point."""

    warp: Warp
    surrogate: Surrogate
    criterion: Criterion

    @classmethod
    def of(cls, bench: Workbench) -> "Fitted":
        """Fitted to the past trials; pending ones are believed to give what is expected of them."""
        encoding = bench.encoding
        warp = Warp.fit(bench.targets)
        X = encoding.features(bench.past_rows)
        spread = (warp.forward(bench.targets + bench.doubts) - warp.forward(bench.targets - bench.doubts)) / 2
        y, d = warp.forward(bench.targets), max(len(encoding.blocks), 1)
        surrogate = fit(X, y, encoding.owner, d, bench.rng(1), spread**2)
        surrogate = surrogate.believe(encoding.features(bench.pending_rows))
        return cls(warp, surrogate, Criterion.of(bench.evidence.settings, surrogate.incumbent()))

    def believe(self, bench: Workbench, row: Array) -> "Fitted":
        """The same once the row (p,) is pending as well."""
        surrogate = self.surrogate.believe(bench.encoding.features(row[None]))
        return replace(self, surrogate=surrogate, criterion=replace(self.criterion, best=surrogate.incumbent()))
