"""That the optimizer optimizes: classical functions and a mixed one, few seeds, bounded time."""

import math
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import pytest

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.suggest import suggest

Loss = Callable[[Mapping[str, Any]], float]


def branin(c: Mapping[str, Any]) -> float:
    """Minimum 0.397887, at three places."""
    x, y = c["x"], c["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann6(c: Mapping[str, Any]) -> float:
    """Minimum -3.32237."""
    steep = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    centers = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
    x = np.array([c[f"x{i}"] for i in range(6)])
    distances = (np.array(steep) * (x - np.array(centers)) ** 2).sum(axis=1)
    return -float(np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-distances))


def training(c: Mapping[str, Any]) -> float:
    """A loss over the mixed space: minimum 0 at kind c, 5 layers, batch 32, no tuning. A random trial has about 0.9."""
    rate = math.log10(c["lr"]) + 3.2
    loss = 0.3 * rate**2 + {"a": 0.3, "b": 0.1, "c": 0.0, "d": 0.5}[c["kind"]] + 0.02 * abs(c["layers"] - 5)
    loss += 0.4 * (c["drop"] - 0.35) ** 2 + {16: 0.1, 32: 0.0, 64: 0.05, 128: 0.2}[c["batch"]]
    return loss + (0.1 + 0.1 * (math.log10(c["lr_backbone"]) + 4.3) ** 2 if c["tune"] else 0.0)


def best_of(space: SearchSpace, loss: Loss, trials: int, seed: int) -> float:
    past: tuple[Observation, ...] = ()
    for number in range(1, trials + 1):
        (suggestion,) = suggest(OptimizerInput(space, SuggestionSettings(), seed, past), 1)
        past = (*past, Observation(number, suggestion.configuration, -loss(suggestion.configuration)))
    return -max(t.value for t in past if t.value is not None)


def test_branin() -> None:
    space = SearchSpace((Parameter("x", FloatDomain(-5.0, 10.0)), Parameter("y", FloatDomain(0.0, 15.0))))
    assert median(best_of(space, branin, 30, seed) for seed in range(3)) < 0.397887 + 0.05


@pytest.mark.slow
def test_a_mixed_space(mixed_space: SearchSpace) -> None:
    assert median(best_of(mixed_space, training, 40, seed) for seed in range(3)) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "size", "trials", "minimum"), [(branin, 2, 30, 0.397887), (hartmann6, 6, 60, -3.32237)]
)
def test_the_promise(loss: Loss, size: int, trials: int, minimum: float) -> None:
    space = SearchSpace(tuple(Parameter(f"x{i}", FloatDomain(0.0, 1.0)) for i in range(size)))
    if size == 2:
        space = SearchSpace((Parameter("x", FloatDomain(-5.0, 10.0)), Parameter("y", FloatDomain(0.0, 15.0))))
    assert median(best_of(space, loss, trials, seed) for seed in range(100, 115)) < minimum + 0.05
