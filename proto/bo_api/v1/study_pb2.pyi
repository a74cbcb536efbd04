import datetime

from bo_api.v1 import space_pb2 as _space_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Goal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GOAL_UNSPECIFIED: _ClassVar[Goal]
    GOAL_MINIMIZE: _ClassVar[Goal]
    GOAL_MAXIMIZE: _ClassVar[Goal]

class MetricRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_ROLE_UNSPECIFIED: _ClassVar[MetricRole]
    METRIC_ROLE_OBJECTIVE: _ClassVar[MetricRole]
    METRIC_ROLE_CONSTRAINT: _ClassVar[MetricRole]
    METRIC_ROLE_INFORMATION: _ClassVar[MetricRole]

class Algorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALGORITHM_UNSPECIFIED: _ClassVar[Algorithm]
    ALGORITHM_GAUSSIAN_PROCESS: _ClassVar[Algorithm]
    ALGORITHM_QUASI_RANDOM: _ClassVar[Algorithm]
    ALGORITHM_CUSTOM: _ClassVar[Algorithm]
    ALGORITHM_RANDOM: _ClassVar[Algorithm]
    ALGORITHM_GRID: _ClassVar[Algorithm]

class Acquisition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACQUISITION_UNSPECIFIED: _ClassVar[Acquisition]
    ACQUISITION_LOG_EI: _ClassVar[Acquisition]
    ACQUISITION_UCB: _ClassVar[Acquisition]
    ACQUISITION_LOG_PI: _ClassVar[Acquisition]
    ACQUISITION_PORTFOLIO: _ClassVar[Acquisition]
    ACQUISITION_LOG_NEI: _ClassVar[Acquisition]

class StoppingRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOPPING_RULE_UNSPECIFIED: _ClassVar[StoppingRule]
    STOPPING_RULE_NONE: _ClassVar[StoppingRule]
    STOPPING_RULE_MEDIAN: _ClassVar[StoppingRule]
    STOPPING_RULE_SUCCESSIVE_HALVING: _ClassVar[StoppingRule]
    STOPPING_RULE_CURVE: _ClassVar[StoppingRule]

class Promotion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROMOTION_UNSPECIFIED: _ClassVar[Promotion]
    PROMOTION_ASHA: _ClassVar[Promotion]
    PROMOTION_FORECAST: _ClassVar[Promotion]
    PROMOTION_NONE: _ClassVar[Promotion]

class Limit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_UNSPECIFIED: _ClassVar[Limit]
    LIMIT_MAX_TRIALS: _ClassVar[Limit]
    LIMIT_MAX_STEPS: _ClassVar[Limit]
    LIMIT_MAX_SECONDS: _ClassVar[Limit]

class StudyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STUDY_STATE_UNSPECIFIED: _ClassVar[StudyState]
    STUDY_STATE_ACTIVE: _ClassVar[StudyState]
    STUDY_STATE_PAUSED: _ClassVar[StudyState]
    STUDY_STATE_COMPLETED: _ClassVar[StudyState]
GOAL_UNSPECIFIED: Goal
GOAL_MINIMIZE: Goal
GOAL_MAXIMIZE: Goal
METRIC_ROLE_UNSPECIFIED: MetricRole
METRIC_ROLE_OBJECTIVE: MetricRole
METRIC_ROLE_CONSTRAINT: MetricRole
METRIC_ROLE_INFORMATION: MetricRole
ALGORITHM_UNSPECIFIED: Algorithm
ALGORITHM_GAUSSIAN_PROCESS: Algorithm
ALGORITHM_QUASI_RANDOM: Algorithm
ALGORITHM_CUSTOM: Algorithm
ALGORITHM_RANDOM: Algorithm
ALGORITHM_GRID: Algorithm
ACQUISITION_UNSPECIFIED: Acquisition
ACQUISITION_LOG_EI: Acquisition
ACQUISITION_UCB: Acquisition
ACQUISITION_LOG_PI: Acquisition
ACQUISITION_PORTFOLIO: Acquisition
ACQUISITION_LOG_NEI: Acquisition
STOPPING_RULE_UNSPECIFIED: StoppingRule
STOPPING_RULE_NONE: StoppingRule
STOPPING_RULE_MEDIAN: StoppingRule
STOPPING_RULE_SUCCESSIVE_HALVING: StoppingRule
STOPPING_RULE_CURVE: StoppingRule
PROMOTION_UNSPECIFIED: Promotion
PROMOTION_ASHA: Promotion
PROMOTION_FORECAST: Promotion
PROMOTION_NONE: Promotion
LIMIT_UNSPECIFIED: Limit
LIMIT_MAX_TRIALS: Limit
LIMIT_MAX_STEPS: Limit
LIMIT_MAX_SECONDS: Limit
STUDY_STATE_UNSPECIFIED: StudyState
STUDY_STATE_ACTIVE: StudyState
STUDY_STATE_PAUSED: StudyState
STUDY_STATE_COMPLETED: StudyState

