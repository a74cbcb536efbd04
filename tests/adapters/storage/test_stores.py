"""What both stores keep and refuse, and that nothing is half done: the same of SQLite as of PostgreSQL."""

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

from bo_service.adapters.storage.opening import open_store
from bo_service.adapters.storage.schema import metadata
from bo_service.application.ports import RequestKey, Store
from bo_service.application.views import Done, Handout, Shortfall
from bo_service.core.constraints import ForbiddenCombination, LinearConstraint
from bo_service.core.domains import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.core.errors import NotFound, RequestIdReused, StartupError, StorageUnavailable
from bo_service.core.space import Activation, Parameter, SearchSpace
from bo_service.core.stopping.settings import StoppingRule, StoppingSettings
from bo_service.core.study import (
    Acquisition,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    Study,
    StudySpec,
    SuggestionSettings,
)
from bo_service.core.trial import (
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
)


class StorageContract:
    """Subclasses give the address of an empty database."""

    @pytest.fixture
    def store(self, address: str) -> Iterator[Store]:
        store = open_store(address)
        yield store
        store.close()

    def test_what_is_written_is_read_after_a_restart(self, store, address) -> None:
        with store.write() as records:
            records.studies.add(STUDY)
            records.trials.save(TRIAL)
            records.leases.add(TRIAL)
            records.measurements.save(
                "s", 1, [Measurement({"loss": math.nan}, 2), Measurement({"loss": 1.0}, 1, None, NOW)]
            )
            records.answers.remember(RequestKey("r", "SuggestTrials", "d"), Handout((TRIAL,), Shortfall.PAUSED), NOW)
        store.close()
        again = open_store(address)
        with again.read() as records:
            assert records.studies.get("s") == STUDY
            found = records.trials.get("s", 1)
            assert found == TRIAL
            assert [type(v) for v in found.parameters.values()] == [float, int, str, bool, int, float, str]
            assert records.leases.attempt_of("token", "s", 1) == TRIAL.attempt
            assert records.leases.attempt_of("token", "s", 2) is None
            first, second = records.measurements.of("s", [1])[1]
            assert (first, second.step) == (Measurement({"loss": 1.0}, 1, None, NOW), 2)
            assert math.isnan(second.metrics["loss"])
            handed = records.answers.find(RequestKey("r", "SuggestTrials", "d"), Handout)
            assert handed == Handout((TRIAL,), Shortfall.PAUSED)
        again.close()

    def test_lessons_are_kept_to_the_last_digit_until_their_study_goes(self, store) -> None:
        learned = {"a": (0.1 + 0.2, -1e-300, 5e-324), "b": (1 / 3,)}
        with store.write() as records:
            records.studies.add(STUDY)
            assert records.lessons.of("s") == {}
            records.lessons.save("s", {"a": (1.0,)})
            records.lessons.save("s", learned)
        with store.read() as records:
            assert records.lessons.of("s") == learned
            assert records.lessons.of("other") == {}
        with store.write() as records:
            records.studies.delete("s")
            records.studies.add(STUDY)
        with store.read() as records:
            assert records.lessons.of("s") == {}

    def test_an_exception_undoes_the_whole_transaction(self, store) -> None:
        def break_off() -> None:
            with store.write() as records:
                records.studies.add(STUDY)
                records.trials.save(TRIAL)
                records.studies.get("nobody")

        with pytest.raises(NotFound):
            break_off()
        with store.read() as records:
            assert records.studies.find("s") is None

    def test_what_was_undone_is_unknown_to_the_next_transaction(self, store) -> None:
        with store.write("s") as records:
            records.studies.add(STUDY)
            records.trials.save(TRIAL)

        def undone() -> None:
            with store.write("s") as records:
                records.studies.save(replace(records.studies.get("s"), revision=99))
                records.trials.save(replace(records.trials.get("s", TRIAL.number), attempt=99))
                records.trials.save(replace(TRIAL, number=50))
                raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                undone()
            with store.write("s") as records:
                assert records.studies.get("s") == STUDY
                assert records.trials.get("s", TRIAL.number) == TRIAL
                with pytest.raises(NotFound):
                    records.trials.get("s", 50)

    def test_each_transaction_sees_and_stores_what_the_ones_before_have_left(self, store) -> None:
        with store.write("s") as records:
            records.studies.add(STUDY)
            records.trials.save(TRIAL)
        changed = replace(TRIAL, labels={"a": "b"}, lease=None, state=TrialState.SUCCEEDED, revision=7)
        for trial in (changed, replace(changed, end_time=NOW), TRIAL):
            with store.write("s") as records:
                before = records.trials.get("s", TRIAL.number)
                records.trials.save(trial)
                assert records.trials.get("s", TRIAL.number) == trial != before
            for records_of in (store.read(), store.write("s")):
                with records_of as records:
                    assert records.trials.get("s", TRIAL.number) == trial
                    expired = records.trials.expired(NOW + timedelta(days=999), 9)
                    assert [t.number for t in expired] == [TRIAL.number] * (trial.lease is not None)
        with store.write("s") as records:
            records.trials.delete(TRIAL, 8)
            records.studies.advance(replace(STUDY, revision=8))
        with store.write("s") as records, pytest.raises(NotFound):
            records.trials.get("s", TRIAL.number)
        with store.write("s") as records:
            assert records.studies.get("s").revision == 8
            records.studies.delete("s")
        with store.write("s") as records:
            assert records.studies.find("s") is None

    def test_what_is_to_be_done_after_the_commit_is_done_then_or_never(self, store) -> None:
        done: list[str] = []

        def read() -> None:
            with store.read() as records:
                done.extend(study.study_id for study in records.studies.page("", 9))

        with store.write("s") as records:
            records.studies.add(STUDY)
            records.when_committed(read)
            assert done == []
        assert done == ["s"]

        def undone() -> None:
            with store.write("s") as records:
                records.when_committed(read)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            undone()
        assert done == ["s"]

    def test_readers_see_one_moment_while_writers_go_on(self, store) -> None:
        with store.write() as records:
            records.studies.add(STUDY)
        with store.read() as before:
            assert before.trials.counts("s") == {}
            with store.write() as records:
                records.trials.save(TRIAL)
            assert before.trials.counts("s") == {}
        with store.read() as after:
            assert after.trials.counts("s") == {TrialState.RUNNING: 1}

    def test_readers_cannot_write(self, store) -> None:
        with pytest.raises(StorageUnavailable, match=r"read-?only"), store.read() as records:
            records.studies.add(STUDY)

    def test_writers_take_turns(self, store) -> None:
        with store.write() as records:
            records.studies.add(STUDY)

        def number() -> None:
            for _ in range(20):
                with store.write("s") as records:
                    study, number = records.studies.get("s"), len(records.trials.select("s")) + 1
                    assert study.last_number == number - 1
                    records.studies.advance(replace(study, last_number=number))
                    records.trials.save(replace(TRIAL, number=number))

        threads = [threading.Thread(target=number) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.read() as records:
            assert [t.number for t in records.trials.select("s")] == list(range(1, 161))

    def test_expired_leases_are_found(self, store) -> None:
        with store.write() as records:
            records.studies.add(STUDY)
            records.trials.save(TRIAL)
            records.trials.save(replace(TRIAL, number=2, lease=None, state=TrialState.QUEUED))
            records.trials.save(replace(TRIAL, number=3, lease=Lease("t3", "w", NOW)))
        with store.read() as records:
            assert [t.number for t in records.trials.expired(NOW + timedelta(seconds=1), 10)] == [3]
            assert [t.number for t in records.trials.expired(NOW + timedelta(seconds=99), 10)] == [3, 1]
        with store.write() as records:
            assert records.trials.is_any_running()
            assert sorted(t.number for t in records.trials.hold_running()) == [1, 3]
            records.trials.delete(TRIAL, 2)
            records.trials.delete(replace(TRIAL, number=3), 3)
            assert not records.trials.is_any_running()

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
            records.studies.add(STUDY)
            records.studies.add(replace(STUDY, study_id="other"))
            records.trials.save(replace(TRIAL, study_id="other", number=1))
            records.measurements.save("other", 1, [Measurement({"loss": 77.0}, 1)])
            for number, curve in curves.items():
                records.trials.save(replace(TRIAL, number=number))
                records.measurements.save("s", number, [Measurement(metrics, step) for step, metrics in curve])
        with store.read() as records:
            found = {
                reached.number: (reached.value, reached.last_step)
                for reached in records.measurements.values_at("s", "loss", 5)
            }
            assert found == {1: (0.5, 9), 2: (1.1, 5), 3: (-2.5e-30, 4)}
            assert {r.number for r in records.measurements.values_at("s", "loss", 5, after=1)} == {2, 3}
            assert records.measurements.values_at("s", "nothing", 5) == []
            assert records.measurements.values_at("s", "los_", 5) == []  # no pattern

    def test_a_deleted_study_leaves_nothing(self, store, address) -> None:
        with store.write() as records:
            records.studies.add(STUDY)
            records.trials.save(TRIAL)
            records.leases.add(TRIAL)
            records.measurements.save("s", 1, [Measurement({"loss": 1.0}, 1)])
            records.trials.delete(replace(TRIAL, number=2), 3)
            records.studies.delete("s")
        store.close()
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as raw:
            left = {t: raw.scalar(select(func.count()).select_from(table)) for t, table in metadata.tables.items()}
        engine.dispose()
        assert left.pop("pulse") == 1
        assert set(left.values()) == {0}

    def test_a_request_id_belongs_to_one_request(self, store) -> None:
        key = RequestKey("r", "DeleteStudy", "d")
        with store.write() as records:
            records.answers.remember(key, Done(), NOW)
            assert records.answers.find(key, Done) == Done()
            for other in (replace(key, digest="e"), replace(key, method="CreateStudy")):
                with pytest.raises(RequestIdReused, match="choose a new one"):
                    records.answers.find(other, Done)
            assert not records.answers.forget_before(NOW + timedelta(seconds=1))
            assert records.answers.find(key, Done) is None

    def test_old_answers_are_forgotten_some_at_a_time(self, store) -> None:
        with store.write() as records:
            for i in range(1001):
                records.answers.remember(RequestKey(f"r{i}", "M", "d"), Done(), NOW)
            records.answers.remember(RequestKey("new", "M", "d"), Done(), NOW + timedelta(hours=1))
        for more in (True, False, False):
            with store.write() as records:
                assert records.answers.forget_before(NOW + timedelta(seconds=1)) is more
        with store.read() as records:
            assert records.answers.find(RequestKey("r0", "M", "d"), Done) is None
            assert records.answers.find(RequestKey("new", "M", "d"), Done) == Done()

    def test_the_pulse_is_kept(self, store) -> None:
        with store.read() as records:
            assert records.pulse.last() is None
        with store.write() as records:
            assert records.pulse.beat(NOW) is None
        with store.write() as records:
            assert records.pulse.beat(NOW + timedelta(seconds=1)) == NOW
        with store.read() as records:
            assert records.pulse.last() == NOW + timedelta(seconds=1)

    def test_revisions_of_those_studies_that_there_are(self, store) -> None:
        with store.write() as records:
            records.studies.add(STUDY)
            records.studies.add(replace(STUDY, study_id="t", revision=7))
        with store.read() as records:
            assert records.studies.revisions(["s", "t", "nobody"]) == {"s": 1, "t": 7}

    def test_studies_come_in_the_order_of_their_bytes(self, store) -> None:
        names = ["B", "a-", "a.", "a1", "aB", "a_", "ab"]
        with store.write() as records:
            for name in reversed(names):
                records.studies.add(replace(STUDY, study_id=name))
        with store.read() as records:
            assert [s.study_id for s in records.studies.page("", 10)] == names
            assert [s.study_id for s in records.studies.page("a.", 2)] == ["a1", "aB"]

    @pytest.mark.parametrize("words", ["\0", "\ue000", "a\0\ue000\ue001\0\0b", "\ue000\0\ue000\ue000", "𝒳 'ü\"%"])
    def test_any_text_is_kept(self, store, words: str) -> None:
        key = RequestKey(words * 16, "M", "d")
        trial = replace(TRIAL, checkpoint_uri=words, labels={words: words}, lease=Lease(words, words, NOW))
        with store.write() as records:
            records.studies.add(replace(STUDY, display_name=words))
            records.trials.save(trial)
            records.leases.add(trial)
            records.answers.remember(key, Done(), NOW)
        with store.read() as records:
            assert records.studies.get("s").display_name == words
            assert records.trials.get("s", 1) == trial
            assert records.leases.attempt_of(words, "s", 1) == trial.attempt
            assert records.leases.attempt_of(words + "\0", "s", 1) is None
            assert records.answers.find(key, Done) == Done()

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


class TestSqlite(StorageContract):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/bo.db"


class TestPostgres(StorageContract):
    @pytest.fixture
    def address(self, make_database: Callable[[], str]) -> str:
        return make_database()
