"""The surrogate and the observations that insight rests on. Pending trials are left out: they have told nothing yet.

n past trials, p parameters.
"""

from dataclasses import dataclass, replace

from bo_service.domain.errors import NotEnoughData
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.gp.metric_model import MetricModel
from bo_service.optimizer.gp.output_transform import OutputTransform
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.insight.ensemble import draw_surrogates

LEAST = 3
ENSEMBLE = 16


@dataclass(frozen=True)
class SurrogateView:
    """One metric of a study as its surrogate sees it."""

    encoded: EncodedData
    output_transform: OutputTransform
    process: GaussianProcess
    """With the likeliest hyperparameters: what suggestions and predictions rest on."""
    ensemble: tuple[GaussianProcess, ...]
    """With hyperparameters drawn from their posterior: what uncertainty rests on."""

    @classmethod
    def of(cls, inputs: OptimizerInput) -> "SurrogateView":
        """Fit the surrogate of a study. Raises NotEnoughData below three observations with values."""
        encoded = EncodedData(replace(inputs, pending=(), sources=()))
        if len(encoded.values) < LEAST:
            raise NotEnoughData(
                f"the study has {len(encoded.values)} finished trials with a value; "
                f"an analysis needs at least {LEAST}: complete more trials first"
            )
        X = encoded.encoding.features(encoded.past_rows)
        model = MetricModel.of(encoded, X, encoded.targets, encoded.noise_std, 1, 0)
        assert isinstance(model.surrogate, GaussianProcess)
        ensemble = draw_surrogates(model.surrogate, ENSEMBLE, encoded.rng(22))
        return cls(encoded, model.output_transform, model.surrogate, tuple(ensemble))
