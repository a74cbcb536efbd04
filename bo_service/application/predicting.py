"""What the surrogate says of configurations that the caller asks about."""

from collections.abc import Sequence
from dataclasses import dataclass

from bo_service.application.services import Services
from bo_service.application.suggesting import predictions_of
from bo_service.application.trials import checked
from bo_service.core.constraints import Configuration
from bo_service.core.trial import Prediction


@dataclass(frozen=True)
class PointForecast:
    """What the surrogate says of one configuration."""

    predictions: tuple[Prediction, ...]
    """Of each objective metric, then of each constraint metric."""
    acquisition_value: float


@dataclass(frozen=True)
class Forecasts:
    """What the surrogate says of some configurations, in the metrics' own directions and units, in the order asked."""

    points: tuple[PointForecast, ...]
    acquisition: str
    observation_count: int


def predict(services: Services, study_id: str, configurations: Sequence[Configuration], patience: float) -> Forecasts:
    """What is expected of configurations that need not have been tried.

    Raises:
        NotFound: no such study.
        InvalidArgument: one of them isn't a configuration of the study.
        NotEnoughData: below two observations.
        DeadlinePassed: not computed within `patience` seconds.
    """
    with services.memory.reading(services.store, study_id) as (_, known):
        study, evidence = known.study, known.evidence
    asked = [
        checked(study.spec.space, given, f"configurations[{i}].parameters", must_be_feasible=False)
        for i, given in enumerate(configurations)
    ]
    found = services.optimizer.predict(evidence, asked, patience)
    metrics = study.spec.steering
    points = tuple(PointForecast(predictions_of(p.expected, metrics), p.acquisition_value) for p in found.points)
    return Forecasts(points, found.acquisition, found.observation_count)
