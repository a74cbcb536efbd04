"""What ails a study, from its trials: which parameters matter, where its space is too narrow, which part is a waste.

Values are signed so that larger is better. A part of the space is a value of a category, or a third of a range, on its
own scale: u in [0, 1] from low to high.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bo_client.insight import Analysis
from bo_client.parameters import DiscreteParameter, FloatParameter, IntParameter, Parameter, Value, is_numeric, same
from bo_client.values import StudyInfo, Trial

KINDS_LABEL = "diagnosis"
"""Of a trial, by its worker: kinds of what ails it, with commas between."""
HEALTHY = "healthy"

BEST_SHARE = 0.2
FEWEST_BEST = 5
UNLIKELY = 0.02
EDGE = 0.15
"""How near to an edge, in u."""
LEAST_MATTERING = 0.05
"""Total share of the variation, with its error, below which a parameter doesn't matter."""
FEWEST_WASTED = 4
WASTED_SHARE = 0.1
"""Parts that took fewer trials are no waste worth telling."""


@dataclass(frozen=True)
class Pressed:
    """An edge of the space that the best trials press against."""

    parameter: str
    edge: str
    """`low` or `high`."""
    bound: Value
    best: int
    """How many of the best trials that have the parameter …"""
    near: int
    """… are this near to the edge."""


@dataclass(frozen=True)
class Wasted:
    """A part of the space in which no trial was as good as the median outside."""

    parameter: str
    part: str
    trials: int
    failed: int
    """Of them, without a result."""
    best: float | None
    """The best value there; None where there is none."""


@dataclass(frozen=True)
class StudyDiagnosis:
    """What to change about a study."""

    metric: str
    results: int
    """Trials with a value that was measured at their full length."""
    failed: int
    """Trials that ended without a value that keeps to the bounds."""
    median: float | None
    matters: Mapping[str, float]
    """Share of the predicted variation by parameter, the most important first; empty where it can't be told yet."""
    idle: tuple[str, ...]
    """Parameters that hardly matter."""
    pressed: tuple[Pressed, ...]
    wasted: tuple[Wasted, ...]
    """The costliest first."""
    ailments: Mapping[str, int]
    """What ails trials, by their workers' diagnosis: trials by kind, the commonest first."""
    stopped: int = 0
    """Trials that a stopping rule cut short: what was expected of them isn't observed."""


def diagnose(study: StudyInfo, trials: Sequence[Trial], analysis: Analysis | None) -> StudyDiagnosis:
    """Of the first objective metric. Without an analysis it isn't told what matters."""
    ended = [t for t in trials if t.end_time is not None or t.final_measurement is not None]
    stopped = sum(t.is_cut_short for t in ended)
    metric, values = study.objective, _values(study, [t for t in ended if not t.is_cut_short])
    share = {} if analysis is None else {name: p.total for name, p in analysis.importance.items()}
    ailments = Counter(kind for t in ended for kind in kinds(t) if kind != HEALTHY)
    return StudyDiagnosis(
        metric=metric.name,
        results=len(values),
        failed=len(ended) - len(values) - stopped,
        median=metric.sign * median(values.values()) if values else None,
        matters={name: estimate.value for name, estimate in share.items()},
        idle=tuple(name for name, e in share.items() if e.value + e.error < LEAST_MATTERING),
        pressed=tuple(_pressed(study, ended, values)),
        wasted=tuple(sorted(_wasted(study, ended, values), key=lambda part: -part.trials)),
        ailments=dict(ailments.most_common()),
        stopped=stopped,
    )


def kinds(trial: Trial) -> tuple[str, ...]:
    """What ails the trial, as its worker found."""
    told = trial.labels.get(KINDS_LABEL, "")
    return tuple(kind.strip() for kind in told.split(",") if kind.strip())


def position(parameter: Parameter, value: Value) -> float | None:
    """u of a value; None where the parameter has no order or no width."""
    if isinstance(parameter, FloatParameter | IntParameter):
        low, high = float(parameter.low), float(parameter.high)
    elif isinstance(parameter, DiscreteParameter) and is_numeric(parameter):
        low, high = float(parameter.values[0]), float(parameter.values[-1])
    else:
        return None
    if high <= low:
        return None
    at = float(value)
    if parameter.scale == "log":
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def _values(study: StudyInfo, trials: Sequence[Trial]) -> dict[int, float]:
    """By trial's number, signed; of those that keep to every bound."""
    metric = study.objective
    results = {t.number: t.final_measurement.metrics for t in trials if t.final_measurement is not None}
    return {n: metric.sign * found[metric.name] for n, found in results.items() if study.admits(found)}


