"""What every store keeps and refuses, and that nothing is half done: in memory, in SQLite and in PostgreSQL."""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, func, select, text

from bo_service.application.ports import Beat, IssuedLease, RequestKey, Store, TrialSummary, UnitOfWork
from bo_service.application.views import Empty, Shortfall, SuggestResult
from bo_service.application.waiting import deadline
from bo_service.domain.access import Role, Token
from bo_service.domain.artifacts import Artifact, TrialNote
from bo_service.domain.constraints import ForbiddenCombination, LinearConstraint
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.errors import NotFound, RequestIdReused, StartupError, StorageUnavailable
from bo_service.domain.failures import EndedTrial
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import (
    Acquisition,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    Study,
    StudySpec,
    SuggestionSettings,
)
from bo_service.domain.trial import (
    Explanation,
    Failure,
    FailureReason,
    Intent,
    Lease,
    Measurement,
    Origin,
    Prediction,
    StopRequest,
    Trial,
    TrialState,
)
from bo_service.storage.factory import open_store
from bo_service.storage.schema import metadata

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

SPACE = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-5, 0.1, Scale.LOG), default=0.001, unit="1/step"),
        Parameter("layers", IntDomain(1, 4), description="how deep"),
        Parameter("norm", CategoricalDomain(("batch", "group"))),
        Parameter("flag", CategoricalDomain((True, False))),
        Parameter("batch", DiscreteDomain((16, 32, 64), Scale.LOG)),
        Parameter("size", DiscreteDomain((0.5, 1.0))),
        Parameter("level", DiscreteDomain(("low", "high"))),
        Parameter("groups", IntDomain(1, 8), activation=Activation("norm", ("group",))),
    ),
    (LinearConstraint({"lr": 1.0, "layers": 2.0}, 9.0, "small"), ForbiddenCombination({"norm": "group", "flag": True})),
)
SPEC = StudySpec(
    SPACE,
    (Metric("loss", Goal.MINIMIZE, unit="nats"), Metric("time", None, MetricRole.INFORMATION)),
    SuggestionSettings(
        acquisition=Acquisition.UCB,
        beta=1.5,
        initial_trials=4,
        seed=-3,
        per_cost=True,
        warm_start_studies=("earlier", "other"),
    ),
    ExecutionSettings(timedelta(seconds=12.5), 5, 100),
    StoppingSettings(StoppingRule.SUCCESSIVE_HALVING, 2, 7, 4.0, 81, 0.9),
)
STUDY = Study("s", SPEC, NOW, NOW, "A study", {"team": "vision"})
TRIAL = Trial(
    "s",
    1,
    {"lr": 1.0, "layers": 1, "norm": "batch", "flag": True, "batch": 16, "size": 1.0, "level": "low"},
    NOW,
    Origin.SURROGATE,
    TrialState.RUNNING,
    latest_measurement=Measurement({"loss": math.inf, "x": -0.5}, 3, timedelta(seconds=1.25), NOW),
    failure=Failure(FailureReason.PREEMPTED, "gone"),
    lease=Lease("token", "worker", NOW + timedelta(seconds=60)),
    attempt=2,
    checkpoint_uri="gs://a/b",
    labels={"a": "b"},
    explanation=Explanation("why", (Prediction("loss", 0.5, 0.1),), "log_ei", -3.0, Intent.EXPLORE, 7, 0.25),
    stop_request=StopRequest("enough", NOW, StoppingRule.CURVE, Prediction("loss", 0.4, 0.1), 30),
    start_time=NOW,
    revision=9,
    note=TrialNote("two\nlines, ä", "tokens/a", NOW),
)


LEASE = IssuedLease("token", "worker", 2)
FILE = Artifact("confusion.png", "image/png", NOW, "tokens/a", 3, "ab" * 32)
ELSEWHERE = Artifact("Model.keras", "application/zip", NOW, "anyone", None, "", "gs://b/ü")


