"""How the time of a computed suggestion grows with observations and with parameters: processor time, on one thread.

Usage: python -m benchmarks.growth --observations 100,300,1000,3000,10000 --parameters 2,4,8,16,32,64

*Learned anew*: all that a suggestion takes. *From one to the next*: as it is in a server, where hyperparameters and
factors of the last milestone are at hand, the learning at the next milestone counted in.

The exponent e says that time grows like n^e: the slope of a line through the logarithms (least squares).
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import linear_regression, median

import click
import numpy as np
from threadpoolctl import threadpool_limits

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.gp.refit_schedule import last_refit_size
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.numerics.computation_cache import CholeskyCache
from bo_service.optimizer.suggest import suggest, suggest_with

USUAL_OBSERVATIONS, USUAL_PARAMETERS = 200, 8


def inputs(observations: int, parameters: int) -> OptimizerInput:
    """Random points of a bowl in which the first parameters matter most, with a little noise."""
    rng = np.random.default_rng(0)
    names = [f"x{j}" for j in range(parameters)]
    X = rng.random((observations, parameters))
    values = -((X - 0.3) ** 2) @ (0.7 ** np.arange(parameters)) + 0.01 * rng.standard_normal(observations)
    past = tuple(
        Observation(i + 1, dict(zip(names, map(float, x), strict=True)), float(y))
        for i, (x, y) in enumerate(zip(X, values, strict=True))
    )
    space = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in names))
    return OptimizerInput(space, SuggestionSettings(), 0, past)


def seconds(given: OptimizerInput, repeats: int) -> float:
    """Return the median seconds of one suggestion where nothing was learned before."""
    durations = []
    for _ in range(repeats):
        begin = time.process_time()
        suggest(given, 1)
        durations.append(time.process_time() - begin)
    return median(durations)


def seconds_going_on(observations: int) -> float:
    """Return the mean seconds of a suggestion between two milestones, while observations come in one by one."""
    last = next(n for n in range(observations + 1, 2 * observations + 2) if last_refit_size(n) == n)
    whole, factors = inputs(last, USUAL_PARAMETERS), CholeskyCache()
    learned = suggest_with(replace(whole, observations=whole.observations[:observations]), 1, factors).hyperparameters
    begin = time.process_time()
    for n in range(observations + 1, last + 1):
        learned = suggest_with(
            replace(whole, observations=whole.observations[:n], hyperparameters=learned), 1, factors
        ).hyperparameters
    return (time.process_time() - begin) / (last - observations)


def exponent(sizes: Sequence[int], taken: Sequence[float]) -> float:
    """e, where time grows like size^e."""
    return linear_regression([math.log(n) for n in sizes], [math.log(t) for t in taken]).slope


def table(label: str, sizes: Sequence[int], taken: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Milliseconds in columns, and the exponents of each."""
    yield f"| {label} | {' | '.join(taken)} |"
    yield "|---" * (len(taken) + 1) + "|"
    for i, n in enumerate(sizes):
        yield f"| {n} | {' | '.join(f'{1e3 * column[i]:.0f}' for column in taken.values())} |"
    yield f"| exponent | {' | '.join(f'{exponent(sizes, column):.2f}' for column in taken.values())} |\n"


@click.command()
@click.option("--observations", default="30,100,300,1000,3000,10000", show_default=True)
@click.option("--parameters", default="2,4,8,16,32,64", show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(observations: str, parameters: str, repeats: int) -> None:
    """Measure computed suggestions."""
    counts, widths = ([int(n) for n in given.split(",")] for given in (observations, parameters))
    with threadpool_limits(1):
        seconds(inputs(30, 2), 1)  # what is loaded at the first call
        by_count = {
            "learned anew": [seconds(inputs(n, USUAL_PARAMETERS), repeats) for n in counts],
            "from one to the next": [seconds_going_on(n) for n in counts],
        }
        by_width = {"learned anew": [seconds(inputs(USUAL_OBSERVATIONS, p), repeats) for p in widths]}
    click.echo("\n".join(table(f"observations, {USUAL_PARAMETERS} parameters", counts, by_count)))
    click.echo("\n".join(table(f"parameters, {USUAL_OBSERVATIONS} observations", widths, by_width)))


if __name__ == "__main__":
    main()
