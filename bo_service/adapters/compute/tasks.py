"""What the processes that compute are asked: the core's functions, on one thread, loaded where they run."""

from collections.abc import Sequence

from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Predictions, Suggestion
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest


def load() -> None:
    """Takes a second; better before the first call than in it."""
    import bo_service.core.suggest  # noqa: F401


def suggest(evidence: Evidence, count: int) -> list[Suggestion]:
    from threadpoolctl import threadpool_limits

    from bo_service.core import suggest as core

    with threadpool_limits(1):
        return core.suggest(evidence, count)


def predict(evidence: Evidence, configurations: Sequence[Configuration]) -> Predictions:
    from threadpoolctl import threadpool_limits

    from bo_service.core import suggest as core

    with threadpool_limits(1):
        return core.predict(evidence, configurations)


def predict_slice(evidence: Evidence, request: SliceRequest) -> Slice:
    from threadpoolctl import threadpool_limits

    from bo_service.core.insight import slices

    with threadpool_limits(1):
        return slices.predict_slice(evidence, request)


def analyze(evidence: Evidence) -> Analysis:
    from threadpoolctl import threadpool_limits

    from bo_service.core.insight import analysis

    with threadpool_limits(1):
        return analysis.analyze(evidence)
