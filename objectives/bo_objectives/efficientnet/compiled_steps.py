"""Compiled training steps, which a process keeps for further trials of the same structure.

Tracing a step takes longer than training a head on cached features. A trial that is trained by a kept step computes
what it would compute with a step of its own, to the last bit: the step has a network and an optimizer of its own, and
all their variables (weights, states of random generators, moments, learning rate) get the trial's values before, and
give them back after. What a step has as constants decides on its structure, and only trials of one structure share it.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
from bo_client import StopTrial

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.model import DropoutRate
from bo_objectives.efficientnet.optimizer import GradientRecordingOptimizer
from bo_objectives.efficientnet.training import TrainingState

MAX_KEPT = 8
"""Steps that a process keeps; the one that was used longest ago is dropped."""


@dataclass(frozen=True)
class CompiledStep:
    """A compiled network and its optimizer, of which only the variables differ from trial to trial."""

    network: keras.Model
    optimizer: GradientRecordingOptimizer
    dropout: DropoutRate

    @contextmanager
    def training(self, state: TrainingState, dropout: float) -> Iterator[None]:
        """Let this network and optimizer take the place of a training's own inside the block."""
        own = state.network, state.recorder, state.optimizer
        before, optimizer = state.variables, own[2]
        assert optimizer is not None
        self.dropout.assign(dropout)
        _copy(before, self.network.variables)
        _copy(optimizer.variables, self.optimizer.variables)
        state.network, state.recorder, state.optimizer = self.network, self.optimizer, self.optimizer
        try:
            yield
        finally:
            _copy(self.network.variables, before)
            _copy(self.optimizer.variables, optimizer.variables)
            state.network, state.recorder, state.optimizer = own


class CompiledSteps:
    """The steps that a process keeps, by structure."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, CompiledStep] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def lent(self, structure: Hashable, make: Callable[[], CompiledStep]) -> Iterator[CompiledStep]:
        """Yield a step that nobody else has inside the block; after an unexpected error it is not kept."""
        step = self._kept.pop(structure, None) or make()
        try:
            yield step
        except (StopTrial, TrialFailed):
            self._keep(structure, step)
            raise
        self._keep(structure, step)

    def _keep(self, structure: Hashable, step: CompiledStep) -> None:
        self._kept[structure] = step
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]


def _copy(sources: Sequence[keras.Variable], targets: Sequence[keras.Variable]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source.value)
