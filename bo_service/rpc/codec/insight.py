"""Conversion of predictions and analyses to and from messages."""

from collections.abc import Mapping

from bo_api.v1 import insight_pb2 as pb
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import space_pb2, trial_pb2

from bo_service.application.insight import SliceForecast, SliceQuery
from bo_service.optimizer.insight.results import (
    Analysis,
    BestFinding,
    Calibration,
    Contender,
    Estimate,
    RegionImportance,
)
from bo_service.rpc.codec.fields import configuration_from_wire, configuration_to_wire, trial_name, value_to_wire
from bo_service.rpc.codec.trial import prediction_to_wire


def slice_from_wire(request: service_pb.PredictSliceRequest) -> SliceQuery:
    """Return the query.

    Raises:
        InvalidArgument: a value of the base configuration is empty.
    """
    base = None
    if request.HasField("base"):
        base = configuration_from_wire(request.base.parameters, "base.parameters")
    return SliceQuery(tuple(request.parameters), request.grid_size, base)


def slice_to_wire(forecast: SliceForecast, study_id: str) -> service_pb.PredictSliceResponse:
    """Return the response with the predictions on a slice."""
    predicted = forecast.slice
    return service_pb.PredictSliceResponse(
        axes=[pb.SliceAxis(parameter=a.parameter, values=[value_to_wire(v) for v in a.values]) for a in predicted.axes],
        points=[
            pb.SlicePoint(
                predictions=[prediction_to_wire(p) for p in point.predictions],
                acquisition_value=point.acquisition_value,
                feasible=feasible,
            )
            for point, feasible in zip(forecast.points, predicted.feasible, strict=True)
        ],
        base=space_pb2.Configuration(parameters=configuration_to_wire(predicted.base)),
        base_trial="" if predicted.base_trial is None else trial_name(study_id, predicted.base_trial),
        acquisition=predicted.acquisition,
        observation_count=predicted.observation_count,
    )


def analyses_to_wire(analyses: Mapping[str, Analysis], study_id: str) -> service_pb.AnalyzeStudyResponse:
    """Return the response with the analyses, by metric."""
    metrics = [_analysis(analysis, metric, study_id) for metric, analysis in analyses.items()]
    count = max(analysis.observation_count for analysis in analyses.values())
    stopped = max(analysis.stopped_count for analysis in analyses.values())
    return service_pb.AnalyzeStudyResponse(metrics=metrics, observation_count=count, stopped_count=stopped)


def _analysis(analysis: Analysis, metric: str, study_id: str) -> pb.MetricAnalysis:
    return pb.MetricAnalysis(
        metric=metric,
        importance=[_region(region) for region in analysis.importance],
        best=_best(analysis.best, metric, study_id),
        calibration=_calibration(analysis.calibration),
    )


def _region(region: RegionImportance) -> pb.RegionImportance:
    return pb.RegionImportance(
        share=region.share,
        bound=region.bound,
        std=region.std,
        parameters=[
            pb.ParameterImportance(parameter=p.parameter, first_order=_estimate(p.first), total=_estimate(p.total))
            for p in region.parameters
        ],
        interactions=[
            pb.ParameterInteraction(parameters=i.parameters, share=_estimate(i.share)) for i in region.interactions
        ],
    )


def _best(best: BestFinding, metric: str, study_id: str) -> pb.BestAnalysis:
    return pb.BestAnalysis(
        summary=best.summary,
        contenders=[_contender(c, metric, study_id) for c in best.contenders],
        observed_best=trial_name(study_id, best.observed_best),
        noise_std=best.noise_std,
        confidence=best.confidence,
        repeats=best.repeats,
        stopped_count=best.stopped,
        recommended=trial_name(study_id, best.recommended),
    )


def _contender(contender: Contender, metric: str, study_id: str) -> pb.Contender:
    return pb.Contender(
        trial=trial_name(study_id, contender.trial),
        observation_count=contender.observations,
        observed=contender.value,
        prediction=trial_pb2.Prediction(metric=metric, mean=contender.mean, std=contender.std),
        probability=contender.probability,
        expected_regret=contender.expected_regret,
        repeats=contender.repeats,
        probability_behind=contender.probability_behind,
    )


def _calibration(calibration: Calibration) -> pb.Calibration:
    return pb.Calibration(
        summary=calibration.summary,
        observation_count=calibration.count,
        coverage_50=calibration.coverage_50,
        coverage_90=calibration.coverage_90,
        explained=calibration.explained,
    )


def _estimate(estimate: Estimate) -> pb.Estimate:
    return pb.Estimate(value=estimate.value, error=estimate.error)
