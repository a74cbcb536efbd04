from bo_api.v1 import space_pb2 as _space_pb2
from bo_api.v1 import trial_pb2 as _trial_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Estimate(_message.Message):
    __slots__ = ("value", "error")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    value: float
    error: float
    def __init__(self, value: _Optional[float] = ..., error: _Optional[float] = ...) -> None: ...

class ParameterImportance(_message.Message):
    __slots__ = ("parameter", "first_order", "total")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    FIRST_ORDER_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    first_order: Estimate
    total: Estimate
    def __init__(self, parameter: _Optional[str] = ..., first_order: _Optional[_Union[Estimate, _Mapping]] = ..., total: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class ParameterInteraction(_message.Message):
    __slots__ = ("parameters", "share")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.RepeatedScalarFieldContainer[str]
    share: Estimate
    def __init__(self, parameters: _Optional[_Iterable[str]] = ..., share: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class RegionImportance(_message.Message):
    __slots__ = ("share", "bound", "std", "parameters", "interactions")
    SHARE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    INTERACTIONS_FIELD_NUMBER: _ClassVar[int]
    share: float
    bound: float
    std: float
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterImportance]
    interactions: _containers.RepeatedCompositeFieldContainer[ParameterInteraction]
    def __init__(self, share: _Optional[float] = ..., bound: _Optional[float] = ..., std: _Optional[float] = ..., parameters: _Optional[_Iterable[_Union[ParameterImportance, _Mapping]]] = ..., interactions: _Optional[_Iterable[_Union[ParameterInteraction, _Mapping]]] = ...) -> None: ...

class Contender(_message.Message):
    __slots__ = ("trial", "observation_count", "observed", "prediction", "probability", "expected_regret", "repeats", "probability_behind")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REGRET_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_BEHIND_FIELD_NUMBER: _ClassVar[int]
    trial: str
    observation_count: int
    observed: float
    prediction: _trial_pb2.Prediction
    probability: float
    expected_regret: float
    repeats: int
    probability_behind: float
    def __init__(self, trial: _Optional[str] = ..., observation_count: _Optional[int] = ..., observed: _Optional[float] = ..., prediction: _Optional[_Union[_trial_pb2.Prediction, _Mapping]] = ..., probability: _Optional[float] = ..., expected_regret: _Optional[float] = ..., repeats: _Optional[int] = ..., probability_behind: _Optional[float] = ...) -> None: ...

class BestAnalysis(_message.Message):
    __slots__ = ("summary", "contenders", "observed_best", "noise_std", "confidence", "repeats", "stopped_count", "recommended")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CONTENDERS_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_BEST_FIELD_NUMBER: _ClassVar[int]
    NOISE_STD_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_FIELD_NUMBER: _ClassVar[int]
    summary: str
    contenders: _containers.RepeatedCompositeFieldContainer[Contender]
    observed_best: str
    noise_std: float
    confidence: float
    repeats: int
    stopped_count: int
    recommended: str
    def __init__(self, summary: _Optional[str] = ..., contenders: _Optional[_Iterable[_Union[Contender, _Mapping]]] = ..., observed_best: _Optional[str] = ..., noise_std: _Optional[float] = ..., confidence: _Optional[float] = ..., repeats: _Optional[int] = ..., stopped_count: _Optional[int] = ..., recommended: _Optional[str] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("summary", "observation_count", "coverage_50", "coverage_90", "explained")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_50_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_90_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_FIELD_NUMBER: _ClassVar[int]
    summary: str
    observation_count: int
    coverage_50: float
    coverage_90: float
    explained: float
    def __init__(self, summary: _Optional[str] = ..., observation_count: _Optional[int] = ..., coverage_50: _Optional[float] = ..., coverage_90: _Optional[float] = ..., explained: _Optional[float] = ...) -> None: ...

class MetricAnalysis(_message.Message):
    __slots__ = ("metric", "importance", "best", "calibration")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    metric: str
    importance: _containers.RepeatedCompositeFieldContainer[RegionImportance]
    best: BestAnalysis
    calibration: Calibration
    def __init__(self, metric: _Optional[str] = ..., importance: _Optional[_Iterable[_Union[RegionImportance, _Mapping]]] = ..., best: _Optional[_Union[BestAnalysis, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...

class SliceAxis(_message.Message):
    __slots__ = ("parameter", "values")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    values: _containers.RepeatedCompositeFieldContainer[_space_pb2.ParameterValue]
    def __init__(self, parameter: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_space_pb2.ParameterValue, _Mapping]]] = ...) -> None: ...

class SlicePoint(_message.Message):
    __slots__ = ("predictions", "acquisition_value", "feasible")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_VALUE_FIELD_NUMBER: _ClassVar[int]
    FEASIBLE_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Prediction]
    acquisition_value: float
    feasible: bool
    def __init__(self, predictions: _Optional[_Iterable[_Union[_trial_pb2.Prediction, _Mapping]]] = ..., acquisition_value: _Optional[float] = ..., feasible: bool = ...) -> None: ...
