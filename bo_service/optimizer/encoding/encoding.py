"""Configurations as numbers: rows of positions for searching, rows of features for the surrogate.

m rows, p parameters, f features. Z (m, p) holds a z for each parameter (see `axes.py`), the axis's center where the
parameter is not active. X (m, f) holds what the kernel measures distances in:

    numeric, always active     z
    numeric, conditional       z, or 1/2 where it is not active; and a second feature, 0 if active and 1/2 if not
    categorical, k values      k features, 1/√2 at the chosen value: any two values are at distance 1; zeros if inactive
    one single value           nothing

`feature_group` (f,) says which of the d varying parameters a feature belongs to: its features share a length scale.
An inactive parameter thus has no influence of its own, and neither has it on the distance of two rows without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import CategoricalDomain, Value
from bo_service.domain.search_space import SearchSpace
from bo_service.optimizer.encoding.axes import SAME, Axis, FloatAxis, axis_of
from bo_service.optimizer.numerics.array import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """The features of one varying parameter: columns start to stop."""

    parameter: int
    start: int
    stop: int
    is_category: bool


class Encoding:
    """The numbers of one search space."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.axes: tuple[Axis, ...] = tuple(axis_of(p.domain, space.named(p)) for p in space.parameters)
        self.is_category = np.array([isinstance(p.domain, CategoricalDomain) for p in space.parameters])
        self.tolerance: Array = np.array([axis.tolerance for axis in self.axes])
        """(p,): by how much rows of one configuration may differ."""
        self.centers: Array = np.array([axis.center for axis in self.axes])
        self._same = [0.0 if isinstance(axis, FloatAxis) else SAME for axis in self.axes]
        self._index = {p.name: j for j, p in enumerate(space.parameters)}
        self._rules = tuple(self._rule(j) for j in range(len(space.parameters)))

    @property
    def width(self) -> int:
        """The number p of parameters."""
        return len(self.axes)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        found: list[Block] = []
        start = 0
        for j, axis in enumerate(self.axes):
            if axis.levels <= 1:
                continue
            size = int(axis.levels) if self.is_category[j] else 1 + (self._rules[j] is not None)
            found.append(Block(j, start, start + size, bool(self.is_category[j])))
            start += size
        return tuple(found)

    @cached_property
    def feature_group(self) -> NDArray[np.intp]:
        """The varying parameter (f,) of each feature. There is one feature without meaning where nothing varies."""
        owners = [np.full(b.stop - b.start, i, dtype=np.intp) for i, b in enumerate(self.blocks)]
        return np.concatenate(owners) if owners else np.zeros(1, dtype=np.intp)

    @cached_property
    def column(self) -> NDArray[np.intp]:
        """The feature (p,) that is z itself, for numeric varying parameters; -1 for the others."""
        found = np.full(self.width, -1, dtype=np.intp)
        for block in self.blocks:
            if not block.is_category:
                found[block.parameter] = block.start
        return found

    def index(self, name: str) -> int:
        """Return the column in Z of the parameter of that name."""
        return self._index[name]

    def condition(self, j: int) -> tuple[int, Array] | None:
        """Return the column that decides whether parameter j is active, and its places for which it is.

        None: it always is.
        """
        return self._rules[j]

    def active(self, Z: Array) -> Mask:
        """Return a mask (m, p) of the parameters that exist in each row."""
        mask = np.ones(Z.shape, dtype=np.bool_)
        for j, rule in enumerate(self._rules):
            if rule is not None:
                parent, places = rule
                nearest = np.abs(Z[:, parent, None] - places).min(axis=1)
                mask[:, j] = mask[:, parent] & (nearest <= self._same[parent])
        return mask

    def from_uniform(self, U: Array) -> Array:
        """Map uniform draws (m, p) in [0, 1) to valid rows Z."""
        return self._without_inactive(np.column_stack([a.from_uniform(U[:, j]) for j, a in enumerate(self.axes)]))

    def round_to_valid(self, Z: Array) -> Array:
        """Round to the nearest valid rows."""
        return self._without_inactive(np.column_stack([a.round_to_valid(Z[:, j]) for j, a in enumerate(self.axes)]))

    def features(self, Z: Array) -> Array:
        """Return X (m, f) of valid rows Z."""
        X = np.zeros((len(Z), len(self.feature_group)))
        active = self.active(Z)
        for block in self.blocks:
            z, on = Z[:, block.parameter], active[:, block.parameter]
            if block.is_category:
                rows = np.flatnonzero(on)
                X[rows, block.start + z[rows].astype(np.intp)] = np.sqrt(0.5)
            else:
                X[:, block.start] = np.where(on, z, 0.5)
                if block.stop - block.start == 2:
                    X[:, block.start + 1] = np.where(on, 0.0, 0.5)
        return X

    def encode(self, configurations: Sequence[Configuration]) -> Array:
        """Return Z (m, p) of valid configurations."""
        Z = np.tile(self.centers, (len(configurations), 1))
        for j, parameter in enumerate(self.space.parameters):
            rows = [i for i, c in enumerate(configurations) if parameter.name in c]
            if rows:
                Z[rows, j] = self.axes[j].positions([configurations[i][parameter.name] for i in rows])
        return self._without_inactive(Z)

    def decode(self, z: Array) -> dict[str, Value]:
        """Return the configuration of one valid row (p,): active parameters alone, in the space's order."""
        pairs = zip(self.space.parameters, self.axes, z, strict=True)
        return self.space.restrict({p.name: axis.value(float(v)) for p, axis, v in pairs})

    def _without_inactive(self, Z: Array) -> Array:
        return np.where(self.active(Z), Z, self.centers) if any(self._rules) else Z

    def _rule(self, j: int) -> tuple[int, Array] | None:
        rule = self.space.parameters[j].activation
        if rule is None:
            return None
        parent = self._index[rule.parameter]
        return parent, self.axes[parent].positions(rule.values)
