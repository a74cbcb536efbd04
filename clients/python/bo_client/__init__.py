"""The Python client: create studies, ask for suggestions, report and complete trials, look at what came of it.

    client = bo_client.connect("127.0.0.1:50051")
    study = client.create_study("first", space, "loss", goal="minimize", max_trials=20)
    best = study.optimize(lambda parameters: train(**parameters))

`bo_client.testing` has a server in memory for tests; `bo_client.specfile` reads studies from YAML and JSON files.
"""

from bo_client.client import Client, connect
from bo_client.constraints import Configuration, Constraint, EqualityConstraint, ForbiddenCombination, LinearConstraint
from bo_client.errors import (
    AlreadyExists,
    BoClientError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    NotSupported,
    PermissionDenied,
    ServerUnavailable,
    StopTrial,
    TrialFailed,
    UnexpectedError,
    Violation,
)
from bo_client.insight import Analysis, Slice
from bo_client.parameters import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
)
from bo_client.running import RunningTrial, Suggestions
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.tokens import NewToken, TokenInfo, Tokens
from bo_client.values import (
    Attempt,
    AttemptOutcome,
    Change,
    ConfigurationPrediction,
    Explanation,
    Failure,
    FailureReason,
    Heartbeat,
    Measurement,
    Metric,
    ObjectiveSpec,
    Origin,
    Prediction,
    RecentFailures,
    Shortfall,
    StudyInfo,
    StudyState,
    Trial,
    Trials,
    TrialState,
)

__all__ = [
    "Activation",
    "AlreadyExists",
    "Analysis",
    "Attempt",
    "AttemptOutcome",
    "BoClientError",
    "CategoricalParameter",
    "Change",
    "Client",
    "Configuration",
    "ConfigurationPrediction",
    "Constraint",
    "DeadlineExceeded",
    "DiscreteParameter",
    "EqualityConstraint",
    "Explanation",
    "FailedPrecondition",
    "Failure",
    "FailureReason",
    "FloatParameter",
    "ForbiddenCombination",
    "Heartbeat",
    "IntParameter",
    "InvalidRequest",
    "LimitExceeded",
    "LinearConstraint",
    "Measurement",
    "Metric",
    "NewToken",
    "NotFound",
    "NotSupported",
    "ObjectiveSpec",
    "Origin",
    "Parameter",
    "PermissionDenied",
    "Prediction",
    "RecentFailures",
    "RunningTrial",
    "SearchSpace",
    "ServerUnavailable",
    "Shortfall",
    "Slice",
    "StopTrial",
    "Study",
    "StudyInfo",
    "StudySettings",
    "StudyState",
    "Suggestions",
    "TokenInfo",
    "Tokens",
    "Trial",
    "TrialFailed",
    "TrialState",
    "Trials",
    "UnexpectedError",
    "Value",
    "Violation",
    "connect",
]
