"""The Python client: create studies, request suggestions, report and complete trials, and analyze results.

    client = bo_client.connect("127.0.0.1:50051")  # or bo_client.local("bo.db"), without a server
    study = client.create_study("first", {"lr": (1e-5, 0.1, "log"), "layers": (1, 4)}, "loss", goal="minimize")
    best = study.optimize(lambda parameters: train(**parameters), n_trials=20)

`bo_client.testing` runs the server in a test's process; `bo_client.specfile` reads studies from YAML and JSON files.
"""

from bo_client.artifacts import Artifact, TrialFiles
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
    PauseTrial,
    PermissionDenied,
    ServerUnavailable,
    StopTrial,
    TrialFailed,
    UnexpectedError,
    Violation,
)
from bo_client.insight import Analysis, Slice
from bo_client.local_client import LocalClient, local
from bo_client.models import (
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
    Pause,
    Prediction,
    RecentFailures,
    Shortfall,
    StudyInfo,
    StudyState,
    Trial,
    TrialNote,
    Trials,
    TrialState,
)
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
from bo_client.settings import Fidelity, StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.study_additions import StudyAdditions
from bo_client.study_runs import StudyRuns
from bo_client.study_shortcuts import StudyShortcuts
from bo_client.tokens import NewToken, TokenInfo, Tokens
from bo_client.trial_pages import TrialPages

__all__ = [
    "Activation",
    "AlreadyExists",
    "Analysis",
    "Artifact",
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
    "Fidelity",
    "FloatParameter",
    "ForbiddenCombination",
    "Heartbeat",
    "IntParameter",
    "InvalidRequest",
    "LimitExceeded",
    "LinearConstraint",
    "LocalClient",
    "Measurement",
    "Metric",
    "NewToken",
    "NotFound",
    "NotSupported",
    "ObjectiveSpec",
    "Origin",
    "Parameter",
    "Pause",
    "PauseTrial",
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
    "StudyAdditions",
    "StudyInfo",
    "StudyRuns",
    "StudySettings",
    "StudyShortcuts",
    "StudyState",
    "Suggestions",
    "TokenInfo",
    "Tokens",
    "Trial",
    "TrialFailed",
    "TrialFiles",
    "TrialNote",
    "TrialPages",
    "TrialState",
    "Trials",
    "UnexpectedError",
    "Value",
    "Violation",
    "connect",
    "local",
]
