"""From evidence to suggestions: what to try next, and why.

Every function is pure: the same evidence, in any order, gives the same answer in any process. Larger objective values
are better.
"""

from collections.abc import Sequence

from bo_service.core.acquisitions.fitted import Fitted
from bo_service.core.constraints import Configuration
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.errors import NotEnoughData
from bo_service.core.evidence import Evidence, PointPrediction, Predictions, Suggestion
from bo_service.core.explain import explain, explain_blind
from bo_service.core.search.initial import default_row, every_row, next_rows
from bo_service.core.search.maximize import STARTS, Search, best_new_row
from bo_service.core.search.warm_start import opening_rows
from bo_service.core.trial import Origin

FURTHER_STARTS = 2
"""Candidates that are refined for the second of a batch and those after it: they are for workers that can't wait."""


def suggest(evidence: Evidence, count: int) -> list[Suggestion]:
    """The next configurations to try, best first, all different from each other and from everything tried or pending.

    Fewer than `count` only where nothing is left: a finite space is exhausted, or no configuration fulfills the
    constraints. The first are the defaults, then scrambled Sobol points, until `initial_trials` are past or pending;
    then the surrogate chooses, as soon as two different values are known.
    """
    bench = Workbench(evidence)
    blind = min(count, max(0, evidence.initial_trials - evidence.begun)) if evidence.can_be_fitted else count
    found = _without_surrogate(bench, blind)
    if len(found) < blind or len(found) == count:
        return found
    return found + _with_surrogate(bench, count - len(found))


def quasi_random(evidence: Evidence, count: int) -> list[Suggestion]:
    """As `suggest`, but at once and blind to results: the defaults, then scrambled Sobol points."""
    return _without_surrogate(Workbench(evidence), count)


def predict(evidence: Evidence, configurations: Sequence[Configuration]) -> Predictions:
    """What the surrogate expects of valid configurations.

    Raises:
        NotEnoughData: below two observations with values.
    """
    bench = Workbench(evidence)
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
    return Predictions(points, fitted.acquisition, len(bench.values))


def _without_surrogate(bench: Workbench, count: int) -> list[Suggestion]:
    found: list[Suggestion] = []
    if count and bench.evidence.begun < bench.evidence.initial_trials:
        row = default_row(bench.encoding)
        if bench.region.holds(row[None])[0] and not bench.seen.has(row):
            bench.seen.add(row)
            found.append(explain_blind(bench, row, Origin.DEFAULT))
        found += _opening(bench, count - len(found))
    if len(found) < count:
        rows = next_rows(bench.encoding, bench.region, bench.seen, count - len(found), bench.evidence.seed)
        found += [explain_blind(bench, row, Origin.QUASI_RANDOM) for row in rows]
    return found


def _opening(bench: Workbench, count: int) -> list[Suggestion]:
    """What did best in earlier studies, where there are any, and points of the sequence in turn."""
    found: list[Suggestion] = []
    while bench.evidence.sources and len(found) < count and len(bench.seen) < bench.evidence.initial_trials:
        rows = opening_rows(bench)[:1] if len(bench.seen) % 2 else []
        for row in rows:
            bench.seen.add(row)
        origin = Origin.WARM_START if rows else Origin.QUASI_RANDOM
        rows = rows or next_rows(bench.encoding, bench.region, bench.seen, 1, bench.evidence.seed)
        if not rows:
            break
        found.append(explain_blind(bench, rows[0], origin))
    return found


def _with_surrogate(bench: Workbench, count: int) -> list[Suggestion]:
    fitted = Fitted.of(bench)
    listed = every_row(bench.encoding)
    anchors = bench.region.anchors(bench.seen.Z, bench.rng(2))
    best = bench.best_rows()
    found: list[Suggestion] = []
    for i in range(count):
        starts = STARTS if i == 0 else FURTHER_STARTS
        search = Search(bench.encoding, bench.region, fitted.appraisal, anchors, bench.rng(3, i), starts)
        row = best_new_row(search, best, bench.seen, listed)
        if row is None:
            break
        bench.seen.add(row)
        found.append(explain(bench, fitted, row))
        if len(found) < count:
            fitted = fitted.believe(bench, row)
    if len(found) < count and listed is None:
        found += _without_surrogate(bench, count - len(found))
    return found
