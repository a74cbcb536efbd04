"""What the surrogate tells of a study, on the wire."""

from collections.abc import Mapping

from bo_api.v1 import insight_pb2 as pb
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import space_pb2, trial_pb2

from bo_service.adapters.grpc.names import trial_name
from bo_service.adapters.grpc.space_codec import configuration_from_wire, configuration_to_wire, value_to_wire
from bo_service.adapters.grpc.stopping_codec import prediction_to_wire
from bo_service.application.insight import SliceAsk, SliceForecast
from bo_service.core.insight.findings import (
    Analysis,
    BestFinding,
    Calibration,
    Contender,
    Estimate,
    RegionImportance,
)


def slice_from_wire(request: service_pb.PredictSliceRequest) -> SliceAsk:
    """Raises InvalidArgument."""
    base = None
    if request.HasField("base"):
        base = configuration_from_wire(request.base.parameters, "base.parameters")
    return SliceAsk(tuple(request.parameters), request.grid_size, base)


def slice_to_wire(forecast: SliceForecast, study_id: str) -> service_pb.PredictSliceResponse:
    found = forecast.slice
    return service_pb.PredictSliceResponse(
        axes=[pb.SliceAxis(parameter=a.parameter, values=[value_to_wire(v) for v in a.values]) for a in found.axes],
        points=[
            pb.SlicePoint(
                predictions=[prediction_to_wire(p) for p in point.predictions],
                acquisition_value=point.acquisition_value,
                feasible=feasible,
            )
            for point, feasible in zip(forecast.points, found.feasible, strict=True)
        ],
        base=space_pb2.Configuration(parameters=configuration_to_wire(found.base)),
        base_trial="" if found.base_trial is None else trial_name(study_id, found.base_trial),
        acquisition=found.acquisition,
        observation_count=found.observation_count,
    )


def analyses_to_wire(found: Mapping[str, Analysis], study_id: str) -> service_pb.AnalyzeStudyResponse:
    """By what was analyzed."""
    told = [_analysis(analysis, metric, study_id) for metric, analysis in found.items()]
    count = max(analysis.observation_count for analysis in found.values())
    stopped = max(analysis.stopped_count for analysis in found.values())
    return service_pb.AnalyzeStudyResponse(metrics=told, observation_count=count, stopped_count=stopped)


def _analysis(found: Analysis, metric: str, study_id: str) -> pb.MetricAnalysis:
    return pb.MetricAnalysis(
        metric=metric,
        importance=[_region(region) for region in found.importance],
        best=_best(found.best, metric, study_id),
        calibration=_calibration(found.calibration),
    )


def _region(found: RegionImportance) -> pb.RegionImportance:
    return pb.RegionImportance(
        share=found.share,
        bound=found.bound,
        std=found.std,
        parameters=[
            pb.ParameterImportance(parameter=p.parameter, first_order=_estimate(p.first), total=_estimate(p.total))
            for p in found.parameters
        ],
        interactions=[
            pb.ParameterInteraction(parameters=i.parameters, share=_estimate(i.share)) for i in found.interactions
        ],
    )


def _best(found: BestFinding, metric: str, study_id: str) -> pb.BestAnalysis:
    return pb.BestAnalysis(
        summary=found.summary,
        contenders=[_contender(c, metric, study_id) for c in found.contenders],
        observed_best=trial_name(study_id, found.observed_best),
        noise_std=found.noise_std,
        confidence=found.confidence,
        repeats=found.repeats,
        stopped_count=found.stopped,
    )


def _contender(found: Contender, metric: str, study_id: str) -> pb.Contender:
    return pb.Contender(
        trial=trial_name(study_id, found.trial),
        observation_count=found.observations,
        observed=found.value,
        prediction=trial_pb2.Prediction(metric=metric, mean=found.mean, std=found.std),
        probability=found.probability,
        expected_regret=found.expected_regret,
        repeats=found.repeats,
    )


def _calibration(found: Calibration) -> pb.Calibration:
    return pb.Calibration(
        summary=found.summary,
        observation_count=found.count,
        coverage_50=found.coverage_50,
        coverage_90=found.coverage_90,
        explained=found.explained,
    )


def _estimate(found: Estimate) -> pb.Estimate:
    return pb.Estimate(value=found.value, error=found.error)
