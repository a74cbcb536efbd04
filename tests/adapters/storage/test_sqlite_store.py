"""The store over SQLite: what it keeps, what it refuses, and that nothing is half done."""

import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from bo_service.adapters.storage.schema import metadata
from bo_service.adapters.storage.sqlite import SqliteStore
from bo_service.application.ports import RequestKey
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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bo.db"


@pytest.fixture
def store(file: Path):
    store = SqliteStore(file)
    yield store
    store.close()


def reopened(store: SqliteStore, file: Path) -> SqliteStore:
    store.close()
    return SqliteStore(file)


def test_what_is_written_is_read_after_a_restart(store, file) -> None:
    with store.write() as records:
        records.studies.add(STUDY)
        records.trials.save(TRIAL)
        records.leases.add(TRIAL)
        records.measurements.save(
            "s", 1, [Measurement({"loss": math.nan}, 2), Measurement({"loss": 1.0}, 1, None, NOW)]
        )
        records.answers.remember(RequestKey("r", "SuggestTrials", "d"), Handout((TRIAL,), Shortfall.PAUSED), NOW)
    again = reopened(store, file)
    with again.read() as records:
        assert records.studies.get("s") == STUDY
        found = records.trials.get("s", 1)
        assert found == TRIAL
        assert [type(v) for v in found.parameters.values()] == [float, int, str, bool, int, float, str]
        assert records.leases.was_given("token", "s", 1)
        assert not records.leases.was_given("token", "s", 2)
        first, second = records.measurements.of("s", [1])[1]
        assert (first, second.step) == (Measurement({"loss": 1.0}, 1, None, NOW), 2)
        assert math.isnan(second.metrics["loss"])
        handed = records.answers.find(RequestKey("r", "SuggestTrials", "d"), Handout)
        assert handed == Handout((TRIAL,), Shortfall.PAUSED)
    again.close()


def test_an_exception_undoes_the_whole_transaction(store) -> None:
    def break_off() -> None:
        with store.write() as records:
            records.studies.add(STUDY)
            records.trials.save(TRIAL)
            records.studies.get("nobody")

    with pytest.raises(NotFound):
        break_off()
    with store.read() as records:
        assert records.studies.find("s") is None


def test_readers_see_one_moment_while_writers_go_on(store) -> None:
    with store.write() as records:
        records.studies.add(STUDY)
    with store.read() as before:
        assert before.trials.counts("s") == {}
        with store.write() as records:
            records.trials.save(TRIAL)
        assert before.trials.counts("s") == {}
    with store.read() as after:
        assert after.trials.counts("s") == {TrialState.RUNNING: 1}


def test_readers_cannot_write(store) -> None:
    with pytest.raises(StorageUnavailable, match="readonly"), store.read() as records:
        records.studies.add(STUDY)


def test_writers_take_turns(store) -> None:
    with store.write() as records:
        records.studies.add(STUDY)

    def number(_: object = None) -> None:
        for _ in range(20):
            with store.write() as records:
                records.trials.save(replace(TRIAL, number=records.trials.next_number("s")))

    threads = [threading.Thread(target=number) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as records:
        assert [t.number for t in records.trials.select("s")] == list(range(1, 161))


def test_expired_leases_are_found(store) -> None:
    with store.write() as records:
        records.studies.add(STUDY)
        records.trials.save(TRIAL)
        records.trials.save(replace(TRIAL, number=2, lease=None, state=TrialState.QUEUED))
        records.trials.save(replace(TRIAL, number=3, lease=Lease("t3", "w", NOW)))
    with store.read() as records:
        assert [t.number for t in records.trials.expired(NOW + timedelta(seconds=1), 10)] == [3]
        assert [t.number for t in records.trials.expired(NOW + timedelta(seconds=99), 10)] == [3, 1]
        assert [t.number for t in records.trials.running()] == [1, 3]


def test_values_at_a_step_are_the_last_finite_ones_of_each_trial(store) -> None:
    curves = {
        1: [(1, {"loss": 0.1}), (5, {"loss": 0.5}), (9, {"loss": 0.9})],
        2: [(1, {"loss": 1.1}), (3, {"loss": math.nan, "x": 1.0}), (4, {"loss": math.inf}), (5, {"loss": -math.inf})],
        3: [(2, {"loss": -2.5e-30}), (4, {"val_loss": 7.0, "loss_x": 1.0, "x": 2.0})],
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
        assert records.measurements.values_at("s", "nothing", 5) == []
        assert records.measurements.values_at("s", "los_", 5) == []  # no pattern


def test_a_deleted_study_leaves_nothing(store, file) -> None:
    with store.write() as records:
        records.studies.add(STUDY)
        records.trials.save(TRIAL)
        records.leases.add(TRIAL)
        records.measurements.save("s", 1, [Measurement({"loss": 1.0}, 1)])
        records.trials.delete(replace(TRIAL, number=2), 3)
        records.studies.delete("s")
    with sqlite3.connect(file) as raw:
        left = {t: raw.execute(f"select count(*) from {t}").fetchone()[0] for t in metadata.tables}
    raw.close()
    assert set(left.values()) == {0}


def test_a_request_id_belongs_to_one_request(store) -> None:
    key = RequestKey("r", "DeleteStudy", "d")
    with store.write() as records:
        records.answers.remember(key, Done(), NOW)
        assert records.answers.find(key, Done) == Done()
        for other in (replace(key, digest="e"), replace(key, method="CreateStudy")):
            with pytest.raises(RequestIdReused, match="choose a new one"):
                records.answers.find(other, Done)
        records.answers.forget_before(NOW + timedelta(seconds=1))
        assert records.answers.find(key, Done) is None


def test_migrations_lead_to_the_schema(store, file) -> None:
    store.close()
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        options = {"compare_type": False}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def test_a_second_server_is_refused(store, file) -> None:
    program = "import sys, pathlib; from bo_service.adapters.storage.sqlite import SqliteStore as S; "
    program += "S(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=60)
    assert "StartupError: --storage: another server has" in done.stderr


def _newer(file: Path) -> None:
    SqliteStore(file).close()
    with sqlite3.connect(file) as raw:
        raw.execute("update alembic_version set version_num = '9999'")
    raw.close()


@pytest.mark.parametrize(
    ("prepare", "hint"),
    [
        (_newer, "upgrade bo-service"),
        (lambda file: file.write_bytes(b"no database at all, but a file of some length" * 50), "not a database"),
        (lambda file: file.mkdir(), "unable to open"),
    ],
    ids=["newer", "no database", "a folder"],
)
def test_files_that_cannot_be_used_are_refused(file: Path, prepare: Callable[[Path], object], hint: str) -> None:
    prepare(file)
    for _ in range(2):  # and the file is given back
        with pytest.raises(StartupError, match=hint):
            SqliteStore(file)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "bo.db")


def test_what_is_acknowledged_is_on_disk(store) -> None:
    with store._writer.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