def _pressed(study: StudyInfo, trials: Sequence[Trial], values: Mapping[int, float]) -> Iterator[Pressed]:
    """Edges near which more of the best trials lie than of all, and more than is likely by chance."""
    count = max(FEWEST_BEST, round(BEST_SHARE * len(values)))
    if len(values) < 2 * count:
        return
    best = set(sorted(values, key=lambda number: -values[number])[:count])
    for parameter in study.space.parameters:
        places = {t.number: u for t in trials if (u := _place(parameter, t)) is not None}
        theirs = [u for number, u in places.items() if number in best]
        for edge, is_near in (("low", lambda u: u <= EDGE), ("high", lambda u: u >= 1 - EDGE)):
            near, usual = sum(map(is_near, theirs)), sum(map(is_near, places.values()))
            is_more = near * len(places) >= usual * len(theirs)
            if is_more and _chance(near, len(theirs), _share(parameter, is_near)) < UNLIKELY:
                yield Pressed(parameter.name, edge, _bound(parameter, edge), len(theirs), near)


def _chance(k: int, n: int, p: float) -> float:
    """That k or more of n fall where a share p falls: a binomial tail."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def _share(parameter: Parameter, is_near: Callable[[float], bool]) -> float:
    """Of the parameter's domain, what lies near the edge."""
    if isinstance(parameter, FloatParameter | IntParameter):
        return EDGE
    places = [u for value in parameter.values if (u := position(parameter, value)) is not None]
    return sum(map(is_near, places)) / max(1, len(places))


def _wasted(study: StudyInfo, trials: Sequence[Trial], values: Mapping[int, float]) -> Iterator[Wasted]:
    """Parts that took a good number of trials, of which none is as good as the median outside."""
    if len(values) < 2 * FEWEST_WASTED:
        return
    sign = study.objective.sign
    for parameter in study.space.parameters:
        for part, there in _parts(parameter, trials):
            found = [values[t.number] for t in there if t.number in values]
            is_costly = len(there) >= max(FEWEST_WASTED, WASTED_SHARE * len(trials))
            numbers = {t.number for t in there}
            outside = [value for number, value in values.items() if number not in numbers]
            if is_costly and len(outside) >= FEWEST_WASTED and all(value < median(outside) for value in found):
                best = sign * max(found) if found else None
                yield Wasted(parameter.name, part, len(there), len(there) - len(found), best)


def _parts(parameter: Parameter, trials: Sequence[Trial]) -> Iterator[tuple[str, list[Trial]]]:
    """Each part in words, and the trials there."""
    if not isinstance(parameter, FloatParameter | IntParameter) and not is_numeric(parameter):
        for value in parameter.values:
            theirs = [t for t in trials if parameter.name in t.parameters]
            yield f"= {value}", [t for t in theirs if same(t.parameters[parameter.name], value)]
        return
    placed = [(t, u) for t in trials if (u := _place(parameter, t)) is not None]
    for low, high, words in ((-0.01, 1 / 3, "in its lowest third"), (2 / 3, 1.01, "in its highest third")):
        there = [t for t, u in placed if low <= u <= high]
        told = [t.parameters[parameter.name] for t in there]
        yield f"{words} ({_range(told)})" if told else words, there


def _range(values: Sequence[Value]) -> str:
    numbers = sorted(float(v) for v in values)
    return f"{numbers[0]:.3g} to {numbers[-1]:.3g} were tried"


def _place(parameter: Parameter, trial: Trial) -> float | None:
    value = trial.parameters.get(parameter.name)
    return None if value is None else position(parameter, value)


def _bound(parameter: Parameter, edge: str) -> Value:
    if isinstance(parameter, FloatParameter | IntParameter):
        return parameter.low if edge == "low" else parameter.high
    return parameter.values[0 if edge == "low" else -1]
