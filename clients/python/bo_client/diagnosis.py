"""The diagnosis of a study from its trials: important parameters, bounds that are too tight, and low-value regions.

The result is a list of consistent recommendations. Values are signed so that larger is better. A region is a value of a
category, or a third of a range, on its own scale: u in [0, 1] from low to high.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bo_client.formatting import short
from bo_client.insight import Analysis
from bo_client.models import Metric, StudyInfo, Trial
from bo_client.parameters import (
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    is_numeric,
    strict_equal,
)

KINDS_LABEL = "diagnosis"
"""Label of a trial in which its worker lists the kinds of findings, separated by commas."""
NOTES_LABEL = "note"
"""Prefix of labels with notes that are not faults."""
HEALTHY = "healthy"

BEST_SHARE = 0.2
MIN_BEST = 5
SIGNIFICANCE = 0.02
BOUND_DISTANCE = 0.15
"""Distance to a bound that counts as near, in u."""
MIN_IMPORTANCE = 0.1
"""Share of the variation below which a parameter does not matter.

It is compared with the upper end of the parameter's interval, times the share of trials in which it is active.
"""
NUM_STANDARD_ERRORS = 2.0
"""Standard errors on each side of an estimate, for an interval of about 95 %."""
RESULTS_PER_PARAMETER, MIN_RESULTS = 3, 10
"""Results needed to judge importance: a number for each parameter that varies, and a minimum."""
MIN_WASTED = 4
MIN_WASTED_SHARE = 0.1
"""Minimum numbers of trials of a low-value region."""


@dataclass(frozen=True)
class AtBound:
    """A bound of the space near which the best trials lie."""

    parameter: str
    edge: str
    """`low` or `high`."""
    bound: Value
    best: int
    """Number of best trials that have the parameter."""
    near: int
    """Number of these near the bound."""


@dataclass(frozen=True)
class LowValueRegion:
    """A region of the space in which no trial was as good as the median outside."""

    parameter: str
    part: str
    trials: int
    failed: int
    """Number of its trials without a result."""
    best: float | None
    """The best value in the region; None without any."""


@dataclass(frozen=True)
class StudyDiagnosis:
    """Recommended changes of a study."""

    metric: str
    results: int
    """Number of trials with a value of their full length."""
    failed: int
    """Number of trials that ended without a value within the bounds."""
    median: float | None
    matters: Mapping[str, float]
    """Share of the predicted variation by parameter, the most important first; empty if it is unknown."""
    errors: Mapping[str, float]
    """Standard errors of `matters`."""
    results_missing: int
    """Number of results still needed to judge importance; 0 if there are enough.

    While results are missing, `idle` is empty.
    """
    idle: tuple[str, ...]
    """Parameters that hardly matter, and that no other finding concerns."""
    pressed: tuple[AtBound, ...]
    wasted: tuple[LowValueRegion, ...]
    """Low-value regions, the most expensive first."""
    advice: Mapping[str, str]
    """The recommendation by parameter, in one sentence."""
    ailments: Mapping[str, int]
    """Workers' findings: number of trials by kind, the most common first."""
    stopped: int = 0
    """Number of trials that a stopping rule ended early, whose full results are unknown."""


