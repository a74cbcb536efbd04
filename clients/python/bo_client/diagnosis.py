"""What to change about a study, from its trials: which parameters matter, where its space is too narrow, which part of
it is a waste; as one list of advice without contradictions.

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
from bo_client.values import Metric, StudyInfo, Trial
from bo_client.wording import short

KINDS_LABEL = "diagnosis"
"""Of a trial, by its worker: kinds of what ails it, with commas between."""
NOTES_LABEL = "note"
"""Prefix of a trial's labels that tell of what isn't a fault."""
HEALTHY = "healthy"

BEST_SHARE = 0.2
FEWEST_BEST = 5
UNLIKELY = 0.02
EDGE = 0.15
"""How near to an edge, in u."""
LEAST_MATTERING = 0.1
"""Share of the variation below which a parameter doesn't matter: of the upper end of its interval, and of the share of
the trials in which it is active."""
ERRORS = 2.0
"""Standard errors at either side of an estimate: an interval of about 95 %."""
RESULTS_PER_PARAMETER, FEWEST_RESULTS = 3, 10
"""Results from which importance is judged: so many for each parameter that varies, and so many at least."""
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
    errors: Mapping[str, float]
    """Standard errors of `matters`."""
    results_missing: int
    """Results that are missing before importance is judged; 0 where there are enough. While some are missing, `idle` is
    empty."""
    idle: tuple[str, ...]
    """Parameters that hardly matter, and that no edge or part in this diagnosis is of."""
    pressed: tuple[Pressed, ...]
    wasted: tuple[Wasted, ...]
    """The costliest first."""
    advice: Mapping[str, str]
    """What to do, by parameter: one sentence for each that something is to be done about."""
    ailments: Mapping[str, int]
    """Findings of the workers about single trials: trials by kind, the commonest first."""
    stopped: int = 0
    """Trials that a stopping rule cut short: what was expected of them isn't observed."""


def diagnose(study: StudyInfo, trials: Sequence[Trial], analysis: Analysis | None) -> StudyDiagnosis:
    """Diagnose a study; without an analysis it can't be told what matters.

    Of several objectives, the results, the median and the importance are of the first. A parameter is idle, and a part
    is a waste, only where that holds for all of them; an edge that one presses against isn't told where another presses
    against the opposite one.
    """
    ended = [t for t in trials if t.end_time is not None or t.final_measurement is not None]
    stopped = sum(t.is_cut_short for t in ended)
    metric, values = study.objective, _values(study, study.objective, ended)
    share = {} if analysis is None else {name: p.total for name, p in analysis.importance.items()}
    missing = _missing(study, len(values))
    shown = _shown(study, analysis)
    pressed = tuple(edge for edge in _pressed_of_all(study, ended) if edge.parameter in shown)
    wasted = tuple(
        part
        for part in sorted(_wasted_of_all(study, ended), key=lambda part: -part.trials)
        if part.parameter in shown or 2 * part.failed > part.trials
    )
    told = {edge.parameter for edge in pressed} | {part.parameter for part in wasted}
    idle = (
        () if analysis is None or missing else tuple(n for n in _idle(study, ended, values, analysis) if n not in told)
    )
    ailments = Counter(kind for t in ended for kind in kinds(t) if kind != HEALTHY)
    return StudyDiagnosis(
        metric=metric.name,
        results=len(values),
        failed=len(ended) - len(values) - stopped,
        median=metric.sign * median(values.values()) if values else None,
        matters={name: estimate.value for name, estimate in share.items()},
        errors={name: estimate.error for name, estimate in share.items()},
        results_missing=missing,
        idle=idle,
        pressed=pressed,
        wasted=wasted,
        advice=_advice(study, idle, pressed, wasted),
        ailments=dict(ailments.most_common()),
        stopped=stopped,
    )


def _missing(study: StudyInfo, results: int) -> int:
    """How many results are missing before importance is judged."""
    count = sum(_varies(parameter) for parameter in study.space.parameters)
    return max(0, max(FEWEST_RESULTS, RESULTS_PER_PARAMETER * count) - results)


def _shown(study: StudyInfo, analysis: Analysis | None) -> set[str]:
    """Parameters whose interval excludes 0, for an objective, in the whole space or its better part."""
    if analysis is None:
        return set(study.space.names)
    regions = [region for metric in analysis.metrics for region in metric.importance]
    found = [p for region in regions for p in region.parameters]
    return {p.parameter for p in found if p.total.value > ERRORS * p.total.error}


def _varies(parameter: Parameter) -> bool:
    """Whether there is more than one value to choose from."""
    if isinstance(parameter, FloatParameter | IntParameter):
        return parameter.high > parameter.low
    return len(parameter.values) > 1


