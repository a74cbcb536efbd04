"""What early stopping saves, and what it costs: whole studies on the server's own use cases, epoch by epoch.

    python -m benchmarks.early_stopping --problems crossing,schedule,digits --rules none,median,halving,curve --seeds 5

Each study has four workers that take turns, one epoch at a time; the optimizer chooses the configurations. Two moments
are reported, to be compared with the rule `none`:

* when `--trials` trials have ended: the share of their epochs that was saved, and the regret;
* when as many epochs are spent as `--trials` whole trials have: how many trials were begun, and the regret.

Regret: (best possible - value) / (best possible - median of random configurations), where the value is the noise-free
final one of the trial that GetBestTrials names; floored at 0.001; geometric mean over seeds.
"""

import argparse
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import click
import numpy as np

from bo_service.application import best_trials, snapshot, studies, suggest_trials, trial_lifecycle
from bo_service.application.context import AppContext
from bo_service.application.ports import ComputationHandle, Optimizer, TrialSummary
from bo_service.application.snapshot import full_fidelity_values
from bo_service.domain.constraints import Configuration
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.parameter_types import DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Measurement, Trial
from bo_service.optimizer import suggest as core
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.numerics.computation_cache import CholeskyCache
from bo_service.storage.sqlite import SqliteStore

WORKERS = 4
EPOCHS = 30
FLOOR = 1e-3
RULES = {
    "none": StoppingRule.NONE,
    "median": StoppingRule.MEDIAN,
    "halving": StoppingRule.SUCCESSIVE_HALVING,
    "curve": StoppingRule.CURVE,
}


@dataclass(frozen=True)
class Problem:
    """A loss to minimize: `curve` gives it after each epoch as measured, and what the last one is without noise."""

    space: SearchSpace
    curve: Callable[[Configuration, int], tuple[Sequence[float], float]]
    """From the configuration and a seed."""
    best: float
    random: float
    """Median over random configurations."""


def unit(configuration: Configuration, space: SearchSpace) -> np.ndarray:
    """Return where a configuration lies in the unit cube."""
    places = []
    for parameter in space.parameters:
        domain, value = parameter.domain, float(configuration[parameter.name])
        assert isinstance(domain, FloatDomain)
        low, high = (math.log(v) if domain.scale is Scale.LOG else v for v in (domain.low, domain.high))
        places.append(((math.log(value) if domain.scale is Scale.LOG else value) - low) / (high - low))
    return np.array(places)


SYNTHETIC = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)),
        *(Parameter(name, FloatDomain(0.0, 1.0)) for name in ("dropout", "mix", "smooth")),
    )
)
BEST_PLACE = np.array([0.35, 0.6, 0.3, 0.75])


def synthetic(falls: Callable[[np.ndarray, float], np.ndarray], configuration: Configuration, seed: int) -> Any:
    """Return the losses of a rippled quadratic bowl; a small learning rate learns slowly, and overtakes late."""
    x = unit(configuration, SYNTHETIC)
    z = x - BEST_PLACE
    final = 0.1 + 1.5 * (z**2).sum() + 0.05 * (1 - np.cos(6 * np.pi * z)).sum() / 4
    t = np.arange(1, EPOCHS + 1) / EPOCHS
    start = 2.3 + (1.0 if x[0] > 0.9 else 0.0)
    clean = final + (start - final) * falls(t, x[0]) / 1.0
    noise = 0.02 * np.random.default_rng([seed, int(1e9 * x.sum())]).normal(size=EPOCHS)
    return clean + noise, float(clean[-1])


def crossing(t: np.ndarray, speed: float) -> np.ndarray:
    """Exponential decay whose time is 3 % to 60 % of the training."""
    return np.asarray(np.exp(-t / (0.6 * 0.05**speed)))