def diagnose(study: StudyInfo, trials: Sequence[Trial], analysis: Analysis | None) -> StudyDiagnosis:
    """Return the diagnosis of a study.

    With several objectives, the results, the median and the importance are those of the first. A parameter is idle, and
    a region has low value, only if that holds for all objectives; a bound is not reported if another objective prefers
    the opposite one.

    Args:
        study: the study.
        trials: its trials.
        analysis: the surrogate's analysis; None without one, so that importance is unknown.

    Returns:
        The diagnosis.
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
    reported = {edge.parameter for edge in pressed} | {part.parameter for part in wasted}
    idle = (
        ()
        if analysis is None or missing
        else tuple(n for n in _idle(study, ended, values, analysis) if n not in reported)
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
    """Return how many results are missing to judge importance."""
    count = sum(_varies(parameter) for parameter in study.space.parameters)
    return max(0, max(MIN_RESULTS, RESULTS_PER_PARAMETER * count) - results)


def _shown(study: StudyInfo, analysis: Analysis | None) -> set[str]:
    """Return the parameters whose interval excludes 0, for an objective, in the whole space or its better part."""
    if analysis is None:
        return set(study.space.names)
    regions = [region for metric in analysis.metrics for region in metric.importance]
    importances = [p for region in regions for p in region.parameters]
    return {p.parameter for p in importances if p.total.value > NUM_STANDARD_ERRORS * p.total.error}


def _varies(parameter: Parameter) -> bool:
    """Return whether the parameter has more than one value."""
    if isinstance(parameter, FloatParameter | IntParameter):
        return parameter.high > parameter.low
    return len(parameter.values) > 1


def _idle(study: StudyInfo, trials: Sequence[Trial], values: Mapping[int, float], analysis: Analysis) -> Iterator[str]:
    """Yield the parameters whose interval is below the threshold for every objective, in all regions."""
    metrics = analysis.metrics
    if len(set(values.values())) < 2 or any(m.calibration.explained <= 0.0 for m in metrics):
        return  # nothing differs, or the surrogate predicts no unseen result
    totals_by_region = [{p.parameter: p.total for p in region.parameters} for m in metrics for region in m.importance]
    for name in analysis.importance:
        active = sum(name in t.parameters for t in trials) / max(1, len(trials))
        limit = MIN_IMPORTANCE * active
        if _varies(study.space[name]) and all(
            name in shares and shares[name].value + NUM_STANDARD_ERRORS * shares[name].error < limit
            for shares in totals_by_region
        ):
            yield name


def _pressed_of_all(study: StudyInfo, trials: Sequence[Trial]) -> Iterator[AtBound]:
    """Yield the bounds found for any objective, without those that objectives disagree about."""
    by_metric = [list(_pressed(study, trials, _values(study, m, trials))) for m in study.objectives]
    edges = [{(p.parameter, p.edge) for p in metric_edges} for metric_edges in by_metric]
    opposite = {"low": "high", "high": "low"}
    yielded = set()
    for i, metric_edges in enumerate(by_metric):
        others = set().union(*edges[:i], *edges[i + 1 :])
        for edge in metric_edges:
            key = (edge.parameter, edge.edge)
            if key not in yielded and (edge.parameter, opposite[edge.edge]) not in others:
                yielded.add(key)
                yield edge


def _wasted_of_all(study: StudyInfo, trials: Sequence[Trial]) -> list[LowValueRegion]:
    """Return the regions with low value for every objective, with the numbers of the first."""
    first, *rest = [list(_wasted(study, trials, m, _values(study, m, trials))) for m in study.objectives]
    others = [{(part.parameter, part.part) for part in other_parts} for other_parts in rest]
    return [part for part in first if all((part.parameter, part.part) in other_parts for other_parts in others)]


def _advice(
    study: StudyInfo, idle: Sequence[str], pressed: Sequence[AtBound], wasted: Sequence[LowValueRegion]
) -> dict[str, str]:
    """Return a recommendation for each parameter, in the order of the space."""
    advice = {}
    for name in study.space.names:
        steps = [f"move its {edge.edge} edge, {short(edge.bound)}, out" for edge in pressed if edge.parameter == name]
        steps += [f"leave out {_named(part)}" for part in wasted if part.parameter == name]
        if name in idle:
            steps.append("pin it: the search then needs fewer trials")
        if steps:
            advice[name] = "; ".join(steps)
    return advice


def _named(part: LowValueRegion) -> str:
    """Return a region in words: `norm = none`, or `its lowest third (…)`."""
    return f"{part.parameter} {part.part}" if part.part.startswith("=") else part.part.removeprefix("in ")


def kinds(trial: Trial) -> tuple[str, ...]:
    """Return the kinds of findings that the worker reported for the trial."""
    label = trial.labels.get(KINDS_LABEL, "")
    return tuple(kind.strip() for kind in label.split(",") if kind.strip())


def position(parameter: Parameter, value: Value) -> float | None:
    """Return u of a value; None if the parameter has no order or no width."""
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
    """Return signed values by trial number, of full-length trials within the bounds."""
    whole = [t for t in trials if not t.is_cut_short]
    results = {t.number: t.final_measurement.metrics for t in whole if t.final_measurement is not None}
    return {n: metric.sign * metrics[metric.name] for n, metrics in results.items() if study.admits(metrics)}


def _pressed(study: StudyInfo, trials: Sequence[Trial], values: Mapping[int, float]) -> Iterator[AtBound]:
    """Yield the bounds near which more of the best trials lie than of all, and more than is likely by chance."""
    count = max(MIN_BEST, round(BEST_SHARE * len(values)))
    if len(values) < 2 * count:
        return
    threshold = sorted(values.values(), reverse=True)[count - 1]
    best = {number for number, value in values.items() if value >= threshold}
    if 2 * len(best) > len(values):  # equal values: none is better than the others
        return
    for parameter in study.space.parameters:
        places = {t.number: u for t in trials if (u := _place(parameter, t)) is not None}
        best_positions = [u for number, u in places.items() if number in best]
        for edge, is_near in (("low", lambda u: u <= BOUND_DISTANCE), ("high", lambda u: u >= 1 - BOUND_DISTANCE)):
            near, usual = sum(map(is_near, best_positions)), sum(map(is_near, places.values()))
            is_more = near * len(places) >= usual * len(best_positions)
            if is_more and _binomial_tail(near, len(best_positions), _share(parameter, is_near)) < SIGNIFICANCE:
                yield AtBound(parameter.name, edge, _bound(parameter, edge), len(best_positions), near)


def _binomial_tail(k: int, n: int, p: float) -> float:
    """Return the probability that k or more of n fall into a share p: a binomial tail."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def _share(parameter: Parameter, is_near: Callable[[float], bool]) -> float:
    """Return the share of the parameter's domain that is near the bound."""
    if isinstance(parameter, FloatParameter | IntParameter):
        return BOUND_DISTANCE
    places = [u for value in parameter.values if (u := position(parameter, value)) is not None]
    return sum(map(is_near, places)) / max(1, len(places))


