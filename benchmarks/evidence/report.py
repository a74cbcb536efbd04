"""How many trials each arm needs for what random search reaches, and what that says of the targets of the plan.

R replays, n trials.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.study import Evidence, Replay

OURS, RANDOM, GRID = "ours", "random", "grid"
PEERS = ("optuna-tpe", "optuna-gp", "keras-tuner", "hebo")
ARMS = (OURS, *PEERS, "sobol", GRID, RANDOM)
LEVEL_AT = 100
REPLAYS = 50
RESAMPLES = 2_000
SIZES = {"emoji-frozen": 512, "mnist-frozen": 300}
"""Configurations of the whole tables."""
Curves = Mapping[str, NDArray[np.float64]]
"""Scores of each arm, (R, n), the same replays in the same rows for all arms."""


@dataclass(frozen=True)
class Count:
    """Trials after which an arm's curve is at the level, and their interval; one more than it had where it never is."""

    trials: int
    low: int
    high: int
    budget: int

    def __str__(self) -> str:
        told = (f"> {self.budget}" if n > self.budget else str(n) for n in (self.trials, self.low, self.high))
        return "{} ({} to {})".format(*told)


@dataclass(frozen=True)
class Target:
    """A limit on the trials of ours, as a share of those of another arm, and the share that was measured."""

    other: str
    limit: float
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Say whether the target is met, and whether the interval shows it."""
        if self.ratio > self.limit:
            return "not met"
        return "met, and shown" if self.high <= self.limit else "met, not shown"


def curves_of(evidence: Evidence, replays: Sequence[Replay]) -> dict[str, NDArray[np.float64]]:
    """Return the curves of the arms' newest versions on this table, over the seeds that all arms have."""
    chosen = [r for r in replays if r.table == evidence.name and r.digest == evidence.digest]
    newest = {r.arm: r.version for r in chosen}
    by_arm = {arm: {r.seed: r for r in chosen if r.arm == arm and r.version == newest[arm]} for arm in newest}
    seeds = sorted(set.intersection(*map(set, by_arm.values()))) if by_arm else []
    found = {arm: [evidence.curve(by_arm[arm][seed]) for seed in seeds] for arm in ARMS if arm in by_arm and seeds}
    return {arm: np.stack([c[: min(map(len, curves))] for c in curves]) for arm, curves in found.items()}


def level(curves: Curves, drawn: NDArray[np.int64]) -> float:
    """Return the mean score of random search at LEVEL_AT trials, or at its last, over some replays."""
    random = curves[RANDOM]
    return float(random[drawn, min(LEVEL_AT, random.shape[1]) - 1].mean())


def trials_to(curve: NDArray[np.float64], at: float) -> int:
    """Return the first trial after which a mean curve (n,) is at a level or below; n + 1 if it never is."""
    reached = np.flatnonzero(curve <= at + 1e-12)
    return int(reached[0]) + 1 if len(reached) else len(curve) + 1


def counts(curves: Curves) -> tuple[dict[str, Count], dict[str, NDArray[np.int64]]]:
    """Return the figure of each arm, and those of the bootstrap's resamples (RESAMPLES,)."""
    replays = len(curves[RANDOM])
    whole, rng = np.arange(replays), np.random.default_rng(0)
    resampled: dict[str, list[int]] = {arm: [] for arm in curves}
    for drawn in rng.integers(replays, size=(RESAMPLES, replays)):
        at = level(curves, drawn)
        for arm, scores in curves.items():
            resampled[arm].append(trials_to(scores[drawn].mean(axis=0), at))
    drawn_counts = {arm: np.array(values) for arm, values in resampled.items()}
    found = {}
    for arm, scores in curves.items():
        low, high = np.quantile(drawn_counts[arm], [0.025, 0.975], method="nearest")
        trials = trials_to(scores.mean(axis=0), level(curves, whole))
        found[arm] = Count(trials, int(low), int(high), scores.shape[1])
    return found, drawn_counts


