"""What the fake server tells of a study: every parameter matters alike, and the best trial is best for certain."""

import statistics
from collections.abc import Collection
from dataclasses import replace
from itertools import product

from bo_api.v1 import insight_pb2, space_pb2, trial_pb2
from bo_api.v1 import optimization_service_pb2 as pb

from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.parameters import CategoricalParameter, Parameter, Value
from bo_client.space import SearchSpace
from bo_client.testing.answers import contenders, is_cut, prediction
from bo_client.testing.checks import check_configuration
from bo_client.testing.sampling import default_configuration, evenly
from bo_client.values import Metric, StudyInfo
from bo_client.wire.codec_space import value_to_wire, values_from_wire, values_to_wire

Trials = Collection[trial_pb2.Trial]

LEAST = 3
MOST_CONTENDERS = 8
MOST_VALUES = {1: 1000, 2: 100}
DEFAULT_VALUES = {1: 50, 2: 25}


def analysis(study: StudyInfo, trials: Trials) -> pb.AnalyzeStudyResponse:
    """Raises FailedPrecondition with fewer than three results."""
    count = sum(t.HasField("final_measurement") for t in trials)
    if count < LEAST:
        raise FailedPrecondition(f"an analysis needs at least {LEAST} results; there are {count}", "NOT_ENOUGH_DATA")
    whole = [t for t in trials if not is_cut(t)]
    if not any(t.HasField("final_measurement") for t in whole):
        raise FailedPrecondition("every trial with a value was stopped early; complete a trial", "NOT_ENOUGH_DATA")
    stopped = sum(map(is_cut, trials))
    observed = count - stopped
    told = [_metric_analysis(study, contenders(study, whole, metric), metric, observed) for metric in study.objectives]
    for found in told:
        found.best.stopped_count = stopped
    return pb.AnalyzeStudyResponse(metrics=told, observation_count=observed, stopped_count=stopped)


def _metric_analysis(
    study: StudyInfo, best: list[trial_pb2.Trial], metric: Metric, count: int
) -> insight_pb2.MetricAnalysis:
    values = [t.final_measurement.metrics[metric.name] for t in best]
    std = statistics.pstdev(values)
    regions = [
        insight_pb2.RegionImportance(share=1.0, std=std),
        insight_pb2.RegionImportance(share=0.25, std=std, bound=values[len(values) // 4]),
    ]
    each = insight_pb2.Estimate(value=1.0 / len(study.space.parameters), error=0.0)
    for region in regions:
        for name in study.space.names:
            region.parameters.add(parameter=name, first_order=each, total=each)
    return insight_pb2.MetricAnalysis(
        metric=metric.name,
        importance=regions,
        best=insight_pb2.BestAnalysis(
            summary="A fake server takes the best trial for the best.",
            contenders=[
                _contender(trial, value, metric.name, trial is best[0])
                for trial, value in zip(best[:MOST_CONTENDERS], values, strict=False)
            ],
            observed_best=best[0].name,
            noise_std=0.0,
            confidence=0.95,
            repeats=0,
        ),
        calibration=insight_pb2.Calibration(
            summary="A fake server predicts nothing.", observation_count=count, coverage_50=0.5, coverage_90=0.9
        ),
    )


def _contender(trial: trial_pb2.Trial, value: float, metric: str, is_best: bool) -> insight_pb2.Contender:
    return insight_pb2.Contender(
        trial=trial.name,
        observation_count=1,
        observed=value,
        prediction=trial_pb2.Prediction(metric=metric, mean=value, std=0.0),
        probability=float(is_best),
        repeats=0,
    )


def predicted_slice(study: StudyInfo, trials: Trials, request: pb.PredictSliceRequest) -> pb.PredictSliceResponse:
    """The same prediction at each point. Raises InvalidRequest, and FailedPrecondition with fewer than two results."""
    space = study.space
    names = list(request.parameters)
    _check(space, names, request.grid_size)
    if request.HasField("base"):
        check_configuration(request.base.parameters, study, "base.parameters", must_be_feasible=False)
    best = contenders(study, trials, study.objective)
    known = values_from_wire(
        request.base.parameters if request.HasField("base") else best[0].parameters if best else {}
    )
    full = _completed(space, known, names)
    axes = [evenly(space[name], request.grid_size or DEFAULT_VALUES[len(names)]) for name in names]
    grid = [_within(space, {**full, **dict(zip(names, place, strict=True))}) for place in product(*axes)]
    told = prediction(study, trials, len(grid))
    return pb.PredictSliceResponse(
        axes=[
            insight_pb2.SliceAxis(parameter=name, values=[value_to_wire(v) for v in axis])
            for name, axis in zip(names, axes, strict=True)
        ],
        points=[
            insight_pb2.SlicePoint(
                predictions=each.predictions,
                acquisition_value=each.acquisition_value,
                feasible=space.is_feasible(configuration),
            )
            for each, configuration in zip(told.predictions, grid, strict=True)
        ],
        base=space_pb2.Configuration(parameters=values_to_wire(_within(space, full))),
        base_trial="" if request.HasField("base") else best[0].name,
        acquisition=told.acquisition,
        observation_count=told.observation_count,
    )


def _check(space: SearchSpace, names: list[str], grid_size: int) -> None:
    if len(names) not in MOST_VALUES or len(names) != len(set(names)):
        raise InvalidRequest.of("parameters", f"are {names}; name one or two different ones that vary")
    for i, name in enumerate(names):
        if name not in space:
            raise InvalidRequest.of(f"parameters[{i}]", f"is {name!r}; there are {', '.join(space.names)}")
    most = MOST_VALUES[len(names)]
    if grid_size and not 2 <= grid_size <= most:
        raise InvalidRequest.of("grid_size", f"is {grid_size}; it must be from 2 to {most}")
    sizes = [len(p.values) if isinstance(p := space[n], CategoricalParameter) else grid_size for n in names]
    if len(names) == 2 and sizes[0] * sizes[1] > 10_000:
        raise InvalidRequest.of("parameters", "ask for more than 10,000 points; name one")


def _completed(space: SearchSpace, known: dict[str, Value], varied: list[str]) -> dict[str, Value]:
    """A value for every parameter, with which the varied ones exist."""
    alone = {p.name: default_configuration(SearchSpace([_always(p)]))[p.name] for p in space.parameters}
    full = {**alone, **known}
    for parameter in reversed(space.parameters):
        rule = parameter.activation
        if parameter.name in varied and rule is not None and rule.parameter not in varied:
            if full[rule.parameter] not in rule.values:
                full[rule.parameter] = rule.values[0]
            varied = [*varied, rule.parameter]
    return full


def _always(parameter: Parameter) -> Parameter:
    return replace(parameter, activation=None)


def _within(space: SearchSpace, full: dict[str, Value]) -> dict[str, Value]:
    return {p.name: full[p.name] for p in space.active(full)}
