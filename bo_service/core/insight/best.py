"""Is the best really best? By draws of the noise-free values at all configurations tried, jointly.

g configurations tried, with mean (g,) and covariance C (g, g) of their noise-free values, v the variance of the noise,
all in warped units; S draws (S, g). The warp is increasing, so that the best is the best in the user's units too.

Repeating each of k configurations r times turns their posterior mean m into m + G (f - m + e), where
G = C (C + v/r I)⁻¹ and e ~ N(0, v/r I): what would then look best is truly best with a probability that grows with r.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bo_service.core.axes import Array
from bo_service.core.insight.findings import BestFinding, Contender
from bo_service.core.insight.joint import joint, root
from bo_service.core.insight.view import View

CONFIDENCE = 0.95
DRAWS = 8192
MOST_CONFIGURATIONS = 200
"""Beyond so many, those with the lowest mean + 3 std are no candidates."""
MOST_CONTENDERS = 8
LEAST_PROBABILITY = 0.001
MOST_REPEATED = 4
MOST_REPEATS = 1000


@dataclass(frozen=True)
class _Group:
    """The trials of one configuration: row z (p,), number of the best, values."""

    z: Array
    trial: int
    values: tuple[float, ...]


def judge_best(view: View) -> BestFinding:
    """The configurations that may be the best of those tried, and what it would take to know."""
    groups, mean, C = _candidates(view)
    rng = view.bench.rng(21)
    normals = rng.standard_normal((2, DRAWS, len(groups)))
    F = mean + normals[0] @ root(C).T
    probability = np.bincount(F.argmax(axis=1), minlength=len(groups)) / DRAWS
    order = sorted(range(len(groups)), key=lambda i: (-probability[i], -mean[i], groups[i].trial))
    best = max(range(len(groups)), key=lambda i: (max(groups[i].values), -groups[i].trial))
    kept = [i for i in order[:MOST_CONTENDERS] if probability[i] >= LEAST_PROBABILITY or i == order[0]]
    kept += [] if best in kept else [best]
    tops = view.warp.backward(F.max(axis=1))
    centers, stds = view.warp.moments(mean[kept], np.sqrt(np.diag(C)[kept]))
    noise = view.process.noise

    def repeats(chosen: list[int]) -> int | None:
        return repeats_to_tell(mean[chosen], C[np.ix_(chosen, chosen)], noise, normals[:, :, : len(chosen)])

    contenders = [
        Contender(
            trial=groups[i].trial,
            observations=len(groups[i].values),
            value=float(np.mean(groups[i].values)),
            mean=float(center),
            std=float(std),
            probability=float(probability[i]),
            expected_regret=float((tops - view.warp.backward(F[:, i])).mean()),
            repeats=0 if i == order[0] else repeats([order[0], i]),
        )
        for i, center, std in zip(kept, centers, stds, strict=True)
    ]
    few = repeats(order[: min(MOST_REPEATED, len(order))])
    noise_std = float(view.warp.moments(mean[[order[0]]], np.sqrt(np.array([noise])))[1][0])
    summary = _sentences(contenders, groups[best].trial)
    return BestFinding(summary, tuple(contenders), groups[best].trial, noise_std, CONFIDENCE, few)


def repeats_to_tell(mean: Array, C: Array, noise: float, normals: Array) -> int | None:
    """How often each of k configurations must be repeated until the best of them is known with CONFIDENCE.

    Args:
        mean: (k,) of the posterior.
        C: (k, k) its covariance.
        noise: variance of one observation.
        normals: (2, S, k) standard normal draws.

    Returns:
        0 where it is known; None where MOST_REPEATS are not enough.
    """
    away = normals[0] @ root(C).T
    truly = (mean + away).argmax(axis=1)

    def is_told(r: int) -> bool:
        if r == 0:
            return bool((truly == int(mean.argmax())).mean() >= CONFIDENCE)
        share = noise / r
        gain = np.linalg.lstsq(C + share * np.eye(len(C)), C, rcond=None)[0]
        seen = mean + (away + np.sqrt(share) * normals[1]) @ gain
        return bool((seen.argmax(axis=1) == truly).mean() >= CONFIDENCE)

    return _least(is_told)


def _least(is_enough: Callable[[int], bool]) -> int | None:
    """The least r from 0 to MOST_REPEATS that is enough, where more is always better; None where none is."""
    if is_enough(0):
        return 0
    if not is_enough(MOST_REPEATS):
        return None
    low, high = 0, MOST_REPEATS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _candidates(view: View) -> tuple[list[_Group], Array, Array]:
    """The configurations with values, in the order of their trials, with mean (g,) and covariance (g, g)."""
    found: dict[bytes, _Group] = {}
    for trial, z in zip(view.bench.past, view.bench.past_rows, strict=True):
        if trial.value is None or not np.isfinite(trial.value):
            continue
        known = found.get(z.tobytes())
        is_better = known is None or trial.value > max(known.values)
        number = trial.number if known is None or is_better else known.trial
        found[z.tobytes()] = _Group(z, number, (*(known.values if known else ()), trial.value))
    groups = sorted(found.values(), key=lambda g: g.trial)
    X = view.bench.encoding.features(np.array([g.z for g in groups]))
    if len(groups) > MOST_CONFIGURATIONS:
        posterior = view.process.posterior(X)
        hopeful = np.argsort(-(posterior.mean + 3.0 * posterior.std), kind="stable")[:MOST_CONFIGURATIONS]
        best = int(np.argmax([max(g.values) for g in groups]))
        kept = np.union1d(hopeful, [best])
        groups, X = [groups[i] for i in kept], X[kept]
    return groups, *joint(view.process, X)


def _sentences(contenders: list[Contender], observed_best: int) -> str:
    leader, *others = contenders
    said = f"Trial {leader.trial} is the best of those tried with probability {leader.probability:.2f}"
    rival = next((c for c in others if c.probability >= LEAST_PROBABILITY), None)
    if leader.probability >= CONFIDENCE or rival is None:
        told = f"{said}."
    elif rival.repeats is None:
        told = f"{said}; {MOST_REPEATS} repeats of each would not tell it from trial {rival.trial}: equally good."
    elif rival.repeats == 0:
        told = f"{said}, and all but certainly better than trial {rival.trial}; the doubt is spread over others."
    else:
        times = "once" if rival.repeats == 1 else f"{rival.repeats} times"
        told = f"{said}; to tell it from trial {rival.trial} with {CONFIDENCE:.0%} confidence, repeat each {times}."
    if observed_best == leader.trial:
        return told
    lucky = next(c for c in contenders if c.trial == observed_best)
    return (
        f"{told} Trial {observed_best} has the best value seen, and is best with probability {lucky.probability:.2f}."
    )
