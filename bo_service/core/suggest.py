"""From evidence to suggestions: what to try next, and why.

Every function is pure: the same evidence, in any order, gives the same answer in any process. Larger objective values
are better.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bo_service.core.acquisitions.fitted import Fitted
from bo_service.core.blind import without_surrogate
from bo_service.core.constraints import Configuration
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.errors import NotEnoughData
from bo_service.core.evidence import Evidence, PointPrediction, Predictions, Suggested, Suggestion
from bo_service.core.explain import explain
from bo_service.core.numerics.array import Array
from bo_service.core.numerics.lookups import Factors
from bo_service.core.search.maximize import STARTS, Search, best_new_row
from bo_service.core.search.repeats import Repeats, find_repeats

FURTHER_STARTS = 2
"""Candidates that are refined for the second of a batch and those after it: they are for workers that can't wait."""


def suggest(evidence: Evidence, count: int) -> list[Suggestion]:
    """The next configurations to try, best first, all different from each other and from everything tried or pending.

    Where a small finite space has been tried in full, the best configuration is tried again, and where its results
    differ any of them is. Fewer than `count` only where nothing is left: a finite space is exhausted, or no
    configuration fulfills the constraints. The first are the defaults, then scrambled Sobol points, until
    `initial_trials` are past or pending; then the surrogate chooses, as soon as two different values are known.
    """
    return suggest_with(evidence, count, Factors()).suggestions


def suggest_with(evidence: Evidence, count: int, factors: Factors) -> Suggested:
    """As `suggest`, where what was computed before may be found."""
    bench = Workbench(evidence, factors)
    found = Suggested(_suggested(bench, count), bench.lookups.used)
    factors.settle(evidence.study, frozenset(bench.lookups.used_factors))
    return found


def _suggested(bench: Workbench, count: int) -> list[Suggestion]:
    evidence = bench.evidence
    blind = min(count, max(0, evidence.initial_trials - evidence.begun)) if evidence.can_be_fitted else count
    found = without_surrogate(bench, blind)
    if len(found) < blind or len(found) == count:
        return found
    return found + _with_surrogate(bench, count - len(found))


def predict(evidence: Evidence, configurations: Sequence[Configuration], factors: Factors | None = None) -> Predictions:
    """What the surrogate expects of valid configurations; `factors` are those that may be found.

    Raises:
        NotEnoughData: below two observations with values.
    """
    bench = Workbench(evidence, factors)
    if len(bench.values) < 2:
        raise NotEnoughData(
            f"the study has {len(bench.values)} finished trials with a value; predictions need at least 2: "
            "complete more trials first"
        )
    fitted = Fitted.of(bench)
    X = bench.encoding.features(bench.encoding.encode(configurations))
    expected = zip(*(model.expect(X) for model in (*fitted.objectives, *fitted.limits)), strict=True)
    worth = fitted.appraisal.value(X)
    points = tuple(PointPrediction(metrics, float(w)) for metrics, w in zip(expected, worth, strict=True))
    observed = sum(t.value is not None and not t.is_short for t in evidence.past)
    return Predictions(points, fitted.acquisition, observed)


def _with_surrogate(bench: Workbench, count: int) -> list[Suggestion]:
    fitted = Fitted.of(bench)
    listed = bench.region.listed
    anchors = bench.region.anchors(bench.seen.Z, bench.rng(2))
    best = bench.best_rows()
    found: list[Suggestion] = []
    for i in range(count):
        starts = STARTS if i == 0 else FURTHER_STARTS
        search = Search(bench.encoding, bench.region, fitted.appraisal, anchors, bench.rng(3, i), starts)
        row = best_new_row(search, best, bench.seen, listed)
        reason = ""
        if row is None:
            repeats = find_repeats(bench)
            if not len(repeats.rows):
                break
            row, reason = _row_to_repeat(bench, fitted, repeats), repeats.reason
        bench.seen.add(row)
        made = explain(bench, fitted, row)
        found.append(replace(made, summary=reason + made.summary))
        if len(found) < count:
            fitted = fitted.believe(bench, row)
    if len(found) < count and listed is None:
        found += without_surrogate(bench, count - len(found))
    return found


def _row_to_repeat(bench: Workbench, fitted: Fitted, repeats: Repeats) -> Array:
    """The row (p,) that is worth most to try again.

    By the upper confidence bound of its noise-free value, whose standard deviation falls with each repeat; of several
    objectives by the appraisal.
    """
    if not repeats.is_noisy:
        return np.asarray(repeats.rows[0])
    X = bench.encoding.features(repeats.rows)
    if len(fitted.objectives) > 1:
        worth = fitted.appraisal.value(X)
    else:
        posterior = fitted.objectives[0].surrogate.posterior(X)
        worth = posterior.mean + posterior.std + (fitted.chances.value(X) if fitted.limits else 0.0)
    return np.asarray(repeats.rows[int(np.argmax(worth))])
