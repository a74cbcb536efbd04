import datetime

from bo_api.v1 import insight_pb2 as _insight_pb2
from bo_api.v1 import space_pb2 as _space_pb2
from bo_api.v1 import study_pb2 as _study_pb2
from bo_api.v1 import trial_pb2 as _trial_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrialView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIAL_VIEW_UNSPECIFIED: _ClassVar[TrialView]
    TRIAL_VIEW_BASIC: _ClassVar[TrialView]
    TRIAL_VIEW_FULL: _ClassVar[TrialView]

class Shortfall(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHORTFALL_UNSPECIFIED: _ClassVar[Shortfall]
    SHORTFALL_ALL_IN_PROGRESS: _ClassVar[Shortfall]
    SHORTFALL_PAUSED: _ClassVar[Shortfall]
    SHORTFALL_COMPLETED: _ClassVar[Shortfall]
    SHORTFALL_SPACE_EXHAUSTED: _ClassVar[Shortfall]
    SHORTFALL_NEEDS_RESUME: _ClassVar[Shortfall]
TRIAL_VIEW_UNSPECIFIED: TrialView
TRIAL_VIEW_BASIC: TrialView
TRIAL_VIEW_FULL: TrialView
SHORTFALL_UNSPECIFIED: Shortfall
SHORTFALL_ALL_IN_PROGRESS: Shortfall
SHORTFALL_PAUSED: Shortfall
SHORTFALL_COMPLETED: Shortfall
SHORTFALL_SPACE_EXHAUSTED: Shortfall
SHORTFALL_NEEDS_RESUME: Shortfall

class CreateStudyRequest(_message.Message):
    __slots__ = ("study_id", "study", "request_id")
    STUDY_ID_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    study_id: str
    study: _study_pb2.Study
    request_id: str
    def __init__(self, study_id: _Optional[str] = ..., study: _Optional[_Union[_study_pb2.Study, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateStudyResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: _study_pb2.Study
    def __init__(self, study: _Optional[_Union[_study_pb2.Study, _Mapping]] = ...) -> None: ...

class GetStudyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetStudyResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: _study_pb2.Study
    def __init__(self, study: _Optional[_Union[_study_pb2.Study, _Mapping]] = ...) -> None: ...

class ListStudiesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStudiesResponse(_message.Message):
    __slots__ = ("studies", "next_page_token")
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    studies: _containers.RepeatedCompositeFieldContainer[_study_pb2.Study]
    next_page_token: str
    def __init__(self, studies: _Optional[_Iterable[_Union[_study_pb2.Study, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateStudyRequest(_message.Message):
    __slots__ = ("study", "update_mask", "request_id")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    study: _study_pb2.Study
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, study: _Optional[_Union[_study_pb2.Study, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateStudyResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: _study_pb2.Study
    def __init__(self, study: _Optional[_Union[_study_pb2.Study, _Mapping]] = ...) -> None: ...

class DeleteStudyRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteStudyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SuggestTrialsRequest(_message.Message):
    __slots__ = ("parent", "count", "worker_id", "request_id", "objective", "can_resume")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    CAN_RESUME_FIELD_NUMBER: _ClassVar[int]
    parent: str
    count: int
    worker_id: str
    request_id: str
    objective: _study_pb2.ObjectiveSpec
    can_resume: bool
    def __init__(self, parent: _Optional[str] = ..., count: _Optional[int] = ..., worker_id: _Optional[str] = ..., request_id: _Optional[str] = ..., objective: _Optional[_Union[_study_pb2.ObjectiveSpec, _Mapping]] = ..., can_resume: bool = ...) -> None: ...

class SuggestTrialsResponse(_message.Message):
    __slots__ = ("trials", "shortfall", "retry_delay", "reached_limit")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    REACHED_LIMIT_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Trial]
    shortfall: Shortfall
    retry_delay: _duration_pb2.Duration
    reached_limit: _study_pb2.Limit
    def __init__(self, trials: _Optional[_Iterable[_Union[_trial_pb2.Trial, _Mapping]]] = ..., shortfall: _Optional[_Union[Shortfall, str]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reached_limit: _Optional[_Union[_study_pb2.Limit, str]] = ...) -> None: ...

class CreateTrialRequest(_message.Message):
    __slots__ = ("parent", "trial", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    trial: _trial_pb2.Trial
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., trial: _Optional[_Union[_trial_pb2.Trial, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateTrialResponse(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: _trial_pb2.Trial
    def __init__(self, trial: _Optional[_Union[_trial_pb2.Trial, _Mapping]] = ...) -> None: ...

class ReportMeasurementsRequest(_message.Message):
    __slots__ = ("name", "lease_token", "measurements", "checkpoint_uri")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_URI_FIELD_NUMBER: _ClassVar[int]
    name: str
    lease_token: str
    measurements: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Measurement]
    checkpoint_uri: str
    def __init__(self, name: _Optional[str] = ..., lease_token: _Optional[str] = ..., measurements: _Optional[_Iterable[_Union[_trial_pb2.Measurement, _Mapping]]] = ..., checkpoint_uri: _Optional[str] = ...) -> None: ...

class ReportMeasurementsResponse(_message.Message):
    __slots__ = ("lease_expire_time", "lease_remaining", "should_stop", "stop_reason", "lease_valid", "should_pause", "pause_reason", "until_step")
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASE_REMAINING_FIELD_NUMBER: _ClassVar[int]
    SHOULD_STOP_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    LEASE_VALID_FIELD_NUMBER: _ClassVar[int]
    SHOULD_PAUSE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_STEP_FIELD_NUMBER: _ClassVar[int]
    lease_expire_time: _timestamp_pb2.Timestamp
    lease_remaining: _duration_pb2.Duration
    should_stop: bool
    stop_reason: str
    lease_valid: bool
    should_pause: bool
    pause_reason: str
    until_step: int
    def __init__(self, lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lease_remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., should_stop: bool = ..., stop_reason: _Optional[str] = ..., lease_valid: bool = ..., should_pause: bool = ..., pause_reason: _Optional[str] = ..., until_step: _Optional[int] = ...) -> None: ...

class PauseOutcome(_message.Message):
    __slots__ = ("checkpoint_uri",)
    CHECKPOINT_URI_FIELD_NUMBER: _ClassVar[int]
    checkpoint_uri: str
    def __init__(self, checkpoint_uri: _Optional[str] = ...) -> None: ...

class CompleteTrialRequest(_message.Message):
    __slots__ = ("name", "lease_token", "final_measurement", "failure", "pause", "request_id", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FINAL_MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    lease_token: str
    final_measurement: _trial_pb2.Measurement
    failure: _trial_pb2.Failure
    pause: PauseOutcome
    request_id: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., lease_token: _Optional[str] = ..., final_measurement: _Optional[_Union[_trial_pb2.Measurement, _Mapping]] = ..., failure: _Optional[_Union[_trial_pb2.Failure, _Mapping]] = ..., pause: _Optional[_Union[PauseOutcome, _Mapping]] = ..., request_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CompleteTrialResponse(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: _trial_pb2.Trial
    def __init__(self, trial: _Optional[_Union[_trial_pb2.Trial, _Mapping]] = ...) -> None: ...

class StopTrialRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StopTrialResponse(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: _trial_pb2.Trial
    def __init__(self, trial: _Optional[_Union[_trial_pb2.Trial, _Mapping]] = ...) -> None: ...

class GetTrialRequest(_message.Message):
    __slots__ = ("name", "view")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    name: str
    view: TrialView
    def __init__(self, name: _Optional[str] = ..., view: _Optional[_Union[TrialView, str]] = ...) -> None: ...

class GetTrialResponse(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: _trial_pb2.Trial
    def __init__(self, trial: _Optional[_Union[_trial_pb2.Trial, _Mapping]] = ...) -> None: ...

class ListTrialsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "states", "view", "order_by")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_trial_pb2.TrialState]
    view: TrialView
    order_by: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_trial_pb2.TrialState, str]]] = ..., view: _Optional[_Union[TrialView, str]] = ..., order_by: _Optional[str] = ...) -> None: ...

class ListTrialsResponse(_message.Message):
    __slots__ = ("trials", "next_page_token", "order_by")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Trial]
    next_page_token: str
    order_by: str
    def __init__(self, trials: _Optional[_Iterable[_Union[_trial_pb2.Trial, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., order_by: _Optional[str] = ...) -> None: ...

class DeleteTrialRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteTrialResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AddArtifactRequest(_message.Message):
    __slots__ = ("name", "artifact_id", "media_type", "content", "uri", "size", "sha256", "lease_token", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    artifact_id: str
    media_type: str
    content: bytes
    uri: str
    size: int
    sha256: str
    lease_token: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., artifact_id: _Optional[str] = ..., media_type: _Optional[str] = ..., content: _Optional[bytes] = ..., uri: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., lease_token: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddArtifactResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: _trial_pb2.Artifact
    def __init__(self, artifact: _Optional[_Union[_trial_pb2.Artifact, _Mapping]] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ("artifacts", "next_page_token")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Artifact]
    next_page_token: str
    def __init__(self, artifacts: _Optional[_Iterable[_Union[_trial_pb2.Artifact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetArtifactResponse(_message.Message):
    __slots__ = ("artifact", "content")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    artifact: _trial_pb2.Artifact
    content: bytes
    def __init__(self, artifact: _Optional[_Union[_trial_pb2.Artifact, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class SetTrialNoteRequest(_message.Message):
    __slots__ = ("name", "text", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetTrialNoteResponse(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: _trial_pb2.Trial
    def __init__(self, trial: _Optional[_Union[_trial_pb2.Trial, _Mapping]] = ...) -> None: ...

class GetBestTrialsRequest(_message.Message):
    __slots__ = ("parent", "count")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    count: int
    def __init__(self, parent: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class GetBestTrialsResponse(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Trial]
    def __init__(self, trials: _Optional[_Iterable[_Union[_trial_pb2.Trial, _Mapping]]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("parent", "configurations")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    configurations: _containers.RepeatedCompositeFieldContainer[_space_pb2.Configuration]
    def __init__(self, parent: _Optional[str] = ..., configurations: _Optional[_Iterable[_Union[_space_pb2.Configuration, _Mapping]]] = ...) -> None: ...

class ConfigurationPrediction(_message.Message):
    __slots__ = ("predictions", "acquisition_value")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_VALUE_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Prediction]
    acquisition_value: float
    def __init__(self, predictions: _Optional[_Iterable[_Union[_trial_pb2.Prediction, _Mapping]]] = ..., acquisition_value: _Optional[float] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("predictions", "acquisition", "observation_count")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[ConfigurationPrediction]
    acquisition: str
    observation_count: int
    def __init__(self, predictions: _Optional[_Iterable[_Union[ConfigurationPrediction, _Mapping]]] = ..., acquisition: _Optional[str] = ..., observation_count: _Optional[int] = ...) -> None: ...

class PredictSliceRequest(_message.Message):
    __slots__ = ("parent", "parameters", "grid_size", "base")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    GRID_SIZE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    parameters: _containers.RepeatedScalarFieldContainer[str]
    grid_size: int
    base: _space_pb2.Configuration
    def __init__(self, parent: _Optional[str] = ..., parameters: _Optional[_Iterable[str]] = ..., grid_size: _Optional[int] = ..., base: _Optional[_Union[_space_pb2.Configuration, _Mapping]] = ...) -> None: ...

class PredictSliceResponse(_message.Message):
    __slots__ = ("axes", "points", "base", "base_trial", "acquisition", "observation_count")
    AXES_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BASE_TRIAL_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    axes: _containers.RepeatedCompositeFieldContainer[_insight_pb2.SliceAxis]
    points: _containers.RepeatedCompositeFieldContainer[_insight_pb2.SlicePoint]
    base: _space_pb2.Configuration
    base_trial: str
    acquisition: str
    observation_count: int
    def __init__(self, axes: _Optional[_Iterable[_Union[_insight_pb2.SliceAxis, _Mapping]]] = ..., points: _Optional[_Iterable[_Union[_insight_pb2.SlicePoint, _Mapping]]] = ..., base: _Optional[_Union[_space_pb2.Configuration, _Mapping]] = ..., base_trial: _Optional[str] = ..., acquisition: _Optional[str] = ..., observation_count: _Optional[int] = ...) -> None: ...

class AnalyzeStudyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class AnalyzeStudyResponse(_message.Message):
    __slots__ = ("metrics", "observation_count", "stopped_count")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    STOPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[_insight_pb2.MetricAnalysis]
    observation_count: int
    stopped_count: int
    def __init__(self, metrics: _Optional[_Iterable[_Union[_insight_pb2.MetricAnalysis, _Mapping]]] = ..., observation_count: _Optional[int] = ..., stopped_count: _Optional[int] = ...) -> None: ...

class WatchStudyRequest(_message.Message):
    __slots__ = ("name", "after_revision", "view")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_revision: int
    view: TrialView
    def __init__(self, name: _Optional[str] = ..., after_revision: _Optional[int] = ..., view: _Optional[_Union[TrialView, str]] = ...) -> None: ...

class WatchStudyResponse(_message.Message):
    __slots__ = ("study", "trials", "deleted_trials", "revision", "send_time")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    DELETED_TRIALS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    study: _study_pb2.Study
    trials: _containers.RepeatedCompositeFieldContainer[_trial_pb2.Trial]
    deleted_trials: _containers.RepeatedScalarFieldContainer[int]
    revision: int
    send_time: _timestamp_pb2.Timestamp
    def __init__(self, study: _Optional[_Union[_study_pb2.Study, _Mapping]] = ..., trials: _Optional[_Iterable[_Union[_trial_pb2.Trial, _Mapping]]] = ..., deleted_trials: _Optional[_Iterable[int]] = ..., revision: _Optional[int] = ..., send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