class Metric(_message.Message):
    __slots__ = ("name", "goal", "role", "bound", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    goal: Goal
    role: MetricRole
    bound: float
    unit: str
    def __init__(self, name: _Optional[str] = ..., goal: _Optional[_Union[Goal, str]] = ..., role: _Optional[_Union[MetricRole, str]] = ..., bound: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class SuggestionSettings(_message.Message):
    __slots__ = ("algorithm", "acquisition", "beta", "xi", "initial_trials", "seed", "per_cost", "warm_start_studies", "custom_algorithm", "grid_points", "confirming_trials")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    XI_FIELD_NUMBER: _ClassVar[int]
    INITIAL_TRIALS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    PER_COST_FIELD_NUMBER: _ClassVar[int]
    WARM_START_STUDIES_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    GRID_POINTS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMING_TRIALS_FIELD_NUMBER: _ClassVar[int]
    algorithm: Algorithm
    acquisition: Acquisition
    beta: float
    xi: float
    initial_trials: int
    seed: int
    per_cost: bool
    warm_start_studies: _containers.RepeatedScalarFieldContainer[str]
    custom_algorithm: str
    grid_points: int
    confirming_trials: int
    def __init__(self, algorithm: _Optional[_Union[Algorithm, str]] = ..., acquisition: _Optional[_Union[Acquisition, str]] = ..., beta: _Optional[float] = ..., xi: _Optional[float] = ..., initial_trials: _Optional[int] = ..., seed: _Optional[int] = ..., per_cost: bool = ..., warm_start_studies: _Optional[_Iterable[str]] = ..., custom_algorithm: _Optional[str] = ..., grid_points: _Optional[int] = ..., confirming_trials: _Optional[int] = ...) -> None: ...

class StoppingSettings(_message.Message):
    __slots__ = ("rule", "min_step", "min_trials", "reduction_factor", "max_step", "confidence")
    RULE_FIELD_NUMBER: _ClassVar[int]
    MIN_STEP_FIELD_NUMBER: _ClassVar[int]
    MIN_TRIALS_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    MAX_STEP_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    rule: StoppingRule
    min_step: int
    min_trials: int
    reduction_factor: float
    max_step: int
    confidence: float
    def __init__(self, rule: _Optional[_Union[StoppingRule, str]] = ..., min_step: _Optional[int] = ..., min_trials: _Optional[int] = ..., reduction_factor: _Optional[float] = ..., max_step: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class FidelitySettings(_message.Message):
    __slots__ = ("metric", "max", "min", "promotion")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    metric: str
    max: int
    min: int
    promotion: Promotion
    def __init__(self, metric: _Optional[str] = ..., max: _Optional[int] = ..., min: _Optional[int] = ..., promotion: _Optional[_Union[Promotion, str]] = ...) -> None: ...

class ExecutionSettings(_message.Message):
    __slots__ = ("lease_duration", "max_attempts", "max_trials", "max_steps", "max_seconds")
    LEASE_DURATION_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TRIALS_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    lease_duration: _duration_pb2.Duration
    max_attempts: int
    max_trials: int
    max_steps: int
    max_seconds: float
    def __init__(self, lease_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_attempts: _Optional[int] = ..., max_trials: _Optional[int] = ..., max_steps: _Optional[int] = ..., max_seconds: _Optional[float] = ...) -> None: ...

class Spent(_message.Message):
    __slots__ = ("steps", "seconds")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    seconds: float
    def __init__(self, steps: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class StudySpec(_message.Message):
    __slots__ = ("space", "metrics", "suggestion", "stopping", "execution", "fidelity")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    STOPPING_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    space: _space_pb2.SearchSpace
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    suggestion: SuggestionSettings
    stopping: StoppingSettings
    execution: ExecutionSettings
    fidelity: FidelitySettings
    def __init__(self, space: _Optional[_Union[_space_pb2.SearchSpace, _Mapping]] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., suggestion: _Optional[_Union[SuggestionSettings, _Mapping]] = ..., stopping: _Optional[_Union[StoppingSettings, _Mapping]] = ..., execution: _Optional[_Union[ExecutionSettings, _Mapping]] = ..., fidelity: _Optional[_Union[FidelitySettings, _Mapping]] = ...) -> None: ...

class TrialCounts(_message.Message):
    __slots__ = ("queued", "running", "succeeded", "failed", "infeasible", "stopped", "paused")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    queued: int
    running: int
    succeeded: int
    failed: int
    infeasible: int
    stopped: int
    paused: int
    def __init__(self, queued: _Optional[int] = ..., running: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., infeasible: _Optional[int] = ..., stopped: _Optional[int] = ..., paused: _Optional[int] = ...) -> None: ...

class ObjectiveSpec(_message.Message):
    __slots__ = ("name", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    options: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RecentFailures(_message.Message):
    __slots__ = ("failed_count", "trial_count", "first_trial", "first_failure")
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRIAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TRIAL_FIELD_NUMBER: _ClassVar[int]
    FIRST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    failed_count: int
    trial_count: int
    first_trial: str
    first_failure: str
    def __init__(self, failed_count: _Optional[int] = ..., trial_count: _Optional[int] = ..., first_trial: _Optional[str] = ..., first_failure: _Optional[str] = ...) -> None: ...

class Study(_message.Message):
    __slots__ = ("name", "spec", "display_name", "labels", "state", "trial_counts", "create_time", "update_time", "revision", "objective", "recent_failures", "resumable_count", "spent", "reached_limit")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRIAL_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    RECENT_FAILURES_FIELD_NUMBER: _ClassVar[int]
    RESUMABLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    REACHED_LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: StudySpec
    display_name: str
    labels: _containers.ScalarMap[str, str]
    state: StudyState
    trial_counts: TrialCounts
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    revision: int
    objective: ObjectiveSpec
    recent_failures: RecentFailures
    resumable_count: int
    spent: Spent
    reached_limit: Limit
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[StudySpec, _Mapping]] = ..., display_name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., state: _Optional[_Union[StudyState, str]] = ..., trial_counts: _Optional[_Union[TrialCounts, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., objective: _Optional[_Union[ObjectiveSpec, _Mapping]] = ..., recent_failures: _Optional[_Union[RecentFailures, _Mapping]] = ..., resumable_count: _Optional[int] = ..., spent: _Optional[_Union[Spent, _Mapping]] = ..., reached_limit: _Optional[_Union[Limit, str]] = ...) -> None: ...
