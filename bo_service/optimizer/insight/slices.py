"""Slices: the surrogate along one or two parameters, the others held at a base, without the caller knowing encodings.

p parameters, m grid points Z (m, p).
"""

import itertools
from collections.abc import Sequence

import numpy as np

from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import Value
from bo_service.domain.search_space import SearchSpace
from bo_service.optimizer.design_points import default_row
from bo_service.optimizer.encoding.axes import Axis, all_positions
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.insight.results import Slice, SliceAxis, SliceRequest
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.suggest import predict


def predict_slice(inputs: OptimizerInput, request: SliceRequest) -> Slice:
    """Predict as `predict` does at every point of the grid.

    A parameter that isn't active at the base is made so: what decides on it takes the first value that admits it,
    unless it varies as well. Parameters that come into being take their default or center. Where a varied
    parameter isn't active at a point, the point is the same all along its axis.

    Raises:
        NotEnoughData: below two observations with values.
    """
    encoding = Encoding(inputs.space)
    number, base = _base(inputs, request)
    full = _completed(encoding, base, request.parameters)
    places = [_places(encoding.axes[encoding.index(name)], request.size) for name in request.parameters]
    axes = tuple(
        SliceAxis(name, tuple(encoding.axes[encoding.index(name)].value(z) for z in column))
        for name, column in zip(request.parameters, places, strict=True)
    )
    grid = [
        inputs.space.restrict({**full, **dict(zip(request.parameters, values, strict=True))})
        for values in itertools.product(*(axis.values for axis in axes))
    ]
    found = predict(inputs, grid)
    return Slice(
        axes=axes,
        points=found.points,
        feasible=tuple(inputs.space.is_feasible(c) for c in grid),
        base=inputs.space.restrict(full),
        base_trial=number,
        acquisition=found.acquisition,
        observation_count=found.observation_count,
    )


def _base(inputs: OptimizerInput, request: SliceRequest) -> tuple[int | None, Configuration]:
    """Return the trial and configuration to slice through.

    It is what was asked for; else the best trial, the earliest of equals, which fulfills the constraints and wasn't
    stopped early if there is such a one; else the defaults.
    """
    if request.base is not None:
        return None, request.base
    tried = [(t.fulfills, not t.is_short, t.value, -t.number, t) for t in inputs.observations if t.value is not None]
    if not tried:
        encoding = Encoding(inputs.space)
        return None, encoding.decode(default_row(encoding))
    *_, best = max(tried, key=lambda t: t[:4])
    return best.number, best.configuration


def _completed(encoding: Encoding, base: Configuration, varied: Sequence[str]) -> dict[str, Value]:
    """Return a value for every parameter, with which the varied ones exist."""
    space = encoding.space
    pairs = zip(space.parameters, encoding.axes, strict=True)
    full = {p.name: axis.value(axis.center) if p.default is None else p.default for p, axis in pairs} | dict(base)
    for name in varied:
        _activate(space, full, name, varied)
    return full


def _activate(space: SearchSpace, full: dict[str, Value], name: str, varied: Sequence[str]) -> None:
    """Set what decides on the parameter, and on that in turn, so that it exists."""
    rule = space[name].activation
    if rule is None:
        return
    _activate(space, full, rule.parameter, varied)
    if rule.parameter not in varied and not space[name].is_active(full):
        full[rule.parameter] = rule.values[0]


def _places(axis: Axis, size: int) -> Array:
    """Return z of at most so many values from end to end; of all categories."""
    if axis.levels <= size or not _is_ordered(axis):
        return all_positions(axis)
    return np.unique(axis.round_to_valid(np.linspace(0.0, 1.0, size)))


def _is_ordered(axis: Axis) -> bool:
    return float(axis.from_uniform(np.array([1.0 - 1e-12]))[0]) <= 1.0
