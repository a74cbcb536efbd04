"""What earlier studies save, and what they cost where they mislead: whole studies on the server's own use cases.

    python -m benchmarks.warm_start --problems branin,hartmann6 --sources none,good,bad,meaningless --seeds 4

Each study starts from one earlier study of 40 trials: 20 that fill the space, then 20 near its best so far. It is

* `good`: the same function, its numeric parameters moved by up to a tenth of their ranges, in other units;
* `bad`: the function mirrored, so that its best is the worst;
* `meaningless`: random values;
* `none`: not there.

Regret after 10 and 20 trials: (best value so far - minimum) / (median of random configurations - minimum), floored at
0.0001; geometric mean over seeds.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click
import numpy as np
from bo_objectives.functions import Function, ackley, branin, hartmann6, rosenbrock

from benchmarks.early_stopping import geometric, service
from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext
from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Measurement
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput

LOSS = Metric("loss", Goal.MINIMIZE)
SOURCE_TRIALS = 40
MOVE, NEAR = 0.1, 0.1
"""Shares of a range: the most by which the good source is moved, and the spread of its later trials."""
MOMENTS = (10, 20)
FLOOR = 1e-4

Loss = Callable[[Configuration], float]


@dataclass(frozen=True)
class Problem:
    """A loss to minimize, and its least value."""

    space: SearchSpace
    loss: Loss
    minimum: float = 0.0


def classical(function: Function) -> Problem:
    names = [f"x{i}" for i in range(1, len(function.bounds) + 1)]
    ranges = zip(names, function.bounds, strict=True)
    return Problem(
        SearchSpace(tuple(Parameter(n, FloatDomain(*r)) for n, r in ranges)), function.value, function.minimum
    )


CUBE = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "abcde"))


def narrow(c: Configuration) -> float:
    """Return a bowl that is steep in some parameters and nearly flat in others."""
    places = {"a": 0.8, "b": 0.25, "c": 0.6, "d": 0.3, "e": 0.7}
    return sum(10.0**-k * (float(c[name]) - at) ** 2 for k, (name, at) in enumerate(places.items()))


def ripples(c: Configuration) -> float:
    """Return a bowl with many small dents."""
    z = np.array([float(c[name]) for name in "abcde"]) - np.array([0.35, 0.6, 0.3, 0.75, 0.5])
    return float((z**2).sum() + 0.02 * (1.0 - np.cos(6 * np.pi * z)).sum())


RATES = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-5, 1.0, Scale.LOG)),
        Parameter("decay", FloatDomain(1e-7, 1e-1, Scale.LOG)),
        Parameter("momentum", FloatDomain(0.0, 0.99)),
    )
)


def rates(c: Configuration) -> float:
    """Return a loss that falls slowly with the rate and jumps where training diverges: a cliff beside the best."""
    speed = math.log10(float(c["lr"]) / (1.0 - float(c["momentum"])))
    cliff = 2.0 / (1.0 + math.exp(-12.0 * (speed + 0.8)))
    return 0.25 * (speed + 1.3) ** 2 + cliff + 0.03 * (math.log10(float(c["decay"])) + 4.0) ** 2


TRAINING = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-5, 1e-1, Scale.LOG)),
        Parameter("kind", CategoricalDomain(("a", "b", "c", "d"))),
        Parameter("layers", IntDomain(1, 8)),
        Parameter("drop", FloatDomain(0.0, 0.6)),
        Parameter("batch", DiscreteDomain((16, 32, 64, 128), Scale.LOG)),
        Parameter("tune", CategoricalDomain((False, True))),
        Parameter("lr_backbone", FloatDomain(1e-6, 1e-2, Scale.LOG), activation=Activation("tune", (True,))),
    )
)


def training(c: Configuration) -> float:
    """Return a loss over categories, steps and a parameter that isn't always there."""
    loss = 0.3 * (math.log10(float(c["lr"])) + 3.2) ** 2 + {"a": 0.3, "b": 0.1, "c": 0.0, "d": 0.5}[str(c["kind"])]
    loss += 0.02 * abs(int(c["layers"]) - 5) + 0.4 * (float(c["drop"]) - 0.35) ** 2
    loss += 0.1 * abs(math.log2(int(c["batch"]) / 32))
    return loss + (0.1 + 0.1 * (math.log10(float(c["lr_backbone"])) + 4.3) ** 2 if c["tune"] else 0.0)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "branin": lambda: classical(branin()),
    "rosenbrock3": lambda: classical(rosenbrock("3")),
    "ackley4": lambda: classical(ackley("4")),
    "hartmann6": lambda: classical(hartmann6()),
    "narrow": lambda: Problem(CUBE, narrow),
    "ripples": lambda: Problem(CUBE, ripples),
    "rates": lambda: Problem(RATES, rates, 0.0033),
    "training": lambda: Problem(TRAINING, training),
}


