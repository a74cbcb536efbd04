"""Suggestions without a surrogate, of which nothing is loaded: defaults, earlier studies, Sobol points, draws, a grid.
Where a small finite space has been tried in full, they are repeats of what was tried least often.

They are quick enough to be made while somebody waits.
"""

from dataclasses import replace

import numpy as np

from bo_service.domain.constraints import Configuration
from bo_service.domain.grid import DEFAULT_POINTS, on_grid
from bo_service.domain.study import Algorithm
from bo_service.domain.trial import Origin
from bo_service.optimizer.design_points import default_row, next_rows
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.inputs import OptimizerInput, Suggestion
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.computation_cache import CholeskyCache
from bo_service.optimizer.repeated_trials import find_repeats
from bo_service.optimizer.transfer.initial_points import initial_rows

SUMMARIES = {
    Origin.DEFAULT: "The defaults of the search space, and the centers of parameters that have none.",
    Origin.QUASI_RANDOM: "A space-filling point: chosen to cover the space, without regard to earlier results.",
    Origin.WARM_START: "One of the best configurations of the earlier studies that this one starts from.",
    Origin.RANDOM: "A uniform draw, without regard to earlier results.",
    Origin.GRID: "A point of the grid, whose points come in an order that covers the space early.",
}

ORIGINS = {Algorithm.RANDOM: Origin.RANDOM, Algorithm.GRID: Origin.GRID}
"""Where the points of algorithms come from, in place of the initial design."""


def quasi_random(inputs: OptimizerInput, count: int) -> list[Suggestion]:
    """Return configurations without regard to results: the defaults, then scrambled Sobol points.

    Where the study asks for random or grid search they are uniform draws, or points of its grid.
    """
    return without_surrogate(encode_for_suggestions(inputs), count)


def is_exhausted(inputs: OptimizerInput) -> bool:
    """Return whether it is proven that no configuration is left, by counting them or by the solver, or to repeat."""
    encoded = encode_for_suggestions(inputs)
    return encoded.region.is_exhausted(encoded.evaluated.has) and not len(find_repeats(encoded).rows)


def encode_for_suggestions(inputs: OptimizerInput, factors: CholeskyCache | None = None) -> EncodedData:
    """Encode an optimizer's input in the space that is searched: the grid of a study that asks for grid search.

    Trials beside the grid are then left out.
    """
    if inputs.settings.algorithm is not Algorithm.GRID:
        return EncodedData(inputs, factors)
    space = on_grid(inputs.space, inputs.settings.grid_points or DEFAULT_POINTS)

    def is_on_grid(configuration: Configuration) -> bool:
        return not space.faults(configuration)

    return EncodedData(
        replace(
            inputs,
            space=space,
            observations=tuple(t for t in inputs.observations if is_on_grid(t.configuration)),
            pending=tuple(filter(is_on_grid, inputs.pending)),
            discarded=tuple(filter(is_on_grid, inputs.discarded)),
            failed=tuple(filter(is_on_grid, inputs.failed)),
        ),
        factors,
    )


def without_surrogate(encoded: EncodedData, count: int) -> list[Suggestion]:
    """Return the same as `quasi_random`; each row is added to `encoded.evaluated`."""
    found: list[tuple[Array, Origin]] = []
    origin = ORIGINS.get(encoded.inputs.settings.algorithm, Origin.QUASI_RANDOM)
    is_design = origin is Origin.QUASI_RANDOM
    if is_design and count and encoded.inputs.num_started < encoded.inputs.initial_trials:
        row = default_row(encoded.encoding)
        if encoded.region.holds(row[None])[0] and not encoded.evaluated.has(row):
            encoded.evaluated.add(row)
            found.append((row, Origin.DEFAULT))
        found += _opening(encoded, count - len(found))
    if len(found) < count:
        rows = next_rows(
            encoded.encoding,
            encoded.region,
            encoded.evaluated,
            count - len(found),
            encoded.inputs.seed,
            is_uniform=origin is Origin.RANDOM,
        )
        found += [(row, origin) for row in rows]
    return _explained(encoded, found) + _repeated(encoded, count - len(found))


def _opening(encoded: EncodedData, count: int) -> list[tuple[Array, Origin]]:
    """Return rows (p,): what did best in earlier studies, where there are any, and points of the sequence in turn."""
    found: list[tuple[Array, Origin]] = []
    while encoded.inputs.sources and len(found) < count and len(encoded.evaluated) < encoded.inputs.initial_trials:
        rows = initial_rows(encoded)[:1] if len(encoded.evaluated) % 2 else []
        for row in rows:
            encoded.evaluated.add(row)
        origin = Origin.WARM_START if rows else Origin.QUASI_RANDOM
        rows = rows or next_rows(encoded.encoding, encoded.region, encoded.evaluated, 1, encoded.inputs.seed)
        if not rows:
            break
        found.append((rows[0], origin))
    return found


def _repeated(encoded: EncodedData, count: int) -> list[Suggestion]:
    """Return up to `count` repeats, where every configuration has been tried: the least tried first."""
    found: list[Suggestion] = []
    while len(found) < count:
        repeats = find_repeats(encoded)
        if not len(repeats.rows):
            break
        encoded.evaluated.add(repeats.least_tried)
        (made,) = _explained(encoded, [(repeats.least_tried, Origin.QUASI_RANDOM)])
        found.append(replace(made, summary=repeats.reason + "None has been tried less often."))
    return found


def _explained(encoded: EncodedData, found: list[tuple[Array, Origin]]) -> list[Suggestion]:
    """Return the suggestions of rows (p,), and why."""
    if not found:
        return []
    nearest = encoded.nearest_to_each(np.array([row for row, _ in found]))
    return [
        Suggestion(
            encoded.encoding.decode(row), origin, SUMMARIES[origin], nearest_trial=number, nearest_distance=distance
        )
        for (row, origin), (number, distance) in zip(found, nearest, strict=True)
    ]