class StorageContract:
    """Subclasses give the address of an empty database, and reopen it."""

    @pytest.fixture
    def store(self, address: str) -> Iterator[Store]:
        store = open_store(address)
        yield store
        store.close()

    @pytest.fixture
    def reopen(self, store: Store, address: str) -> Iterator[Callable[[], Store]]:
        """Restarts the server; one that keeps its data in memory goes on."""
        opened: list[Store] = []

        def reopen() -> Store:
            store.close()
            opened.append(open_store(address))
            return opened[-1]

        yield reopen
        for again in opened:
            again.close()

    def test_what_is_written_is_read_after_a_restart(self, store, reopen) -> None:
        with store.write() as records:
            records.save_study(STUDY)
            records.save_trials(TRIAL)
            records.save_lease("s", 1, LEASE)
            records.save_measurements(
                "s", 1, [Measurement({"loss": math.nan}, 2), Measurement({"loss": 1.0}, 1, None, NOW)]
            )
            records.save_answer(RequestKey("r", "SuggestTrials", "d"), SuggestResult((TRIAL,), Shortfall.PAUSED), NOW)
        with reopen().read() as records:
            assert records.get_study("s") == STUDY
            found = records.get_trial("s", 1)
            assert found == TRIAL
            assert [type(v) for v in found.parameters.values()] == [float, int, str, bool, int, float, str]
            assert records.attempt_of("token", "s", 1) == TRIAL.attempt
            assert records.attempt_of("token", "s", 2) is None
            first, second = records.get_measurements("s", [1])[1]
            assert (first, second.step) == (Measurement({"loss": 1.0}, 1, None, NOW), 2)
            assert math.isnan(second.metrics["loss"])
            handed = records.find_answer(RequestKey("r", "SuggestTrials", "d"), SuggestResult)
            assert handed == SuggestResult((TRIAL,), Shortfall.PAUSED)

    def test_a_deadline_that_passes_before_a_turn_to_write_is_told_as_such(self, store) -> None:
        with store.write() as records:
            records.save_study(STUDY)
        writes, ended = threading.Event(), threading.Event()

        def hold() -> None:
            with store.write("s"):
                writes.set()
                ended.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        assert writes.wait(60)
        try:
            with (
                deadline(0.2),
                pytest.raises(StorageUnavailable, match=r"this call's deadline has passed; nothing was changed"),
                store.write("s") as records,
            ):
                records.save_study(replace(STUDY, display_name="never"))
        finally:
            ended.set()
            holder.join()
        with store.read() as records:
            assert records.get_study("s") == STUDY

    def test_hyperparameters_are_kept_to_the_last_digit_until_their_study_goes(self, store) -> None:
        learned = {"a": (0.1 + 0.2, -1e-300, 5e-324), "b": (1 / 3,)}
        with store.write() as records:
            records.save_study(STUDY)
            assert records.get_hyperparameters("s") == {}
            records.save_hyperparameters("s", {"a": (1.0,)})
            records.save_hyperparameters("s", learned)
        with store.read() as records:
            assert records.get_hyperparameters("s") == learned
            assert records.get_hyperparameters("other") == {}
        with store.write() as records:
            records.delete_study("s")
            records.save_study(STUDY)
        with store.read() as records:
            assert records.get_hyperparameters("s") == {}

    def test_an_exception_undoes_the_whole_transaction(self, store) -> None:
        def break_off() -> None:
            with store.write() as records:
                records.save_study(STUDY)
                records.save_trials(TRIAL)
                records.get_study("nobody")

        with pytest.raises(NotFound):
            break_off()
        with store.read() as records:
            assert records.find_study("s") is None

    def test_what_was_undone_is_unknown_to_the_next_transaction(self, store) -> None:
        with store.write("s") as records:
            records.save_study(STUDY)
            records.save_trials(TRIAL)

        def undone() -> None:
            with store.write("s") as records:
                records.save_study(replace(records.get_study("s"), revision=99))
                records.save_trials(replace(records.get_trial("s", TRIAL.number), attempt=99))
                records.save_trials(replace(TRIAL, number=50))
                raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                undone()
            with store.write("s") as records:
                assert records.get_study("s") == STUDY
                assert records.get_trial("s", TRIAL.number) == TRIAL
                with pytest.raises(NotFound):
                    records.get_trial("s", 50)

    def test_each_transaction_sees_and_stores_what_the_ones_before_have_left(self, store) -> None:
        with store.write("s") as records:
            records.save_study(STUDY)
            records.save_trials(TRIAL)
        changed = replace(TRIAL, labels={"a": "b"}, lease=None, state=TrialState.SUCCEEDED, revision=7)
        for trial in (changed, replace(changed, end_time=NOW), TRIAL):
            with store.write("s") as records:
                before = records.get_trial("s", TRIAL.number)
                records.save_trials(trial)
                assert records.get_trial("s", TRIAL.number) == trial != before
            for records_of in (store.read(), store.write("s")):
                with records_of as records:
                    assert records.get_trial("s", TRIAL.number) == trial
                    expired = records.expired_trials(NOW + timedelta(days=999), 9)
                    assert [t.number for t in expired] == [TRIAL.number] * (trial.lease is not None)
        with store.write("s") as records:
            records.delete_trial(TRIAL.study_id, TRIAL.number, 8)
            records.save_study(replace(STUDY, revision=8))
        with store.write("s") as records, pytest.raises(NotFound):
            records.get_trial("s", TRIAL.number)
        with store.write("s") as records:
            assert records.get_study("s").revision == 8
            records.delete_study("s")
        with store.write("s") as records:
            assert records.find_study("s") is None

    def test_what_is_to_be_done_after_the_commit_is_done_then_or_never(self, store) -> None:
        done: list[str] = []

        def read() -> None:
            with store.read() as records:
                done.extend(study.study_id for study in records.list_studies("", 9))

        with store.write("s") as records:
            records.save_study(STUDY)
            records.on_commit.append(read)
            assert done == []
        assert done == ["s"]

        def undone() -> None:
            with store.write("s") as records:
                records.on_commit.append(read)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            undone()
        assert done == ["s"]

    def test_readers_see_one_moment_while_writers_go_on(self, store) -> None:
        with store.write() as records:
            records.save_study(STUDY)
        with store.read() as before:
            assert before.count_trials("s") == {}
            with store.write() as records:
                records.save_trials(TRIAL)
            assert before.count_trials("s") == {}
        with store.read() as after:
            assert after.count_trials("s") == {TrialState.RUNNING: 1}

    def test_readers_cannot_write(self, store) -> None:
        with pytest.raises(StorageUnavailable, match=r"read-?only"), store.read() as records:
            records.save_study(STUDY)

    def test_writers_take_turns(self, store) -> None:
        with store.write() as records:
            records.save_study(STUDY)

        def number() -> None:
            for _ in range(20):
                with store.write("s") as records:
                    study, number = records.get_study("s"), len(records.list_trials("s")) + 1
                    assert study.last_number == number - 1
                    records.save_study(replace(study, last_number=number))
                    records.save_trials(replace(TRIAL, number=number))

        threads = [threading.Thread(target=number) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.read() as records:
            assert [t.number for t in records.list_trials("s")] == list(range(1, 161))

    def test_expired_leases_are_found(self, store) -> None:
        with store.write() as records:
            records.save_study(STUDY)
            records.save_trials(TRIAL)
            records.save_trials(replace(TRIAL, number=2, lease=None, state=TrialState.QUEUED))
            records.save_trials(replace(TRIAL, number=3, lease=Lease("t3", "w", NOW)))
        with store.read() as records:
            assert [t.number for t in records.expired_trials(NOW + timedelta(seconds=1), 10)] == [3]
            assert [t.number for t in records.expired_trials(NOW + timedelta(seconds=99), 10)] == [3, 1]
        with store.write() as records:
            records.lock_studies()
            assert sorted(t.number for t in records.running_trials()) == [1, 3]
            assert len(records.running_trials(limit=1)) == 1
            records.delete_trial(TRIAL.study_id, TRIAL.number, 2)
            records.delete_trial("s", 3, 3)
            assert not records.running_trials(limit=1)

    def test_values_at_a_step_are_the_last_finite_ones_of_each_trial(self, store) -> None:
        curves = {
            1: [(1, {"loss": 0.1}), (5, {"loss": 0.5}), (9, {"loss": 0.9})],
            2: [
                (1, {"loss": 1.1}),
                (3, {"loss": math.nan, "x": 1.0}),
                (4, {"loss": math.inf}),
                (5, {"loss": -math.inf}),
            ],
            3: [(2, {"loss": -2.5e-30}), (4, {"val_loss": 7.0, "Loss": 3.0, "loss_x": 1.0, "x": 2.0})],
            4: [(6, {"loss": 4.0})],
            5: [(1, {"accuracy": 1.0})],
        }
        with store.write() as records:
            records.save_study(STUDY)
            records.save_study(replace(STUDY, study_id="other"))
            records.save_trials(replace(TRIAL, study_id="other", number=1))
            records.save_measurements("other", 1, [Measurement({"loss": 77.0}, 1)])
            for number, curve in curves.items():
                records.save_trials(replace(TRIAL, number=number))
                records.save_measurements("s", number, [Measurement(metrics, step) for step, metrics in curve])
        with store.read() as records:
            found = {
                reached.number: (reached.value, reached.last_step) for reached in records.values_at("s", "loss", 5)
            }
            assert found == {1: (0.5, 9), 2: (1.1, 5), 3: (-2.5e-30, 4)}
            assert {r.number for r in records.values_at("s", "loss", 5, after=1)} == {2, 3}
            assert records.values_at("s", "nothing", 5) == []
            assert records.values_at("s", "los_", 5) == []  # no pattern

    def test_a_deleted_study_leaves_nothing(self, store, reopen) -> None:
        def fill(work: UnitOfWork) -> None:
            work.save_study(STUDY)
            work.save_trials(TRIAL)
            work.save_lease("s", 1, LEASE)
            work.save_measurements("s", 1, [Measurement({"loss": 1.0}, 1)])
            work.delete_trial("s", 2, 3)

        with store.write() as work:
            fill(work)
            work.delete_study("s")
        with store.write("s") as work:
            fill(work)
            work.delete_study("s")
            work.save_study(STUDY)
        again = reopen()
        for transaction in (again.read(), again.write("s")):
            with transaction as work:
                assert work.list_trials("s") == []
                assert work.get_measurements("s", [1]) == {}
                assert work.list_leases("s", [1]) == {}
                assert work.attempt_of("token", "s", 1) is None
                assert work.deleted_trials("s") == {}
                assert work.count_trials() == {}
        with again.write("s") as work:
            work.save_study(replace(STUDY, study_id="t"))
            work.save_trials(replace(TRIAL, study_id="t"))
            work.save_lease("t", 1, LEASE)  # the token is free again
        with again.read() as work:
            assert work.attempt_of("token", "t", 1) == LEASE.attempt

    def test_a_deleted_trial_leaves_its_number_alone(self, store) -> None:
        with store.write("s") as work:
            work.save_study(STUDY)
            for number in (1, 2, 3):
                work.save_trials(replace(TRIAL, number=number))
                work.save_measurements("s", number, [Measurement({"loss": 1.0}, 1)])
                work.save_lease("s", number, IssuedLease(f"t{number}", "w", 1))
        with store.write("s") as work:
            work.delete_trial("s", 2, 8)
            work.delete_trial("s", 1, 9)
        for transaction in (store.read(), store.write("s")):
            with transaction as work:
                assert [trial.number for trial in work.list_trials("s")] == [3]
                assert list(work.get_measurements("s", [1, 2, 3])) == list(work.list_leases("s", [1, 2, 3])) == [3]
                assert list(work.deleted_trials("s").items()) == [(2, 8), (1, 9)]
                assert work.deleted_trials("s", 8) == {1: 9}
                assert work.deleted_trials("s", 0, 8) == {2: 8}

    def test_artifacts_are_kept_replaced_and_counted(self, store, reopen) -> None:
        with store.write("s") as work:
            work.save_study(STUDY)
            for number in (1, 2, 3):
                work.save_trials(replace(TRIAL, number=number, lease=None))
            work.save_artifact("s", 1, FILE, b"old")
            work.save_artifact("s", 1, FILE, b"\0\xff\n")
            work.save_artifact("s", 1, ELSEWHERE, None)
            work.save_artifact("s", 3, replace(FILE, size=0), b"")
        for transaction in ((again := reopen()).read(), again.write("s")):
            with transaction as work:
                kept = {1: [ELSEWHERE, FILE], 3: [replace(FILE, size=0)]}
                assert work.list_artifacts("s", [3, 2, 1]) == kept
                assert list(work.list_artifacts("s", [3, 1])) == [1, 3]
                assert work.list_artifacts("nobody", [1]) == {}
                assert work.artifact_content("s", 1, FILE.artifact_id) == b"\0\xff\n"
                assert work.artifact_content("s", 3, FILE.artifact_id) == b""
                assert work.artifact_content("s", 1, ELSEWHERE.artifact_id) is None
                assert work.artifact_content("s", 2, FILE.artifact_id) is None
                assert work.artifact_usage("s") == (3, 3)
                assert work.artifact_usage("nobody") == (0, 0)
        with again.write("s") as work:
            work.delete_trial("s", 1, 8)
            work.save_trials(replace(TRIAL, lease=None))
        with again.read() as work:
            assert list(work.list_artifacts("s", [1, 2, 3])) == [3]
            assert work.artifact_content("s", 1, FILE.artifact_id) is None
        with again.write("s") as work:
            work.delete_study("s")
            work.save_study(STUDY)
            work.save_trials(replace(TRIAL, number=3, lease=None))
        with again.read() as work:
            assert work.list_artifacts("s", [1, 2, 3]) == {}
            assert work.artifact_content("s", 3, FILE.artifact_id) is None
            assert work.artifact_usage("s") == (0, 0)

    def test_trials_are_found_by_state_number_and_revision(self, store) -> None:
        states = [TrialState.SUCCEEDED, TrialState.QUEUED, TrialState.FAILED, TrialState.STOPPED, TrialState.QUEUED]
        with store.write("s") as work:
            work.save_study(STUDY)
            for number, state in enumerate(states, 1):
                end_time = NOW if state.is_ended else None
                trial = replace(TRIAL, number=number, state=state, revision=10 - number, lease=None, end_time=end_time)
                work.save_trials(replace(trial, failure=TRIAL.failure if state is TrialState.FAILED else None))
        with store.read() as work:
            numbers = lambda trials: [trial.number for trial in trials]  # noqa: E731
            assert numbers(work.list_trials("s")) == [1, 2, 3, 4, 5]
            assert numbers(work.list_trials("s", (TrialState.QUEUED, TrialState.STOPPED), after=2)) == [4, 5]
            assert numbers(work.list_trials("s", after=1, limit=2)) == [2, 3]
            assert numbers(work.list_trials("nobody")) == []
            assert numbers(work.list_changed_trials("s", 6, 2)) == [3, 2]
            assert numbers(work.summarize_trials("s")) == [1, 2, 3, 4, 5]
            assert work.summarize_trials("s", 7) == [TrialSummary.of(trial) for trial in work.list_trials("s", limit=2)]
            counts = {TrialState.SUCCEEDED: 1, TrialState.QUEUED: 2, TrialState.FAILED: 1, TrialState.STOPPED: 1}
            assert work.count_trials("s") == work.count_trials() == counts
            assert work.count_studies() == 1
            assert work.last_endings("s", 2) == [EndedTrial(4, None), EndedTrial(3, TRIAL.failure)]
            assert work.find_trial("s", 6) is None
            with pytest.raises(NotFound, match="studies/s/trials/6"):
                work.get_trial("s", 6)
            with pytest.raises(NotFound, match="studies/nobody"):
                work.get_study("nobody")

    def test_a_measurement_of_the_same_step_is_replaced(self, store) -> None:
        with store.write("s") as work:
            work.save_study(STUDY)
            work.save_trials(TRIAL)
            work.save_measurements("s", 1, [Measurement({"loss": 3.0}, 3), Measurement({"loss": 1.0}, 1)])
        with store.write("s") as work:
            work.save_measurements("s", 1, [Measurement({"loss": 2.0}, 2), Measurement({"loss": 9.0}, 3)])
            work.save_measurements("s", 1, [])
        with store.read() as work:
            assert [m.metrics["loss"] for m in work.get_measurements("s", [1])[1]] == [1.0, 2.0, 9.0]
            assert work.count_measurements("s", 1) == 3
            assert work.count_measurements("s", 2) == 0

    def test_a_lease_token_stays_with_its_trial(self, store) -> None:
        with store.write("s") as work:
            work.save_study(STUDY)
            work.save_trials(TRIAL, replace(TRIAL, number=2))
            for number, lease in ((1, LEASE), (2, LEASE), (1, IssuedLease("first", "w", 1)), (1, LEASE)):
                work.save_lease("s", number, lease)
        with store.read() as work:
            assert work.list_leases("s", [1, 2]) == {1: [IssuedLease("first", "w", 1), LEASE]}
            assert work.attempt_of("token", "s", 2) is None

    def test_bearer_tokens_are_kept_and_a_revocation_stays(self, store) -> None:
        later = NOW + timedelta(days=1)
        token = Token("a", "d" * 64, Role.ADMIN, NOW, ("x", "y-*"), "mine", later, None, later)
        other = Token("b", "e" * 64, Role.READER, NOW - timedelta(days=1))
        with store.write() as work:
            work.save_token(token)
            work.save_token(other)
        with store.write() as work:
            assert work.list_tokens() == [other, token]  # by their creation
            work.save_token(token.revoke(later))
        with store.write() as work:
            work.save_token(replace(token, last_use_time=NOW))  # of a server that has read it before
            assert work.get_token("a") == replace(token, revoke_time=later, last_use_time=NOW)
            with pytest.raises(NotFound, match="tokens/c"):
                work.get_token("c")
        with store.read() as work:
            assert work.list_tokens() == [other, replace(token, revoke_time=later, last_use_time=NOW)]

    def test_a_request_id_belongs_to_one_request(self, store) -> None:
        key = RequestKey("r", "DeleteStudy", "d")
        with store.write() as records:
            records.save_answer(key, Empty(), NOW)
            assert records.find_answer(key, Empty) == Empty()
            for other in (replace(key, digest="e"), replace(key, method="CreateStudy")):
                with pytest.raises(RequestIdReused, match="choose a new one"):
                    records.find_answer(other, Empty)
            assert not records.delete_answers(NOW + timedelta(seconds=1))
            assert records.find_answer(key, Empty) is None

    def test_old_answers_are_forgotten_some_at_a_time(self, store) -> None:
        with store.write() as records:
            for i in range(1001):
                records.save_answer(RequestKey(f"r{i}", "M", "d"), Empty(), NOW)
            records.save_answer(RequestKey("new", "M", "d"), Empty(), NOW + timedelta(hours=1))
        for more in (True, False, False):
            with store.write() as records:
                assert records.delete_answers(NOW + timedelta(seconds=1)) is more
        with store.read() as records:
            assert records.find_answer(RequestKey("r0", "M", "d"), Empty) is None
            assert records.find_answer(RequestKey("new", "M", "d"), Empty) == Empty()

    def test_when_a_server_was_last_alive_is_kept(self, store) -> None:
        with store.read() as records:
            assert records.last_beat(Beat.SERVER) is None
        with store.write() as records:
            assert records.save_beat(Beat.SERVER, NOW) is None
        with store.write() as records:
            assert records.save_beat(Beat.SERVER, NOW + timedelta(seconds=1)) == NOW
        with store.read() as records:
            assert records.last_beat(Beat.SERVER) == NOW + timedelta(seconds=1)
            assert records.last_beat(Beat.STORAGE) is None

    def test_revisions_of_those_studies_that_there_are(self, store) -> None:
        with store.write() as records:
            records.save_study(STUDY)
            records.save_study(replace(STUDY, study_id="t", revision=7))
        with store.read() as records:
            assert records.revisions(["s", "t", "nobody"]) == {"s": 1, "t": 7}

    def test_studies_come_in_the_order_of_their_bytes(self, store) -> None:
        names = ["B", "a-", "a.", "a1", "aB", "a_", "ab"]
        with store.write() as records:
            for name in reversed(names):
                records.save_study(replace(STUDY, study_id=name))
        with store.read() as records:
            assert [s.study_id for s in records.list_studies("", 10)] == names
            assert [s.study_id for s in records.list_studies("a.", 2)] == ["a1", "aB"]

    @pytest.mark.parametrize("words", ["\0", "\ue000", "a\0\ue000\ue001\0\0b", "\ue000\0\ue000\ue000", "𝒳 'ü\"%"])
    def test_any_text_is_kept(self, store, words: str) -> None:
        key = RequestKey(words * 16, "M", "d")
        trial = replace(TRIAL, checkpoint_uri=words, labels={words: words}, lease=Lease(words, words, NOW))
        with store.write() as records:
            records.save_study(replace(STUDY, display_name=words))
            records.save_trials(trial)
            records.save_lease("s", 1, IssuedLease(words, words, trial.attempt))
            records.save_answer(key, Empty(), NOW)
        with store.read() as records:
            assert records.get_study("s").display_name == words
            assert records.get_trial("s", 1) == trial
            assert records.attempt_of(words, "s", 1) == trial.attempt
            assert records.attempt_of(words + "\0", "s", 1) is None
            assert records.find_answer(key, Empty) == Empty()


class SqlContract(StorageContract):
    """What else databases with a schema do."""

    def test_a_deleted_study_leaves_no_row(self, store, address) -> None:
        with store.write() as records:
            records.save_study(STUDY)
            records.save_trials(TRIAL)
            records.save_lease("s", 1, LEASE)
            records.save_measurements("s", 1, [Measurement({"loss": 1.0}, 1)])
            records.save_hyperparameters("s", {"a": (1.0,)})
            records.save_artifact("s", 1, FILE, b"abc")
            records.delete_trial("s", 2, 3)
            records.delete_study("s")
        store.close()
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as raw:
            left = {t: raw.scalar(select(func.count()).select_from(table)) for t, table in metadata.tables.items()}
        engine.dispose()
        assert left.pop("server_liveness") == 1
        assert set(left.values()) == {0}

    def test_migrations_lead_to_the_schema(self, store, address) -> None:
        store.close()
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            options = {"compare_type": False}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        engine.dispose()

    def test_a_newer_schema_is_refused(self, store, address) -> None:
        store.close()
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text("update alembic_version set version_num = '9999'"))
        engine.dispose()
        for _ in range(2):  # and the database is given back
            with pytest.raises(StartupError, match=r"schema 9999.*upgrade bo-service"):
                open_store(address)


class TestMemory(StorageContract):
    @pytest.fixture
    def address(self) -> str:
        return "memory:"

    @pytest.fixture
    def reopen(self, store: Store) -> Callable[[], Store]:
        return lambda: store

    def test_each_opening_is_empty(self, store, address) -> None:
        with store.write() as work:
            work.save_study(STUDY)
        with open_store(address).read() as work:
            assert work.list_studies() == []


class TestSqlite(SqlContract):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/bo.db"


class TestPostgres(SqlContract):
    @pytest.fixture
    def address(self, make_database: Callable[[], str]) -> str:
        return make_database()
