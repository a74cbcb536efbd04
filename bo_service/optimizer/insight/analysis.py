"""Everything that the surrogate tells of a study, from its evidence."""

from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.insight.best import judge_best
from bo_service.optimizer.insight.calibration import calibrate
from bo_service.optimizer.insight.importance import importances
from bo_service.optimizer.insight.results import Analysis
from bo_service.optimizer.insight.surrogate_view import SurrogateView


def analyze(inputs: OptimizerInput) -> Analysis:
    """Analyze a study: the same evidence, in any order, gives the same answer.

    Raises:
        NotEnoughData: below three trials with values, or none that was measured at its full length.
    """
    view = SurrogateView.of(inputs)
    stopped = sum(t.is_short for t in view.encoded.observations)
    observed = len(view.encoded.values) - stopped
    return Analysis(importances(view), judge_best(view), calibrate(view), observed, stopped)
