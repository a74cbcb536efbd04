"""The server writes what the Python client reads: trials, studies and refusals, field by field."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import bo_client
import pytest
from bo_client.wire import codec
from bo_client.wire.status import error_of
from grpc import Call, RpcError
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from bo_service.application.views import StudyView
from bo_service.domain import errors
from bo_service.domain.attempts import Attempt, AttemptOutcome
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.failures import EndedTrial, RecentFailures
from bo_service.domain.objective import ObjectiveSpec
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec, StudyState
from bo_service.domain.trial import (
    Explanation,
    Failure,
    FailureReason,
    Intent,
    Lease,
    Measurement,
    Origin,
    Pause,
    Prediction,
    StopRequest,
    Trial,
    TrialState,
)
from bo_service.rpc import status
from bo_service.rpc.codec import study as study_codec
from bo_service.rpc.codec import trial as trial_codec

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,12}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
labels = st.dictionaries(texts, texts, max_size=3)
measurements = st.builds(
    Measurement,
    st.dictionaries(names, st.floats(allow_nan=False), min_size=1, max_size=3),
    st.integers(0, 2**53),
    st.none() | st.integers(0, 10**14).map(lambda n: timedelta(microseconds=n)),
    st.none() | moments,
)
explanations = st.builds(
    Explanation,
    texts,
    st.lists(st.builds(Prediction, names, finite, finite), max_size=2).map(tuple),
    texts,
    st.none() | finite,
    st.none() | st.sampled_from(Intent),
    st.none() | st.integers(1, 10**6),
    st.none() | st.floats(0, 1),
)
attempts = st.builds(
    Attempt,
    st.integers(1, 100),
    texts,
    st.none() | moments,
    st.none() | moments,
    st.none() | st.sampled_from(AttemptOutcome),
    st.none() | st.builds(Failure, st.sampled_from(FailureReason), texts),
    begin_step=st.none() | st.integers(0, 5),
    steps=st.integers(0, 2**53),
    time=st.timedeltas(timedelta(), timedelta(days=3650)),
)
ATTEMPT = ("number", "worker_id", "start_time", "end_time", "outcome", "failure")
trials = st.builds(
    Trial,
    study_id=st.just("s-1"),
    number=st.integers(1, 10**17),
    parameters=st.dictionaries(names, finite | st.integers(-(2**53), 2**53) | texts | st.booleans(), max_size=4),
    create_time=moments,
    origin=st.sampled_from(Origin),
    state=st.sampled_from(TrialState),
    latest_measurement=st.none() | measurements,
    final_measurement=st.none() | measurements,
    failure=st.none() | st.builds(Failure, st.sampled_from(FailureReason), texts),
    lease=st.none() | st.builds(Lease, st.just("secret"), texts, moments),
    attempt=st.integers(0, 100),
    checkpoint_uri=texts,
    labels=labels,
    explanation=st.none() | explanations,
    stop_request=st.none()
    | st.builds(
        StopRequest,
        texts,
        moments,
        st.sampled_from(StoppingRule),
        st.none() | st.builds(Prediction, names, finite, finite),
        st.none() | st.integers(0, 2**53),
    ),
    start_time=st.none() | moments,
    end_time=st.none() | moments,
    revision=st.integers(0, 2**62),
    attempts=st.lists(attempts, max_size=3).map(tuple),
    pause=st.none()
    | st.builds(
        Pause,
        texts,
        moments,
        st.integers(1, 2**53),
        st.integers(1, 100),
        st.none() | st.builds(Prediction, names, finite, finite),
        st.integers(0, 2**53),
    ),
    until_step=st.none() | st.integers(1, 2**53),
)


def plain(value):
    """Values of the server and of the client in one form: enums by name, durations in seconds, classes as mappings."""
    if isinstance(value, TrialState | FailureReason | Origin | Intent | StudyState | StoppingRule | AttemptOutcome):
        return value.name
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: (type(v), v) for k, v in value.items()}
    return str(value) if isinstance(value, str) else value


@given(trials, st.none() | st.lists(measurements, max_size=3))
def test_trials(trial, curve) -> None:
    read = plain(codec.trial_from_wire(trial_codec.trial_to_wire(trial, curve, token_visible=False)))
    expected = plain(trial)
    del expected["study_id"]
    lease, stop, explained = expected.pop("lease"), expected.pop("stop_request"), expected["explanation"]
    if explained is not None:
        number = explained["nearest_trial"]
        explained["nearest_trial"] = "" if number is None else f"studies/s-1/trials/{number}"
    expected |= {
        "name": f"studies/s-1/trials/{trial.number}",
        "attempts": [
            {**{name: plain(getattr(a, name)) for name in ATTEMPT}, "steps": a.steps, "seconds": plain(a.time)}
            for a in trial.attempts
        ],
        "measurements": plain(curve or []),
        "worker_id": lease["worker_id"] if lease else read["worker_id"],
        "stop_reason": stop["reason"] if stop else None,
        "stop_rule": stop["rule"] if stop and stop["rule"] != "NONE" else None,
        "expected": stop["expected"] if stop else None,
        "expected_step": stop["expected_step"] if stop else None,
    }
    assert read == expected


def test_who_ended_a_trial_is_told_from_its_attempts() -> None:
    at = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in range(4)]
    trial = Trial("s-1", 1, {}, at[0], Origin.USER)

    def worker(trial: Trial) -> str:
        return codec.trial_from_wire(trial_codec.trial_to_wire(trial, None, token_visible=False)).worker_id

    assert worker(trial) == ""
    first = trial.start(Lease("t", "slow", at[1]), at[0])
    assert worker(first) == "slow"
    lost = first.expire(3, at[1])
    assert worker(lost) == ""
    second = lost.start(Lease("u", "next", at[3]), at[2])
    assert worker(second) == "next"
    result = Measurement({"loss": 1.0})
    assert worker(second.complete(result, at[3])) == "next"
    assert worker(second.complete(result, at[3], attempt=1)) == "slow"
    assert worker(second.expire(2, at[3])) == "next"


@given(trials)
def test_the_token_of_a_lease_is_told_to_its_holder_alone(trial) -> None:
    shown, hidden = (trial_codec.trial_to_wire(trial, None, token_visible=visible) for visible in (True, False))
    assert shown.lease.token == (trial.lease.token if trial.lease else "")
    assert b"secret" not in hidden.SerializeToString()
    shown.lease.ClearField("token")
    if trial.lease:
        assert shown == hidden


@pytest.mark.parametrize("state", StudyState)
def test_studies(state) -> None:
    spec = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))
    at = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
    study = Study(
        "s-1", spec, at, at + timedelta(1), "S", {"a": "b"}, state, 4, objective=ObjectiveSpec("o", {"a": "1"})
    )
    counts = {each: n for n, each in enumerate(TrialState)}
    recent = RecentFailures(7, 9, EndedTrial(3, Failure(FailureReason.CRASHED, "boom")))
    read = codec.study_from_wire(study_codec.study_to_wire(StudyView(study, counts, recent)))
    assert read.objective_spec == bo_client.ObjectiveSpec("o", {"a": "1"})
    assert str(read.recent_failures) == "7 of the last 9 trials failed; first (trial 3): CRASHED: boom"
    assert (read.id, read.name, read.state.name, read.revision) == ("s-1", "studies/s-1", state.name, 4)
    assert (read.display_name, read.labels) == ("S", {"a": "b"})
    assert (read.create_time, read.update_time) == (study.create_time, study.update_time)
    assert {each.name: n for each, n in read.counts.items()} == {each.name: n for each, n in counts.items()}
    assert read.space["x"] == bo_client.FloatParameter("x", 0.0, 1.0)
    assert read.metrics == (bo_client.Metric("loss", "minimize", "objective"),)


class Refused(RpcError, Call):
    """A call that ended with a status, as the client meets it."""

    def __init__(self, ended) -> None:
        self._ended = ended

    def code(self):
        return self._ended.code

    def details(self):
        return self._ended.details

    def trailing_metadata(self):
        return self._ended.trailing_metadata

    def initial_metadata(self):
        return ()

    def is_active(self):
        return False

    def time_remaining(self):
        return None

    def cancel(self):
        return False

    def add_callback(self, callback):
        return False


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidArgument.of("study.spec", "is empty"), bo_client.InvalidRequest),
        (errors.RequestIdReused("why"), bo_client.InvalidRequest),
        (errors.NotFound("why"), bo_client.NotFound),
        (errors.AlreadyExists("why", study="s"), bo_client.AlreadyExists),
        (errors.WrongState("why", state="STOPPED"), bo_client.FailedPrecondition),
        (errors.ObjectiveMismatch("why", study="s"), bo_client.FailedPrecondition),
        (errors.UnknownLease("why"), bo_client.FailedPrecondition),
        (errors.NotEnoughData("why"), bo_client.FailedPrecondition),
        (errors.LimitExceeded("why"), bo_client.LimitExceeded),
        (errors.DeadlinePassed("why"), bo_client.DeadlineExceeded),
        (errors.StorageUnavailable("why"), bo_client.ServerUnavailable),
    ],
)
def test_refusals(error, kind) -> None:
    read = error_of(Refused(rpc_status.to_status(status.to_status(error))), "host:1", 5.0)
    assert type(read) is kind
    assert (read.message, read.reason, read.metadata) == (error.message, error.reason, error.metadata)
    told = [(v.field, v.description) for v in getattr(read, "violations", ())]
    assert told == [(v.field, v.description) for v in getattr(error, "violations", ())]
