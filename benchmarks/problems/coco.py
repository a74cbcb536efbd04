"""Functions of the COCO platform (Hansen et al. 2021, arXiv 1603.08785), run by its own code: bbob and bbob-mixint."""

import math
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.problems.problem import Problem, Split
from benchmarks.problems.space import Config, Continuous, Integer, Space, vector

DEVELOPMENT = (
    ("bbob", 3, 5, 1, 50),
    ("bbob", 8, 10, 1, 60),
    ("bbob", 21, 5, 1, 50),
    ("bbob-mixint", 6, 10, 1, 60),
)
VALIDATION = (
    ("bbob", 10, 5, 2, 50),
    ("bbob", 17, 20, 2, 60),
    ("bbob", 22, 5, 2, 50),
    ("bbob-mixint", 15, 5, 2, 50),
)
"""Suite, function, dimensions, instance, budget."""


def development() -> list[Problem]:
    """Those that the optimizer may be designed on."""
    return [_problem(*given, Split.DEVELOPMENT) for given in DEVELOPMENT]


def validation() -> list[Problem]:
    """Those that are kept apart."""
    return [_problem(*given, Split.VALIDATION) for given in VALIDATION]


def _problem(suite: str, function: int, dimension: int, instance: int, budget: int, split: Split) -> Problem:
    def true(config: Config) -> float:
        return float(_load(suite, function, dimension, instance)(vector(config)))

    return Problem(f"{suite}-f{function}-{dimension}d", _space(suite, dimension), true, budget, split)


def _space(suite: str, dimension: int) -> Space:
    """[−5, 5]^d; of bbob-mixint, a fifth each of 2, 4, 8 and 16 whole numbers, then real numbers (arXiv 1906.09217)."""
    names = [f"x{i + 1}" for i in range(dimension)]
    if suite == "bbob":
        return tuple(Continuous(name, -5.0, 5.0) for name in names)
    levels = [2 ** (1 + 5 * i // dimension) for i in range(dimension)]
    return tuple(
        Integer(name, 0, count - 1) if count < 32 else Continuous(name, -5.0, 5.0)
        for name, count in zip(names, levels, strict=True)
    )


@cache
def _load(suite: str, function: int, dimension: int, instance: int) -> Any:
    import cocoex

    chosen = f"dimensions:{dimension} function_indices:{function} instance_indices:{instance}"
    return cocoex.Suite(suite, "", chosen)[0]


def known_optimizer(problem: Problem) -> dict[str, float | int | str] | None:
    """Where COCO says that the minimum is; it tells that in a file of the current folder."""
    given = next((g for g in DEVELOPMENT + VALIDATION if f"{g[0]}-f{g[1]}-{g[2]}d" == problem.name), None)
    if given is None:
        return None
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            _load(*given[:4])._best_parameter("print")
        finally:
            os.chdir(before)
        numbers = [float(word) for word in next(Path(folder).glob("._bbob*")).read_text().split()]
    assert len(numbers) == len(problem.space)
    assert all(map(math.isfinite, numbers))
    return {p.name: round(x) if p.kind == "integer" else x for p, x in zip(problem.space, numbers, strict=True)}