def schedule(t: np.ndarray, speed: float) -> np.ndarray:
    """Return a plateau until the learning rate is lowered at 70 % of the training, then a second fall."""
    late = np.where(t < 0.7, 1.0, np.exp(-(t - 0.7) / 0.05))
    return np.asarray(0.7 * np.exp(-t / (0.3 * 0.1**speed)) + 0.3 * late)


DIGITS = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)),
        Parameter("alpha", FloatDomain(1e-6, 1.0, Scale.LOG)),
        Parameter("momentum", FloatDomain(0.0, 0.99)),
        Parameter("width", IntDomain(4, 64, Scale.LOG)),
        Parameter("batch", DiscreteDomain((16, 32, 64, 128), Scale.LOG)),
    )
)


DIGITS_BEST = 0.095
"""A little below the best of four studies of 50 whole trials, 0.0966."""


def digits(configuration: Configuration, seed: int) -> tuple[Sequence[float], float]:
    """Validation log-loss of a multilayer perceptron on scikit-learn's digits, after each epoch of SGD."""
    curve = _trained(tuple(sorted(configuration.items())), seed)
    return curve, curve[-1]


@cache
def _trained(items: tuple[tuple[str, Any], ...], seed: int) -> tuple[float, ...]:
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(7).permutation(len(X))
    X, y = X[order] / 16.0, y[order]
    chosen = dict(items)
    model = MLPClassifier(
        (int(chosen["width"]),), solver="sgd", alpha=chosen["alpha"], batch_size=int(chosen["batch"]),
        learning_rate_init=chosen["lr"], momentum=chosen["momentum"], random_state=seed,
    )  # fmt: skip
    curve = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for _ in range(EPOCHS):
            try:
                model.partial_fit(X[:600], y[:600], classes=np.arange(10))
                chances = model.predict_proba(X[600:1200])[np.arange(600), y[600:1200]]
                loss = float(-np.log(np.clip(chances, 1e-7, 1)).mean())
            except ValueError:  # the weights became infinite
                loss = math.nan
            curve.append(min(loss, 16.2) if math.isfinite(loss) else 16.2)
    return tuple(curve)


def problems() -> dict[str, Callable[[], Problem]]:
    return {
        "crossing": lambda: scaled(SYNTHETIC, lambda c, s: synthetic(crossing, c, s)),
        "schedule": lambda: scaled(SYNTHETIC, lambda c, s: synthetic(schedule, c, s)),
        "digits": lambda: scaled(DIGITS, digits, count=60, best=DIGITS_BEST),
    }


def scaled(space: SearchSpace, curve: Callable[..., Any], count: int = 4000, best: float | None = None) -> Problem:
    """With the median of random configurations; without a `best`, theirs less a thousandth of the range."""
    inputs = OptimizerInput(space, SuggestionSettings(), seed=99)
    finals = sorted(curve(s.configuration, 0)[1] for s in quasi_random(inputs, count))
    median = finals[len(finals) // 2]
    return Problem(space, curve, finals[0] - 1e-3 * (median - finals[0]) if best is None else best, median)


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


class LocalOptimizer:
    """The core, called here; only what these studies ask of it."""

    def suggest(
        self,
        inputs: OptimizerInput,
        count: int,
        timeout: float,  # noqa: ARG002
        handle: ComputationHandle,  # noqa: ARG002
    ) -> SuggestionBatch | None:
        return core.suggest_with(inputs, count, CholeskyCache())

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        return quasi_random(inputs, count)

    def predict(self, inputs: OptimizerInput, configurations: Sequence[Configuration], timeout: float) -> Predictions:  # noqa: ARG002
        return core.predict(inputs, configurations)


def as_given(
    summaries: Sequence[TrialSummary],
    metric: Metric,
    most: float | None = None,  # noqa: ARG001
) -> dict[int, tuple[float, float]]:
    """Count a stopped trial for what it had, for comparison."""
    assert metric.goal is not None
    return {
        t.number: (metric.goal.sign * t.final_measurement.metrics[metric.name], 0.0)
        for t in summaries
        if t.final_measurement
    }


CREDITS = {"expected": full_fidelity_values, "given": as_given}


@contextmanager
def service() -> Iterator[AppContext]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "bo.db")
        yield AppContext.of(store, Clock(), cast(Optimizer, LocalOptimizer()))
        store.close()


