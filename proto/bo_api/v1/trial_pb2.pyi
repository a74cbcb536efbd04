import datetime

from bo_api.v1 import space_pb2 as _space_pb2
from bo_api.v1 import study_pb2 as _study_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrialState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIAL_STATE_UNSPECIFIED: _ClassVar[TrialState]
    TRIAL_STATE_QUEUED: _ClassVar[TrialState]
    TRIAL_STATE_RUNNING: _ClassVar[TrialState]
    TRIAL_STATE_SUCCEEDED: _ClassVar[TrialState]
    TRIAL_STATE_FAILED: _ClassVar[TrialState]
    TRIAL_STATE_INFEASIBLE: _ClassVar[TrialState]
    TRIAL_STATE_STOPPED: _ClassVar[TrialState]
    TRIAL_STATE_PAUSED: _ClassVar[TrialState]

class FailureReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_REASON_UNSPECIFIED: _ClassVar[FailureReason]
    FAILURE_REASON_OUT_OF_MEMORY: _ClassVar[FailureReason]
    FAILURE_REASON_DIVERGED: _ClassVar[FailureReason]
    FAILURE_REASON_INVALID_CONFIGURATION: _ClassVar[FailureReason]
    FAILURE_REASON_CRASHED: _ClassVar[FailureReason]
    FAILURE_REASON_PREEMPTED: _ClassVar[FailureReason]
    FAILURE_REASON_TIMEOUT: _ClassVar[FailureReason]

class AttemptOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_OUTCOME_UNSPECIFIED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_COMPLETED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FAILED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_EXPIRED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_SUPERSEDED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_PAUSED: _ClassVar[AttemptOutcome]

class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORIGIN_UNSPECIFIED: _ClassVar[Origin]
    ORIGIN_DEFAULT: _ClassVar[Origin]
    ORIGIN_QUASI_RANDOM: _ClassVar[Origin]
    ORIGIN_SURROGATE: _ClassVar[Origin]
    ORIGIN_USER: _ClassVar[Origin]
    ORIGIN_WARM_START: _ClassVar[Origin]
    ORIGIN_CUSTOM_ALGORITHM: _ClassVar[Origin]
    ORIGIN_RANDOM: _ClassVar[Origin]
    ORIGIN_GRID: _ClassVar[Origin]
    ORIGIN_CONFIRMATION: _ClassVar[Origin]

class Intent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTENT_UNSPECIFIED: _ClassVar[Intent]
    INTENT_EXPLORE: _ClassVar[Intent]
    INTENT_EXPLOIT: _ClassVar[Intent]
TRIAL_STATE_UNSPECIFIED: TrialState
TRIAL_STATE_QUEUED: TrialState
TRIAL_STATE_RUNNING: TrialState
TRIAL_STATE_SUCCEEDED: TrialState
TRIAL_STATE_FAILED: TrialState
TRIAL_STATE_INFEASIBLE: TrialState
TRIAL_STATE_STOPPED: TrialState
TRIAL_STATE_PAUSED: TrialState
FAILURE_REASON_UNSPECIFIED: FailureReason
FAILURE_REASON_OUT_OF_MEMORY: FailureReason
FAILURE_REASON_DIVERGED: FailureReason
FAILURE_REASON_INVALID_CONFIGURATION: FailureReason
FAILURE_REASON_CRASHED: FailureReason
FAILURE_REASON_PREEMPTED: FailureReason
FAILURE_REASON_TIMEOUT: FailureReason
ATTEMPT_OUTCOME_UNSPECIFIED: AttemptOutcome
ATTEMPT_OUTCOME_COMPLETED: AttemptOutcome
ATTEMPT_OUTCOME_FAILED: AttemptOutcome
ATTEMPT_OUTCOME_EXPIRED: AttemptOutcome
ATTEMPT_OUTCOME_SUPERSEDED: AttemptOutcome
ATTEMPT_OUTCOME_PAUSED: AttemptOutcome
ORIGIN_UNSPECIFIED: Origin
ORIGIN_DEFAULT: Origin
ORIGIN_QUASI_RANDOM: Origin
ORIGIN_SURROGATE: Origin
ORIGIN_USER: Origin
ORIGIN_WARM_START: Origin
ORIGIN_CUSTOM_ALGORITHM: Origin
ORIGIN_RANDOM: Origin
ORIGIN_GRID: Origin
ORIGIN_CONFIRMATION: Origin
INTENT_UNSPECIFIED: Intent
INTENT_EXPLORE: Intent
INTENT_EXPLOIT: Intent