def _wasted(
    study: StudyInfo, trials: Sequence[Trial], metric: Metric, values: Mapping[int, float]
) -> Iterator[LowValueRegion]:
    """Yield regions with many trials, none as good as the median outside, which is unlikely by chance."""
    if len(values) < 2 * MIN_WASTED:
        return
    sign = metric.sign
    for parameter in study.space.parameters:
        for part, inside in _parts(parameter, trials):
            values_inside = [values[t.number] for t in inside if t.number in values]
            is_costly = len(inside) >= max(MIN_WASTED, MIN_WASTED_SHARE * len(trials))
            numbers = {t.number for t in inside}
            outside = [value for number, value in values.items() if number not in numbers]
            if (
                not is_costly
                or len(outside) < MIN_WASTED
                or _chance_of_no_good_trial(outside, trials, inside) >= SIGNIFICANCE
            ):
                continue
            if all(value < median(outside) for value in values_inside):
                best = sign * max(values_inside) if values_inside else None
                yield LowValueRegion(parameter.name, part, len(inside), len(inside) - len(values_inside), best)


def _chance_of_no_good_trial(outside: Sequence[float], trials: Sequence[Trial], inside: Sequence[Trial]) -> float:
    """Return the probability that no trial in an average region reaches the median of the results outside."""
    reaching = 0.5 * len(outside) / max(1, len(trials) - len(inside))
    return (1 - reaching) ** len(inside)


def _parts(parameter: Parameter, trials: Sequence[Trial]) -> Iterator[tuple[str, list[Trial]]]:
    """Yield each region in words, with its trials."""
    if not isinstance(parameter, FloatParameter | IntParameter) and not is_numeric(parameter):
        for value in parameter.values:
            with_parameter = [t for t in trials if parameter.name in t.parameters]
            yield f"= {value}", [t for t in with_parameter if strict_equal(t.parameters[parameter.name], value)]
        return
    placed = [(t, u) for t in trials if (u := _place(parameter, t)) is not None]
    for low, high, words in ((-0.01, 1 / 3, "in its lowest third"), (2 / 3, 1.01, "in its highest third")):
        inside = [t for t, u in placed if low <= u <= high]
        tried_values = [t.parameters[parameter.name] for t in inside]
        yield f"{words} ({_range(tried_values)})" if tried_values else words, inside


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