def run_study(problem: Problem, settings: StoppingSettings, seed: int, count: int) -> dict[str, float]:
    """Return the figures of one study."""
    curves: dict[int, tuple[Sequence[float], float]] = {}
    spec = StudySpec(problem.space, (Metric("loss", Goal.MINIMIZE),), SuggestionSettings(seed=seed), stopping=settings)
    held: list[Trial] = []
    done: dict[int, int] = {}
    ended = epochs = spent = 0
    figures: dict[str, float] = {}

    def regret() -> float:
        best = best_trials.best_trials(app, "s", 1)
        value = curves[best[0].number][1] if best else problem.random
        return max((value - problem.best) / (problem.random - problem.best), FLOOR)

    with service() as app:
        studies.create_study(app, studies.NewStudy("s", spec, "", {}), None)
        while ended < count or epochs < count * EPOCHS:
            while len(held) < WORKERS:
                (trial,) = suggest_trials.suggest_trials(
                    app, suggest_trials.SuggestRequest("s", 1, "w", 60.0), None
                ).trials
                curves[trial.number] = problem.curve(trial.parameters, seed)
                held.append(trial)
            for trial in list(held):
                step = done[trial.number] = done.get(trial.number, 0) + 1
                epochs += 1
                measured = Measurement({"loss": float(curves[trial.number][0][step - 1])}, step)
                assert trial.lease is not None
                call = (app, "s", trial.number, trial.lease.token)
                heartbeat = trial_lifecycle.report_measurements(*call, [measured])
                if heartbeat.should_stop or step == EPOCHS:
                    trial_lifecycle.complete_trial(*call, measured, None)
                    held.remove(trial)
                    ended, spent = ended + 1, spent + step
                    if ended == count:
                        figures |= {"saved": 1 - spent / (count * EPOCHS), "regret_by_trials": regret()}
                if epochs == count * EPOCHS:
                    figures |= {"trials": len(curves), "regret_by_epochs": regret()}
    return figures


def geometric(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(v) for v in values) / len(values))


def main() -> None:
    parser = argparse.ArgumentParser(description="What early stopping saves, and what it costs.")
    parser.add_argument("--problems", default="crossing,schedule,digits")
    parser.add_argument("--rules", default="none,median,halving,curve")
    parser.add_argument("--credits", default="expected", help="expected: what stopped trials count for; or given")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--settings", default="{}", help='of the rule, as JSON, such as {"confidence": 0.9}')
    given = parser.parse_args()
    click.echo("| problem | rule | credit | epochs saved | regret by trials | trials begun | regret by epochs |")
    click.echo("|---|---|---|---|---|---|---|")
    for name in given.problems.split(","):
        problem = problems()[name]()
        for rule in given.rules.split(","):
            for credit in given.credits.split(",") if rule != "none" else ["-"]:
                settings = StoppingSettings(RULES[rule], **json.loads(given.settings))
                with patch.object(snapshot, "full_fidelity_values", CREDITS.get(credit, full_fidelity_values)):
                    studies = [run_study(problem, settings, seed, given.trials) for seed in range(given.seeds)]
                click.echo(f"| {name} | {rule} | {credit} | {table_row(studies)} |")


def table_row(studies: Sequence[Mapping[str, float]]) -> str:
    saved = np.mean([f["saved"] for f in studies])
    begun = np.mean([f["trials"] for f in studies])
    by_trials, by_epochs = (geometric([f[key] for f in studies]) for key in ("regret_by_trials", "regret_by_epochs"))
    return f"{saved:.0%} | {by_trials:.4f} | {begun:.0f} | {by_epochs:.4f}"


if __name__ == "__main__":
    main()