class Failure(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: FailureReason
    message: str
    def __init__(self, reason: _Optional[_Union[FailureReason, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("step", "metrics", "elapsed", "receive_time")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    step: int
    metrics: _containers.ScalarMap[str, float]
    elapsed: _duration_pb2.Duration
    receive_time: _timestamp_pb2.Timestamp
    def __init__(self, step: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("token", "worker_id", "expire_time")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    token: str
    worker_id: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[str] = ..., worker_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TrialAttempt(_message.Message):
    __slots__ = ("attempt", "worker_id", "start_time", "end_time", "outcome", "failure", "steps", "seconds")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    worker_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    outcome: AttemptOutcome
    failure: Failure
    steps: int
    seconds: float
    def __init__(self, attempt: _Optional[int] = ..., worker_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., steps: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("metric", "mean", "std")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    metric: str
    mean: float
    std: float
    def __init__(self, metric: _Optional[str] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("summary", "predictions", "acquisition", "acquisition_value", "intent", "nearest_trial", "nearest_distance")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_VALUE_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    NEAREST_TRIAL_FIELD_NUMBER: _ClassVar[int]
    NEAREST_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    summary: str
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    acquisition: str
    acquisition_value: float
    intent: Intent
    nearest_trial: str
    nearest_distance: float
    def __init__(self, summary: _Optional[str] = ..., predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., acquisition: _Optional[str] = ..., acquisition_value: _Optional[float] = ..., intent: _Optional[_Union[Intent, str]] = ..., nearest_trial: _Optional[str] = ..., nearest_distance: _Optional[float] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("reason", "create_time", "rule", "expected", "expected_step")
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_STEP_FIELD_NUMBER: _ClassVar[int]
    reason: str
    create_time: _timestamp_pb2.Timestamp
    rule: _study_pb2.StoppingRule
    expected: Prediction
    expected_step: int
    def __init__(self, reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rule: _Optional[_Union[_study_pb2.StoppingRule, str]] = ..., expected: _Optional[_Union[Prediction, _Mapping]] = ..., expected_step: _Optional[int] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("reason", "create_time", "step", "attempt", "expected", "expected_step", "seconds_per_step")
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_STEP_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PER_STEP_FIELD_NUMBER: _ClassVar[int]
    reason: str
    create_time: _timestamp_pb2.Timestamp
    step: int
    attempt: int
    expected: Prediction
    expected_step: int
    seconds_per_step: float
    def __init__(self, reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[int] = ..., attempt: _Optional[int] = ..., expected: _Optional[_Union[Prediction, _Mapping]] = ..., expected_step: _Optional[int] = ..., seconds_per_step: _Optional[float] = ...) -> None: ...

class TrialNote(_message.Message):
    __slots__ = ("text", "author", "update_time")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    text: str
    author: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, text: _Optional[str] = ..., author: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("name", "media_type", "size", "sha256", "uri", "author", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    media_type: str
    size: int
    sha256: str
    uri: str
    author: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., media_type: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., uri: _Optional[str] = ..., author: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("name", "parameters", "state", "measurements", "latest_measurement", "final_measurement", "failure", "lease", "attempt", "checkpoint_uri", "labels", "origin", "explanation", "stop_request", "create_time", "start_time", "end_time", "revision", "attempts", "pause", "until_step", "note")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _space_pb2.ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_space_pb2.ParameterValue, _Mapping]] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    LATEST_MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    FINAL_MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_URI_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    STOP_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_STEP_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _containers.MessageMap[str, _space_pb2.ParameterValue]
    state: TrialState
    measurements: _containers.RepeatedCompositeFieldContainer[Measurement]
    latest_measurement: Measurement
    final_measurement: Measurement
    failure: Failure
    lease: Lease
    attempt: int
    checkpoint_uri: str
    labels: _containers.ScalarMap[str, str]
    origin: Origin
    explanation: Explanation
    stop_request: StopRequest
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    revision: int
    attempts: _containers.RepeatedCompositeFieldContainer[TrialAttempt]
    pause: Pause
    until_step: int
    note: TrialNote
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _space_pb2.ParameterValue]] = ..., state: _Optional[_Union[TrialState, str]] = ..., measurements: _Optional[_Iterable[_Union[Measurement, _Mapping]]] = ..., latest_measurement: _Optional[_Union[Measurement, _Mapping]] = ..., final_measurement: _Optional[_Union[Measurement, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., attempt: _Optional[int] = ..., checkpoint_uri: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., origin: _Optional[_Union[Origin, str]] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., stop_request: _Optional[_Union[StopRequest, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[TrialAttempt, _Mapping]]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., until_step: _Optional[int] = ..., note: _Optional[_Union[TrialNote, _Mapping]] = ...) -> None: ...
