"""Everything that the surrogate tells of a study, from its evidence."""

from bo_service.core.evidence import Evidence
from bo_service.core.insight.best import judge_best
from bo_service.core.insight.calibration import calibrate
from bo_service.core.insight.findings import Analysis
from bo_service.core.insight.importance import importances
from bo_service.core.insight.view import View


def analyze(evidence: Evidence) -> Analysis:
    """Pure: the same evidence, in any order, gives the same answer.

    Raises:
        NotEnoughData: below three trials with values, or none that was measured at its full length.
    """
    view = View.of(evidence)
    stopped = sum(t.is_short for t in view.bench.past)
    observed = len(view.bench.values) - stopped
    return Analysis(importances(view), judge_best(view), calibrate(view), observed, stopped)
