"""Suggestions without a surrogate, of which nothing is loaded: defaults, openings from earlier studies, Sobol points.

They are quick enough to be made while somebody waits.
"""

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.evidence import Evidence, Suggestion
from bo_service.core.numerics.array import Array
from bo_service.core.search.initial import default_row, next_rows
from bo_service.core.search.warm_start import opening_rows
from bo_service.core.trial import Origin


def quasi_random(evidence: Evidence, count: int) -> list[Suggestion]:
    """As `suggest`, but at once and blind to results: the defaults, then scrambled Sobol points."""
    return without_surrogate(Workbench(evidence), count)


def without_surrogate(bench: Workbench, count: int) -> list[Suggestion]:
    """As `quasi_random`, on a bench that learns of what is suggested."""
    found: list[Suggestion] = []
    if count and bench.evidence.begun < bench.evidence.initial_trials:
        row = default_row(bench.encoding)
        if bench.region.holds(row[None])[0] and not bench.seen.has(row):
            bench.seen.add(row)
            found.append(_explained(bench, row, Origin.DEFAULT))
        found += _opening(bench, count - len(found))
    if len(found) < count:
        rows = next_rows(bench.encoding, bench.region, bench.seen, count - len(found), bench.evidence.seed)
        found += [_explained(bench, row, Origin.QUASI_RANDOM) for row in rows]
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
        found.append(_explained(bench, rows[0], origin))
    return found


def _explained(bench: Workbench, row: Array, origin: Origin) -> Suggestion:
    """The suggestion of a row (p,), and why."""
    summary = "The defaults of the search space, and the centers of parameters that have none."
    if origin is Origin.QUASI_RANDOM:
        summary = "A space-filling point: chosen to cover the space, without regard to earlier results."
    if origin is Origin.WARM_START:
        summary = "One of the best configurations of the earlier studies that this one starts from."
    nearest, distance = bench.nearest(row)
    return Suggestion(bench.encoding.decode(row), origin, summary, nearest_trial=nearest, nearest_distance=distance)
