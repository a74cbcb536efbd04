"""Whether predictions deserve their standard deviations: how often the truth is inside the interval they make.

The surrogate learns from random trials, and predicts the noise-free value of random configs that it was not shown. An
interval of p is mean ± z_p · std in the user's units; coverage is the share of values inside. Good coverage is p.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, spearmanr

from benchmarks.peers.ours import Ours
from benchmarks.problems.problem import Problem
from benchmarks.problems.space import described, draw
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.suggest import predict

LEVELS = (0.5, 0.9)
HELD_BACK = 50


@dataclass(frozen=True)
class Coverage:
    """The share of one problem's values inside each interval, and the rank correlation of prediction and truth."""

    problem: str
    shares: tuple[float, ...]
    correlation: float


def coverage(problem: Problem, trials: int, seeds: list[int]) -> Coverage:
    """After `trials` random trials, over some seeds."""
    runs = [_errors(problem, trials, seed) for seed in seeds]
    z = np.concatenate([errors for errors, _ in runs])
    shares = tuple(float(np.mean(np.abs(z) <= norm.ppf(0.5 + level / 2))) for level in LEVELS)
    return Coverage(problem.name, shares, float(np.mean([correlation for _, correlation in runs])))


def _errors(problem: Problem, trials: int, seed: int) -> tuple[np.ndarray, float]:
    """Standardized errors of held-back predictions, and their rank correlation with the truth."""
    rng = np.random.default_rng([seed, 11])
    ours = Ours(described(problem.space), seed)
    for _ in range(trials):
        config = draw(problem.space, rng)
        ours.tell(config, problem.evaluate(config, rng) if problem.is_feasible(config) else None)
    held = [draw(problem.space, rng) for _ in range(HELD_BACK)]
    held = [c for c in held if problem.is_feasible(c)]
    predictions = predict(OptimizerInput(ours.space, SuggestionSettings(), seed, ours.past), held)
    expected = [point.expected[0] for point in predictions.points]
    mean, std = np.array([e.mean for e in expected]), np.array([e.std for e in expected])
    true = -np.array([problem.true(c) for c in held])
    return (true - mean) / np.maximum(std, 1e-300), float(spearmanr(mean, true).statistic)


def table(coverages: list[Coverage]) -> str:
    """Yield a line for each problem, and one of the means."""
    heads = " | ".join(f"inside {level:.0%}" for level in LEVELS)
    lines = [f"| problem | {heads} | rank correlation |", "|---" * (len(LEVELS) + 2) + "|"]
    mean = Coverage(
        "**mean**",
        tuple(float(np.mean([c.shares[i] for c in coverages])) for i in range(len(LEVELS))),
        float(np.mean([c.correlation for c in coverages])),
    )
    shown = [*coverages, mean]
    lines += [f"| {c.problem} | {' | '.join(f'{s:.2f}' for s in c.shares)} | {c.correlation:.2f} |" for c in shown]
    return "\n".join(lines)
