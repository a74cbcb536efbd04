"""What the surrogate tells of a study: an analysis, and slices through its predictions."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bo_service.application.context import AppContext
from bo_service.application.predict import PointForecast
from bo_service.application.suggest_trials import predictions_of
from bo_service.application.trials import checked
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import MAX_GRID_VALUES, MAX_SLICE_POINTS, MAX_SLICE_VALUES
from bo_service.domain.parameter_types import CategoricalDomain, format_values
from bo_service.domain.search_space import SearchSpace
from bo_service.domain.study import Goal, Metric
from bo_service.optimizer.insight.results import Analysis, BestFinding, RegionImportance, Slice, SliceRequest

MOST_SLICED = 2
MOST_VALUES = {1: MAX_SLICE_VALUES, 2: MAX_GRID_VALUES}
DEFAULT_VALUES = {1: 50, 2: 25}


@dataclass(frozen=True)
class SliceQuery:
    """A slice as the caller wants it; `grid_size` 0 and `base` None leave the choice to the server."""

    parameters: Sequence[str]
    grid_size: int = 0
    base: Configuration | None = None


@dataclass(frozen=True)
class SliceForecast:
    """A slice; `points` in the metrics' own directions and units, row by row as in the slice."""

    slice: Slice
    points: tuple[PointForecast, ...]


def analyze(app: AppContext, study_id: str, timeout: float) -> dict[str, Analysis]:
    """Return the surrogate's analysis of each objective metric by name, in its own direction and units.

    Raises:
        NotFound: no such study.
        NotEnoughData: below three observations.
        DeadlinePassed: not computed within `timeout` seconds.
    """
    study, inputs = app.sessions.of(study_id).inputs()
    began = time.monotonic()
    analyses = {}
    for k, metric in enumerate(study.spec.objectives):
        left = timeout - (time.monotonic() - began)
        analyses[metric.name] = _in_metric_direction(app.optimizer.analyze(inputs.for_objective(k), left), metric)
    return analyses


def _in_metric_direction(analysis: Analysis, metric: Metric) -> Analysis:
    assert metric.goal is not None
    return replace(
        analysis,
        importance=tuple(_turned_region(region, metric.goal) for region in analysis.importance),
        best=_turned_best(analysis.best, metric.goal),
    )


def predict_slice(app: AppContext, study_id: str, ask: SliceQuery, timeout: float) -> SliceForecast:
    """Return predictions along one or two parameters.

    Raises:
        NotFound: no such study.
        InvalidArgument: the parameters aren't one or two of the study's, the grid is too large, or the base is no
            configuration of the study.
        NotEnoughData: below two observations.
        DeadlinePassed: not computed within `timeout` seconds.
    """
    study, inputs = app.sessions.of(study_id).inputs()
    computed = app.optimizer.predict_slice(inputs, _checked(study.spec.space, ask), timeout)
    metrics = study.spec.modelled_metrics
    points = tuple(PointForecast(predictions_of(p.expected, metrics), p.acquisition_value) for p in computed.points)
    return SliceForecast(computed, points)


def _turned_region(region: RegionImportance, goal: Goal) -> RegionImportance:
    return replace(region, bound=None if region.bound is None else goal.sign * region.bound)


def _turned_best(best: BestFinding, goal: Goal) -> BestFinding:
    sign = goal.sign
    return replace(
        best, contenders=tuple(replace(c, value=sign * c.value, mean=sign * c.mean) for c in best.contenders)
    )


def _checked(space: SearchSpace, ask: SliceQuery) -> SliceRequest:
    """Check a request against the space of its study.

    Raises:
        InvalidArgument: the request does not fit the space.
    """
    names, count = tuple(ask.parameters), len(ask.parameters)
    if not 1 <= count <= MOST_SLICED:
        raise InvalidArgument.of("parameters", f"has {count}; name one or two that vary")
    parameters = [p.name for p in space.parameters]
    faults = [
        Violation(
            f"parameters[{i}]",
            f"is {name[:140]!r}, which is no parameter of this study; it has {format_values(parameters)}",
        )
        for i, name in enumerate(names)
        if name not in parameters
    ]
    if count != len(set(names)):
        faults.append(Violation("parameters", f"are {names[0]!r} twice; name two different ones, or one"))
    if ask.grid_size and not 2 <= ask.grid_size <= MOST_VALUES[count]:
        most = MOST_VALUES[count]
        what = f"is {ask.grid_size}; give 2 to {most}, or 0 for {DEFAULT_VALUES[count]}"
        faults.append(Violation("grid_size", what))
    if faults:
        raise InvalidArgument(faults)
    size = ask.grid_size or DEFAULT_VALUES[count]
    _check_points(space, names, size)
    base = None if ask.base is None else checked(space, ask.base, "base.parameters", must_be_feasible=False)
    return SliceRequest(names, size, base)


def _check_points(space: SearchSpace, names: Sequence[str], size: int) -> None:
    points = 1
    for name in names:
        domain = space[name].domain
        points *= len(domain.values) if isinstance(domain, CategoricalDomain) else size
    if points > MAX_SLICE_POINTS:
        what = f"ask for {points} points, as all values of a category are shown; at most {MAX_SLICE_POINTS}: name one"
        raise InvalidArgument.of("parameters", what)