def _idle(study: StudyInfo, trials: Sequence[Trial], values: Mapping[int, float], analysis: Analysis) -> Iterator[str]:
    """Those whose interval lies below what matters: for every objective, in the whole space and its better part."""
    metrics = analysis.metrics
    if len(set(values.values())) < 2 or any(m.calibration.explained <= 0.0 for m in metrics):
        return  # nothing differs, or the surrogate predicts no unseen result
    found = [{p.parameter: p.total for p in region.parameters} for m in metrics for region in m.importance]
    for name in analysis.importance:
        active = sum(name in t.parameters for t in trials) / max(1, len(trials))
        most = LEAST_MATTERING * active
        if _varies(study.space[name]) and all(
            name in shares and shares[name].value + ERRORS * shares[name].error < most for shares in found
        ):
            yield name


def _pressed_of_all(study: StudyInfo, trials: Sequence[Trial]) -> Iterator[Pressed]:
    """Edges of every objective, without those that objectives disagree about."""
    by_metric = [list(_pressed(study, trials, _values(study, m, trials))) for m in study.objectives]
    edges = [{(p.parameter, p.edge) for p in found} for found in by_metric]
    opposite = {"low": "high", "high": "low"}
    told = set()
    for i, found in enumerate(by_metric):
        others = set().union(*edges[:i], *edges[i + 1 :])
        for edge in found:
            key = (edge.parameter, edge.edge)
            if key not in told and (edge.parameter, opposite[edge.edge]) not in others:
                told.add(key)
                yield edge


def _wasted_of_all(study: StudyInfo, trials: Sequence[Trial]) -> list[Wasted]:
    """Parts that are a waste for every objective, as told of the first."""
    first, *rest = [list(_wasted(study, trials, m, _values(study, m, trials))) for m in study.objectives]
    others = [{(part.parameter, part.part) for part in found} for found in rest]
    return [part for part in first if all((part.parameter, part.part) in found for found in others)]


def _advice(
    study: StudyInfo, idle: Sequence[str], pressed: Sequence[Pressed], wasted: Sequence[Wasted]
) -> dict[str, str]:
    """One sentence for each parameter, in the order of the space."""
    told = {}
    for name in study.space.names:
        steps = [f"move its {edge.edge} edge, {short(edge.bound)}, out" for edge in pressed if edge.parameter == name]
        steps += [f"leave out {_named(part)}" for part in wasted if part.parameter == name]
        if name in idle:
            steps.append("pin it: the search then needs fewer trials")
        if steps:
            told[name] = "; ".join(steps)
    return told


def _named(part: Wasted) -> str:
    """`norm = none`, or `its lowest third (…)`."""
    return f"{part.parameter} {part.part}" if part.part.startswith("=") else part.part.removeprefix("in ")


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


def _values(study: StudyInfo, metric: Metric, trials: Sequence[Trial]) -> dict[int, float]:
    """By trial's number, signed; of those that were measured at their full length and keep to every bound."""
    whole = [t for t in trials if not t.is_cut_short]
    results = {t.number: t.final_measurement.metrics for t in whole if t.final_measurement is not None}
    return {n: metric.sign * found[metric.name] for n, found in results.items() if study.admits(found)}


def _pressed(study: StudyInfo, trials: Sequence[Trial], values: Mapping[int, float]) -> Iterator[Pressed]:
    """Edges near which more of the best trials lie than of all, and more than is likely by chance."""
    count = max(FEWEST_BEST, round(BEST_SHARE * len(values)))
    if len(values) < 2 * count:
        return
    least = sorted(values.values(), reverse=True)[count - 1]
    best = {number for number, value in values.items() if value >= least}
    if 2 * len(best) > len(values):  # equal values: none is better than the others
        return
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


def _wasted(study: StudyInfo, trials: Sequence[Trial], metric: Metric, values: Mapping[int, float]) -> Iterator[Wasted]:
    """Parts that took a good number of trials, of which none is as good as the median outside, and not by chance."""
    if len(values) < 2 * FEWEST_WASTED:
        return
    sign = metric.sign
    for parameter in study.space.parameters:
        for part, there in _parts(parameter, trials):
            found = [values[t.number] for t in there if t.number in values]
            is_costly = len(there) >= max(FEWEST_WASTED, WASTED_SHARE * len(trials))
            numbers = {t.number for t in there}
            outside = [value for number, value in values.items() if number not in numbers]
            if not is_costly or len(outside) < FEWEST_WASTED or _luck(outside, trials, there) >= UNLIKELY:
                continue
            if all(value < median(outside) for value in found):
                best = sign * max(found) if found else None
                yield Wasted(parameter.name, part, len(there), len(there) - len(found), best)


def _luck(outside: Sequence[float], trials: Sequence[Trial], there: Sequence[Trial]) -> float:
    """Probability that no trial there reaches the median of the results outside, if the part is as good as the rest."""
    reaching = 0.5 * len(outside) / max(1, len(trials) - len(there))
    return (1 - reaching) ** len(there)


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
