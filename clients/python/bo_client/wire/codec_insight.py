"""Conversion of predictions and analyses from messages."""

from itertools import product

from bo_api.v1 import insight_pb2
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1.trial_pb2 import Prediction as PredictionMessage

from bo_client.insight import (
    Analysis,
    BestAnalysis,
    Calibration,
    Contender,
    Estimate,
    MetricAnalysis,
    ParameterImportance,
    ParameterInteraction,
    RegionImportance,
    Slice,
    SliceAxis,
    SlicePoint,
)
from bo_client.models import Prediction
from bo_client.wire.codec_space import value_from_wire, values_from_wire


def analysis_from_wire(message: service_pb.AnalyzeStudyResponse) -> Analysis:
    """Return the analysis of every objective."""
    return Analysis(tuple(_metric(m) for m in message.metrics), message.observation_count, message.stopped_count)


def slice_from_wire(message: service_pb.PredictSliceResponse) -> Slice:
    """Return the slice, each point with its values on the axes."""
    axes = tuple(SliceAxis(a.parameter, tuple(value_from_wire(v) for v in a.values)) for a in message.axes)
    names = [axis.parameter for axis in axes]
    places = product(*(axis.values for axis in axes))
    points = tuple(
        SlicePoint(
            dict(zip(names, place, strict=True)),
            tuple(_prediction(p) for p in point.predictions),
            point.acquisition_value,
            point.feasible,
        )
        for place, point in zip(places, message.points, strict=True)
    )
    return Slice(
        axes=axes,
        points=points,
        base=values_from_wire(message.base.parameters),
        base_trial=_number(message.base_trial) if message.base_trial else None,
        acquisition=message.acquisition,
        observation_count=message.observation_count,
    )


def _metric(message: insight_pb2.MetricAnalysis) -> MetricAnalysis:
    calibration = message.calibration
    return MetricAnalysis(
        message.metric,
        tuple(_region(region) for region in message.importance),
        _best(message.best),
        Calibration(
            calibration.summary,
            calibration.observation_count,
            calibration.coverage_50,
            calibration.coverage_90,
            calibration.explained,
        ),
    )


def _region(message: insight_pb2.RegionImportance) -> RegionImportance:
    return RegionImportance(
        share=message.share,
        bound=message.bound if message.HasField("bound") else None,
        std=message.std,
        parameters=tuple(
            ParameterImportance(p.parameter, _estimate(p.first_order), _estimate(p.total)) for p in message.parameters
        ),
        interactions=tuple(ParameterInteraction(tuple(i.parameters), _estimate(i.share)) for i in message.interactions),
    )


def _best(message: insight_pb2.BestAnalysis) -> BestAnalysis:
    return BestAnalysis(
        summary=message.summary,
        contenders=tuple(_contender(c) for c in message.contenders),
        observed_best=_number(message.observed_best),
        noise_std=message.noise_std,
        confidence=message.confidence,
        repeats=message.repeats,
        stopped_count=message.stopped_count,
        recommended=_number(message.recommended or message.contenders[0].trial),
    )


def _contender(message: insight_pb2.Contender) -> Contender:
    return Contender(
        trial=_number(message.trial),
        observation_count=message.observation_count,
        observed=message.observed,
        prediction=_prediction(message.prediction),
        probability=message.probability,
        expected_regret=message.expected_regret,
        repeats=message.repeats,
        probability_behind=message.probability_behind if message.HasField("probability_behind") else None,
    )


def _estimate(message: insight_pb2.Estimate) -> Estimate:
    return Estimate(message.value, message.error)


def _prediction(message: PredictionMessage) -> Prediction:
    return Prediction(message.metric, message.mean, message.std)


def _number(trial: str) -> int:
    """Return the number in `studies/{study}/trials/{number}`."""
    return int(trial.rpartition("/")[2])
