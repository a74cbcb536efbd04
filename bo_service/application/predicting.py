"""What the surrogate says of configurations that the caller asks about."""

from collections.abc import Sequence
from dataclasses import replace

from bo_service.application.services import Services
from bo_service.application.suggesting import evidence_of
from bo_service.application.trials import checked
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Predictions


def predict(
    services: Services, study_id: str, configurations: Sequence[Configuration], patience: float
) -> tuple[str, Predictions]:
    """The objective metric's name, and the predictions in its own direction and units, in the order asked.

    Raises:
        NotFound: no such study.
        InvalidArgument: one of them isn't a configuration of the study.
        NotEnoughData: below two observations.
        DeadlinePassed: not computed within `patience` seconds.
    """
    with services.store.read() as records:
        study = records.studies.get(study_id)
        evidence = evidence_of(records, study)
    space, metric = study.spec.space, study.spec.objective
    asked = [
        checked(space, given, f"configurations[{i}].parameters", must_be_feasible=False)
        for i, given in enumerate(configurations)
    ]
    found = services.optimizer.predict(evidence, asked, patience)
    assert metric.goal is not None
    points = tuple(replace(point, mean=metric.goal.sign * point.mean) for point in found.points)
    return metric.name, replace(found, points=points)