def targets(found: Mapping[str, Count], drawn: Mapping[str, NDArray[np.int64]]) -> list[Target]:
    """Return the plan's targets, of those arms that were run."""
    peers = [arm for arm in PEERS if arm in found]
    best = min(peers, key=lambda arm: found[arm].trials, default="")
    limits = {RANDOM: 1 / 4, GRID: 1 / 3, best: 2 / 3}
    made = []
    for other, limit in limits.items():
        if other in found and OURS in found:
            ratios = drawn[OURS] / drawn[other]
            low, high = np.quantile(ratios, [0.025, 0.975])
            ratio = found[OURS].trials / found[other].trials
            made.append(Target(other, limit, ratio, float(low), float(high)))
    return made


def markdown(tables: Sequence[Evidence], replays: Sequence[Replay]) -> str:
    """Return the report."""
    parts = [
        "# The evidence on the real objective\n",
        "What is counted: [the plan](../evidence/plan.md).\n",
    ]
    for evidence in tables:
        curves = curves_of(evidence, replays)
        parts.append(f"## {evidence.name}\n")
        parts.append("\n".join(_state(evidence, curves)) + "\n")
        if RANDOM in curves:
            parts.append(_section(curves, replays, evidence))
    return "\n".join(parts)


def _state(evidence: Evidence, curves: Curves) -> list[str]:
    rows, size = int(evidence.recorded.sum()), SIZES.get(evidence.name, len(evidence.table.configurations))
    count = len(next(iter(curves.values()))) if curves else 0
    missing = [arm for arm in ARMS if arm not in curves]
    reasons = [f"{rows} of {size} configurations are recorded"] if rows < size else []
    reasons += [f"{count} of {REPLAYS} replays"] if count < REPLAYS else []
    reasons += [f"not run: {', '.join(missing)}"] if missing else []
    lines = [f"{rows} configurations, {evidence.table.seeds} recordings of each; {count} replays of each arm."]
    return lines + ([f"**Preliminary** ({'; '.join(reasons)}): nothing is claimed."] if reasons else [])


def _section(curves: Curves, replays: Sequence[Replay], evidence: Evidence) -> str:
    found, drawn = counts(curves)
    at = level(curves, np.arange(len(curves[RANDOM])))
    lines = [
        f"The level, random's score at {min(LEVEL_AT, curves[RANDOM].shape[1])} trials: {at:.4f} nats on recordings "
        f"that the search did not see; the best configuration has {evidence.unseen(0)[evidence.recorded].min():.4f}.\n",
        "| arm | trials to the level (95 %) | score at 10 | 25 | 50 | 100 | seconds a trial |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm, scores in curves.items():
        mean = scores.mean(axis=0)
        cells = [f"{mean[n - 1]:.4f}" if n <= len(mean) else "" for n in (10, 25, 50, 100)]
        of_arm = [r for r in replays if r.arm == arm and r.table == evidence.name]
        seconds = sum(r.seconds for r in of_arm) / sum(len(r.rows) for r in of_arm)
        lines.append(f"| {arm} | {found[arm]} | {' | '.join(cells)} | {seconds:.3f} |")
    lines += ["", "| target: ours needs at most | ratio (95 %) | |", "|---|---|---|"]
    lines += [
        f"| {t.limit:.2f} of {t.other}'s trials | {t.ratio:.2f} ({t.low:.2f} to {t.high:.2f}) | {t.verdict} |"
        for t in targets(found, drawn)
    ]
    return "\n".join(lines) + "\n"


def picture(tables: Sequence[Evidence], replays: Sequence[Replay], path: Path) -> None:
    """Draw the mean curves of each table into a PNG file, with the level."""
    from matplotlib.figure import Figure

    drawn = [(e.name, c) for e in tables if RANDOM in (c := curves_of(e, replays))]
    figure = Figure(figsize=(5.5 * max(len(drawn), 1), 4), layout="constrained")
    for axes, (name, curves) in zip(np.atleast_1d(figure.subplots(1, max(len(drawn), 1))), drawn, strict=False):
        at = level(curves, np.arange(len(curves[RANDOM])))
        for arm, scores in curves.items():
            mean = scores.mean(axis=0)
            axes.plot(np.arange(1, len(mean) + 1), mean, label=arm, linewidth=2.2 if arm == OURS else 1.2)
        axes.axhline(at, color="gray", linestyle=":", linewidth=1)
        highest = max(float(scores.mean(axis=0)[min(5, scores.shape[1]) - 1]) for scores in curves.values())
        axes.set(title=name, xlabel="trials", ylabel="validation loss, unseen folds", xscale="log")
        axes.set_ylim(top=highest)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
