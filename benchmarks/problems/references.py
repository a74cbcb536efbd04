"""What regret is measured against: the minimum of each problem, and what ten random trials reach.

The minimum is known exactly, or from COCO itself, or as the best ever found by a long search and by all runs. Of ten
random trials the best has its median where one trial is as good with probability q, (1 − q)^10 = 1/2: the q-quantile
of random values, failures being the worst.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.problems.coco import known_optimizer
from benchmarks.problems.problem import Problem
from benchmarks.problems.space import Category, Config, Integer, Parameter, Value, draw

FILE = Path(__file__).with_name("references.json")
QUANTILE = 1 - 0.5**0.1
DRAWS = 10_000
SEARCHED_DRAWS, SEARCHED_STEPS = 400, 600


@dataclass(frozen=True)
class Reference:
    """The minimum, where it is, and the median best of ten random trials."""

    best: float
    optimizer: Config
    random: float


@cache
def references() -> dict[str, Reference]:
    """As kept, by problem."""
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    return {name: Reference(**given) for name, given in kept.items()}


def measure(problem: Problem) -> Reference:
    """A problem's reference: long, where its minimum must be searched for."""
    rng = np.random.default_rng(1)
    optimum = problem.optimizer or known_optimizer(problem)
    draws = [draw(problem.space, rng) for _ in range(DRAWS if optimum else SEARCHED_DRAWS)]
    values = [problem.true(c) if problem.is_feasible(c) else math.inf for c in draws]
    random = float(np.quantile(values, QUANTILE, method="lower"))
    best, optimizer = (problem.true(optimum), optimum) if optimum else search(problem, draws, values, rng)
    return Reference(best, optimizer, random)


def search(
    problem: Problem, draws: list[dict[str, Value]], values: list[float], rng: np.random.Generator
) -> tuple[float, Config]:
    """The best of steps of all sizes from the five best so far."""
    leaders = sorted(zip(values, draws, strict=True), key=lambda pair: pair[0])[:5]
    for step in range(SEARCHED_STEPS):
        config = moved(problem, leaders[step % 5][1], rng)
        value = problem.true(config) if problem.is_feasible(config) else math.inf
        if value < leaders[-1][0] and config not in [c for _, c in leaders]:
            leaders = sorted([*leaders, (value, config)], key=lambda pair: pair[0])[:5]
    return leaders[0]


def moved(problem: Problem, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """The config with some parameters changed."""
    size = 10 ** rng.uniform(-2.5, -0.3)
    chance = rng.uniform(1 / len(problem.space), 1)
    return {p.name: _step(p, config[p.name], size, rng) if rng.random() < chance else config[p.name]
            for p in problem.space}  # fmt: skip


def _step(parameter: Parameter, value: Value, size: float, rng: np.random.Generator) -> Value:
    if isinstance(parameter, Category):
        return parameter.at(float(rng.random()))
    half = 0.5 if isinstance(parameter, Integer) else 0.0
    low, high = parameter.low - half, parameter.high + half
    scaled = math.log if parameter.log else float
    place = (scaled(float(value)) - scaled(low)) / (scaled(high) - scaled(low))
    return parameter.at(min(max(place + size * float(rng.standard_normal()), 0.0), 1.0))


def keep(measured: dict[str, Reference]) -> None:
    """Writes references into the file, beside those of other problems."""
    merged = {**references(), **measured}
    FILE.write_text(json.dumps({name: asdict(r) for name, r in merged.items()}, indent=1) + "\n")
    references.cache_clear()
