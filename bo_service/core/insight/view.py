"""The surrogate and the observations that insight rests on. Pending trials are left out: they have told nothing yet.

n past trials, p parameters.
"""

from dataclasses import dataclass, replace

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.errors import NotEnoughData
from bo_service.core.evidence import Evidence
from bo_service.core.insight.ensemble import draw_surrogates
from bo_service.core.surrogates.gaussian_process import GaussianProcess
from bo_service.core.surrogates.metric_model import MetricModel
from bo_service.core.surrogates.warping import Warp

LEAST = 3
ENSEMBLE = 16


@dataclass(frozen=True)
class View:
    """One metric of a study as its surrogate sees it."""

    bench: Workbench
    warp: Warp
    process: GaussianProcess
    """With the likeliest hyperparameters: what suggestions and predictions rest on."""
    ensemble: tuple[GaussianProcess, ...]
    """With hyperparameters drawn from their posterior: what uncertainty rests on."""

    @classmethod
    def of(cls, evidence: Evidence) -> "View":
        """Raises NotEnoughData below three observations with values."""
        bench = Workbench(replace(evidence, pending=(), sources=()))
        if len(bench.values) < LEAST:
            raise NotEnoughData(
                f"the study has {len(bench.values)} finished trials with a value; an analysis needs at least {LEAST}: "
                "complete more trials first"
            )
        X = bench.encoding.features(bench.past_rows)
        model = MetricModel.of(bench, X, bench.targets, bench.doubts, 1, 0)
        assert isinstance(model.surrogate, GaussianProcess)
        ensemble = draw_surrogates(model.surrogate, ENSEMBLE, bench.rng(22))
        return cls(bench, model.warp, model.surrogate, tuple(ensemble))
