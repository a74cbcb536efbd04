"""What the surrogate says of configurations that the caller asks about."""

from collections.abc import Sequence
from dataclasses import dataclass

from bo_service.application.context import AppContext
from bo_service.application.suggest_trials import predictions_of
from bo_service.application.trials import checked
from bo_service.domain.constraints import Configuration
from bo_service.domain.trial import Prediction


@dataclass(frozen=True)
class PointForecast:
    """The surrogate's predictions at one configuration."""

    predictions: tuple[Prediction, ...]
    """Of each objective metric, then of each constraint metric."""
    acquisition_value: float


@dataclass(frozen=True)
class Forecasts:
    """The predictions at some configurations, in their order, in the metrics' own directions and units."""

    points: tuple[PointForecast, ...]
    acquisition: str
    observation_count: int


def predict(app: AppContext, study_id: str, configurations: Sequence[Configuration], timeout: float) -> Forecasts:
    """Return predictions of configurations that need not have been tried.

    Raises:
        NotFound: no such study.
        InvalidArgument: one of them isn't a configuration of the study.
        NotEnoughData: below two observations.
        DeadlinePassed: not computed within `timeout` seconds.
    """
    study, inputs = app.sessions.of(study_id).inputs()
    asked = [
        checked(study.spec.space, given, f"configurations[{i}].parameters", must_be_feasible=False)
        for i, given in enumerate(configurations)
    ]
    predictions = app.optimizer.predict(inputs, asked, timeout)
    metrics = study.spec.modelled_metrics
    points = tuple(PointForecast(predictions_of(p.expected, metrics), p.acquisition_value) for p in predictions.points)
    return Forecasts(points, predictions.acquisition, predictions.observation_count)
