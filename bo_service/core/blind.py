"""Suggestions without a surrogate, of which nothing is loaded: defaults, openings from earlier studies, Sobol points.

Where a small finite space has been tried in full, they are repeats of what was tried least often.

They are quick enough to be made while somebody waits.
"""

from dataclasses import replace

import numpy as np

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.evidence import Evidence, Suggestion
from bo_service.core.numerics.array import Array
from bo_service.core.search.initial import default_row, next_rows
from bo_service.core.search.repeats import find_repeats
from bo_service.core.search.warm_start import opening_rows
from bo_service.core.trial import Origin

SUMMARIES = {
    Origin.DEFAULT: "The defaults of the search space, and the centers of parameters that have none.",
    Origin.QUASI_RANDOM: "A space-filling point: chosen to cover the space, without regard to earlier results.",
    Origin.WARM_START: "One of the best configurations of the earlier studies that this one starts from.",
}


def quasi_random(evidence: Evidence, count: int) -> list[Suggestion]:
    """As `suggest`, but at once and blind to results: the defaults, then scrambled Sobol points."""
    return without_surrogate(Workbench(evidence), count)


def is_exhausted(evidence: Evidence) -> bool:
    """Return whether it is proven that no configuration is left, by counting them or by the solver, or to repeat."""
    bench = Workbench(evidence)
    return bench.region.is_exhausted(bench.seen.has) and not len(find_repeats(bench).rows)


def without_surrogate(bench: Workbench, count: int) -> list[Suggestion]:
    """As `quasi_random`, on a bench that learns of what is suggested."""
    found: list[tuple[Array, Origin]] = []
    if count and bench.evidence.begun < bench.evidence.initial_trials:
        row = default_row(bench.encoding)
        if bench.region.holds(row[None])[0] and not bench.seen.has(row):
            bench.seen.add(row)
            found.append((row, Origin.DEFAULT))
        found += _opening(bench, count - len(found))
    if len(found) < count:
        rows = next_rows(bench.encoding, bench.region, bench.seen, count - len(found), bench.evidence.seed)
        found += [(row, Origin.QUASI_RANDOM) for row in rows]
    return _explained(bench, found) + _repeated(bench, count - len(found))


def _opening(bench: Workbench, count: int) -> list[tuple[Array, Origin]]:
    """What did best in earlier studies, where there are any, and points of the sequence in turn: rows (p,)."""
    found: list[tuple[Array, Origin]] = []
    while bench.evidence.sources and len(found) < count and len(bench.seen) < bench.evidence.initial_trials:
        rows = opening_rows(bench)[:1] if len(bench.seen) % 2 else []
        for row in rows:
            bench.seen.add(row)
        origin = Origin.WARM_START if rows else Origin.QUASI_RANDOM
        rows = rows or next_rows(bench.encoding, bench.region, bench.seen, 1, bench.evidence.seed)
        if not rows:
            break
        found.append((rows[0], origin))
    return found


def _repeated(bench: Workbench, count: int) -> list[Suggestion]:
    """Up to `count` repeats, where every configuration has been tried: the least tried first."""
    found: list[Suggestion] = []
    while len(found) < count:
        repeats = find_repeats(bench)
        if not len(repeats.rows):
            break
        bench.seen.add(repeats.least_tried)
        (made,) = _explained(bench, [(repeats.least_tried, Origin.QUASI_RANDOM)])
        found.append(replace(made, summary=repeats.reason + "None has been tried less often."))
    return found


def _explained(bench: Workbench, found: list[tuple[Array, Origin]]) -> list[Suggestion]:
    """The suggestions of rows (p,), and why."""
    if not found:
        return []
    nearest = bench.nearest_to_each(np.array([row for row, _ in found]))
    return [
        Suggestion(
            bench.encoding.decode(row), origin, SUMMARIES[origin], nearest_trial=number, nearest_distance=distance
        )
        for (row, origin), (number, distance) in zip(found, nearest, strict=True)
    ]
