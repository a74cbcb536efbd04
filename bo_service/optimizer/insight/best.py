"""Is the best really best? By draws of the noise-free values at all configurations tried, jointly.

g configurations tried; surrogates with hyperparameters drawn from their posterior, each with a mean (g,) and covariance
C (g, g) of the noise-free values and a variance v of the noise, all in warped units; S draws from each. The warp is
increasing, so that the best is the best in the user's units too.

Repeating each of k configurations r times turns their posterior mean m into m + G (f - m + e), where
G = C (C + v/r I)⁻¹ and e ~ N(0, v/r I): what would then look best is truly best with a probability that grows with r.
Differences below half the noise of one run aren't worth telling apart (an indifference zone, as of Bechhofer 1954).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from bo_service.domain.errors import NotEnoughData
from bo_service.optimizer.gp.output_transform import MOST
from bo_service.optimizer.insight.joint_posterior import joint, matrix_sqrt
from bo_service.optimizer.insight.moments import average, spread
from bo_service.optimizer.insight.results import BestFinding, Contender
from bo_service.optimizer.insight.surrogate_view import SurrogateView
from bo_service.optimizer.numerics.array import Array

CONFIDENCE = 0.95
DRAWS = 8192
MOST_CONFIGURATIONS = 200
"""Beyond so many, those with the lowest mean + 3 std are no candidates."""
MOST_CONTENDERS = 8
LEAST_PROBABILITY = 0.001
MOST_REPEATED = 4
MOST_REPEATS = 100
INDIFFERENT = 0.5
"""In standard deviations of the noise."""


@dataclass(frozen=True)
class _Candidate:
    """The trials of one configuration: row z (p,), number of the best, values."""

    z: Array
    trial: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class JointPosterior:
    """What one surrogate says of k configurations together, and draws of it; variances of the noise in warped units."""

    mean: Array
    C: Array
    noise: float
    normals: Array
    """(2, S, k) standard normal draws."""

    @cached_property
    def away(self) -> Array:
        """The draws (S, k) of the values, less their mean."""
        return np.asarray(self.normals[0] @ matrix_sqrt(self.C).T)

    @property
    def draws(self) -> Array:
        """The draws (S, k) of the values."""
        return self.mean + self.away

    def right(self, chosen: NDArray[np.intp]) -> float:
        """Return how often what is chosen (S,) of the draws is the best of them, or as good."""
        draws = self.draws
        behind = draws.max(axis=1) - np.take_along_axis(draws, chosen[:, None], axis=1)[:, 0]
        return float((behind <= INDIFFERENT * np.sqrt(self.noise)).mean())

    def repeated(self, r: int) -> Array:
        """Return (S, k): what each draw would make of the posterior mean, were each configuration repeated r times."""
        share = self.noise / r
        gain = np.linalg.lstsq(self.C + share * np.eye(len(self.C)), self.C, rcond=None)[0]
        return np.asarray(self.mean + (self.away + np.sqrt(share) * self.normals[1]) @ gain)

    def of(self, chosen: Sequence[int]) -> "JointPosterior":
        """Return the joint posterior of some of them alone."""
        return JointPosterior(
            self.mean[chosen], self.C[np.ix_(chosen, chosen)], self.noise, self.normals[:, :, : len(chosen)]
        )


def judge_best(view: SurrogateView) -> BestFinding:
    """Find the configurations that may be the best of those tried, and what it would take to know.

    Trials that a rule stopped early are none of them: what was expected of them was not observed.

    Raises:
        NotEnoughData: a rule stopped every trial.
    """
    groups = _candidates(view)
    X = view.encoded.encoding.features(np.array([g.z for g in groups]))
    beliefs = _beliefs(view, X)
    F = np.concatenate([b.draws for b in beliefs])
    probability = np.bincount(F.argmax(axis=1), minlength=len(groups)) / len(F)
    order = sorted(range(len(groups)), key=lambda i: (-probability[i], groups[i].trial))
    best = max(range(len(groups)), key=lambda i: (max(groups[i].values), -groups[i].trial))
    kept = [i for i in order[:MOST_CONTENDERS] if probability[i] >= LEAST_PROBABILITY or i == order[0]]
    kept += sorted({best, int(F.mean(axis=0).argmax())}.difference(kept))
    told = _contenders(view, [groups[i] for i in kept], F.max(axis=1), F[:, kept], probability[kept])
    repeats = [0, *(repeats_to_tell([b.of([order[0], i]) for b in beliefs]) for i in kept[1:])]
    recommended = min(range(len(kept)), key=lambda j: (told[j].expected_regret, j))
    behind = (F[:, kept[recommended], None] > F[:, kept]).mean(axis=0)
    contenders = tuple(
        replace(c, repeats=r, probability_behind=None if j == recommended else float(p))
        for j, (c, r, p) in enumerate(zip(told, repeats, behind, strict=True))
    )
    few = order[: min(MOST_REPEATED, len(order))]
    return BestFinding(
        summary=_sentences(contenders, groups[best].trial),
        contenders=contenders,
        observed_best=groups[best].trial,
        recommended=contenders[recommended].trial,
        noise_std=_noise_std(view, X[order[0]]),
        confidence=CONFIDENCE,
        repeats=repeats_to_tell([b.of(few) for b in beliefs]),
        stopped=sum(t.is_short for t in view.encoded.observations),
    )


def repeats_to_tell(beliefs: Sequence[JointPosterior]) -> int:
    """Return how often each of k configurations must be repeated to know the best with CONFIDENCE; 0 if it is known."""
    favorite = int(np.mean([b.mean for b in beliefs], axis=0).argmax())

    def is_told(r: int) -> bool:
        if r:
            shares = [b.right(b.repeated(r).argmax(axis=1)) for b in beliefs]
        else:
            shares = [b.right(np.full(len(b.away), favorite)) for b in beliefs]
        return bool(np.mean(shares) >= CONFIDENCE)

    return _least(is_told)


def _least(is_enough: Callable[[int], bool]) -> int:
    """Return the least r that is enough, where more is always better; at most MOST_REPEATS."""
    if is_enough(0):
        return 0
    low, high = 0, MOST_REPEATS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _candidates(view: SurrogateView) -> list[_Candidate]:
    """Group the configurations with values that may be the best, in the order of their trials.

    Those that violate constraints on outcomes are left out, unless all do.
    """
    found: dict[bytes, _Candidate] = {}
    whole = [not t.is_short for t in view.encoded.observations]
    is_any = any(t.fulfills for t in view.encoded.observations if t.value is not None and not t.is_short)
    for trial, z in compress(zip(view.encoded.observations, view.encoded.past_rows, strict=True), whole):
        if trial.value is None or not np.isfinite(trial.value) or (is_any and not trial.fulfills):
            continue
        known = found.get(z.tobytes())
        is_better = known is None or trial.value > max(known.values)
        number = trial.number if known is None or is_better else known.trial
        found[z.tobytes()] = _Candidate(z, number, (*(known.values if known else ()), trial.value))
    if not found:
        raise NotEnoughData(
            "every trial with a value was stopped early, and none was observed at its full length; complete a trial"
        )
    groups = sorted(found.values(), key=lambda g: g.trial)
    if len(groups) <= MOST_CONFIGURATIONS:
        return groups
    posterior = view.process.posterior(view.encoded.encoding.features(np.array([g.z for g in groups])))
    hopeful = np.argsort(-(posterior.mean + 3.0 * posterior.std), kind="stable")[:MOST_CONFIGURATIONS]
    best = int(np.argmax([max(g.values) for g in groups]))
    return [groups[i] for i in np.union1d(hopeful, [best])]


def _beliefs(view: SurrogateView, X: Array) -> list[JointPosterior]:
    """Return the posterior of each surrogate of the ensemble, at configurations with features X (g, f)."""
    rng = view.encoded.rng(21)
    return [
        JointPosterior(*joint(p, X), p.noise, rng.standard_normal((2, DRAWS // len(view.ensemble), len(X))))
        for p in view.ensemble
    ]


def _contenders(
    view: SurrogateView, groups: list[_Candidate], tops: Array, F: Array, probability: Array
) -> list[Contender]:
    """Return the contenders by the draws F (S, k) of their values and those of the best, tops (S,).

    Their `repeats` are set later.
    """
    top = average(view.output_transform.backward(tops))
    drawn = view.output_transform.backward(F)
    means = [average(column) for column in drawn.T]
    return [
        Contender(
            trial=group.trial,
            observations=len(group.values),
            value=average(group.values),
            mean=means[i],
            std=spread(drawn[:, i]),
            probability=float(probability[i]),
            expected_regret=min(max(0.0, top - means[i]), MOST),
            repeats=0,
        )
        for i, group in enumerate(groups)
    ]


def _noise_std(view: SurrogateView, x: Array) -> float:
    """Return the noise's standard deviation at the configuration with features x (f,), in the user's units."""
    noise = np.sqrt(np.mean([p.noise for p in view.ensemble]))
    return float(view.output_transform.moments(view.process.posterior(x[None]).mean, np.array([noise]))[1][0])


def _sentences(contenders: Sequence[Contender], observed_best: int) -> str:
    leader, *others = contenders
    said = f"Trial {leader.trial} is the best of all trials with a probability of {leader.probability:.0%}"
    rival = next((c for c in others if c.probability >= LEAST_PROBABILITY), None)
    if leader.probability >= CONFIDENCE or rival is None:
        told = f"{said}."
    else:
        told = f"{said}. On average it is worse than the best by {leader.expected_regret:.2g}. {_decide(leader, rival)}"
    if observed_best == leader.trial:
        return told
    lucky = next(c for c in contenders if c.trial == observed_best)
    return (
        f"{told} Trial {observed_best} has the best observed value, and is the best with a probability of "
        f"{lucky.probability:.0%}."
    )


def _decide(leader: Contender, rival: Contender) -> str:
    if rival.repeats == 0:
        return f"Trial {rival.trial} is not better by more than half of the noise of a run."
    times = "once" if rival.repeats == 1 else f"{rival.repeats} times"
    pair = f"trials {leader.trial} and {rival.trial}"
    return f"Repeat {pair} {times} each to learn with {CONFIDENCE:.0%} confidence which is better."