def moved(problem: Problem, rng: np.random.Generator) -> Loss:
    """In other units, and elsewhere: by the same step for all configurations."""
    encoding = Encoding(problem.space)
    numeric = np.array([not isinstance(p.domain, CategoricalDomain) for p in problem.space.parameters])
    step = numeric * rng.uniform(-MOVE, MOVE, len(numeric))

    def loss(c: Configuration) -> float:
        (z,) = encoding.encode([c])
        return 40.0 + 7.0 * problem.loss(encoding.decode(shifted(encoding, z, step, numeric)))

    return loss


def shifted(encoding: Encoding, z: np.ndarray, step: np.ndarray, numeric: np.ndarray) -> np.ndarray:
    """Return a row (p,) moved along the numeric axes, within their ranges."""
    return np.asarray(encoding.round_to_valid(np.where(numeric, np.clip(z + step, 0.0, 1.0), z)[None])[0])


SOURCES: dict[str, Callable[[Problem, np.random.Generator], Loss]] = {
    "good": moved,
    "bad": lambda problem, _: lambda c: -problem.loss(c),
    "meaningless": lambda _, rng: lambda c: float(rng.normal()),  # noqa: ARG005
}


def add_source(app: AppContext, problem: Problem, loss: Loss, rng: np.random.Generator) -> None:
    """Add the study `earlier`, with all of its trials."""
    studies.create_study(app, studies.NewStudy("earlier", StudySpec(problem.space, (LOSS,)), "", {}), None)
    encoding = Encoding(problem.space)
    numeric = np.array([not isinstance(p.domain, CategoricalDomain) for p in problem.space.parameters])
    inputs = OptimizerInput(problem.space, SuggestionSettings(), int(rng.integers(2**31)))
    tried = [(loss(s.configuration), s.configuration) for s in quasi_random(inputs, SOURCE_TRIALS // 2)]
    while len(tried) < SOURCE_TRIALS:
        (best,) = encoding.encode([min(tried, key=lambda t: t[0])[1]])
        near = encoding.decode(shifted(encoding, best, rng.normal(0.0, NEAR, len(best)), numeric))
        tried.append((loss(near), near))
    for value, configuration in tried:
        done = trials.NewTrial(configuration, {}, final_measurement=Measurement({"loss": value}))
        trials.create_trial(app, "earlier", done, None)


def run_study(problem: Problem, kind: str, seed: int) -> list[float]:
    """Return the best value after each of MOMENTS."""
    rng = np.random.default_rng([seed, 7])
    values: list[float] = []
    with service() as app:
        if kind != "none":
            add_source(app, problem, SOURCES[kind](problem, rng), rng)
        settings = SuggestionSettings(seed=seed, warm_start_studies=() if kind == "none" else ("earlier",))
        spec = StudySpec(problem.space, (LOSS,), settings)
        studies.create_study(app, studies.NewStudy("s", spec, "", {}), None)
        for _ in range(max(MOMENTS)):
            (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 60.0), None).trials
            values.append(problem.loss(trial.parameters))
            assert trial.lease is not None
            result = Measurement({"loss": values[-1]})
            trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, result, None)
    return [min(values[:count]) for count in MOMENTS]


def median_of(problem: Problem) -> float:
    """Over random configurations."""
    drawn = quasi_random(OptimizerInput(problem.space, SuggestionSettings(), 99), 2000)
    return float(np.median([problem.loss(s.configuration) for s in drawn]))


def regrets(problem: Problem, kind: str, seeds: int) -> list[list[float]]:
    """Return one row a seed, one column for each of MOMENTS."""
    span = median_of(problem) - problem.minimum
    best = [run_study(problem, kind, seed) for seed in range(seeds)]
    return [[max((value - problem.minimum) / span, FLOOR) for value in row] for row in best]


def table_row(name: str, kind: str, regrets: Sequence[Sequence[float]]) -> str:
    means = " | ".join(f"{geometric(column):.4f}" for column in zip(*regrets, strict=True))
    return f"| {name} | {kind} | {means} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="What earlier studies save, and what they cost where they mislead.")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--sources", default="none,good,bad,meaningless")
    parser.add_argument("--seeds", type=int, default=4)
    given = parser.parse_args()
    kinds = given.sources.split(",")
    everything: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    click.echo("| problem | source | " + " | ".join(f"regret after {count}" for count in MOMENTS) + " |")
    click.echo("|---" * (2 + len(MOMENTS)) + "|")
    for name in given.problems.split(","):
        problem = PROBLEMS[name]()
        for kind in kinds:
            regrets_by_arm = regrets(problem, kind, given.seeds)
            everything[kind] += regrets_by_arm
            click.echo(table_row(name, kind, regrets_by_arm))
    for kind in kinds:
        click.echo(table_row("all", kind, everything[kind]))


if __name__ == "__main__":
    main()
