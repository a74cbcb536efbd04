"""A study moved between databases is the same study; files that hold none are refused, and leave nothing behind."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bo_service.application.ports import IssuedLease, Store
from bo_service.cli.main import main
from bo_service.domain.artifacts import Artifact, TrialNote
from bo_service.domain.attempts import Attempt, AttemptOutcome
from bo_service.domain.errors import AlreadyExists, InvalidArgument, NotFound
from bo_service.domain.objective import ObjectiveSpec
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import ExecutionSettings, Goal, Metric, Study, StudySpec, StudyState
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
from bo_service.storage.transfer import export_study, import_study

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SPACE = SearchSpace((Parameter("lr", FloatDomain(0.0, 1.0)), Parameter("norm", CategoricalDomain(("a", "b")))))
SPEC = StudySpec(SPACE, (Metric("loss", Goal.MINIMIZE),), execution=ExecutionSettings(timedelta(seconds=45), 5))
IDS = (f"s{i}" for i in count())

words = st.text(max_size=20) | st.just("\0\ue000")
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
numbers = st.floats(allow_nan=False)
spans = st.integers(0, 10**6).map(lambda ms: timedelta(milliseconds=ms))
labels = st.dictionaries(words, words, max_size=2)
measurements = st.builds(
    Measurement,
    st.dictionaries(words, numbers, max_size=3),
    st.integers(0, 2**62),
    st.none() | spans,
    st.none() | moments,
)
curves = st.lists(measurements, max_size=4, unique_by=lambda m: m.step).map(lambda c: sorted(c, key=lambda m: m.step))
predictions = st.builds(Prediction, words, numbers, numbers)
explanations = st.builds(
    Explanation,
    words,
    st.lists(predictions, max_size=2).map(tuple),
    words,
    st.none() | numbers,
    st.none() | st.sampled_from(Intent),
    st.none() | st.integers(1, 99),
    st.none() | numbers,
)
trials = st.builds(
    Trial,
    study_id=st.just(""),
    number=st.just(0),
    parameters=st.fixed_dictionaries({"lr": numbers, "norm": st.sampled_from(["a", "b", True, 7])}),
    create_time=moments,
    origin=st.sampled_from(Origin),
    state=st.sampled_from(TrialState),
    latest_measurement=st.none() | measurements,
    final_measurement=st.none() | measurements,
    failure=st.none() | st.builds(Failure, st.sampled_from(FailureReason), words),
    lease=st.none() | st.builds(Lease, words, words, moments),
    attempt=st.integers(0, 100),
    checkpoint_uri=words,
    labels=labels,
    explanation=st.none() | explanations,
    stop_request=st.none() | st.builds(StopRequest, words, moments),
    start_time=st.none() | moments,
    end_time=st.none() | moments,
    revision=st.integers(0, 2**62),
    attempts=st.lists(
        st.builds(
            Attempt,
            st.integers(1, 100),
            words,
            st.none() | moments,
            st.none() | moments,
            st.none() | st.sampled_from(AttemptOutcome),
            st.none() | st.builds(Failure, st.sampled_from(FailureReason), words),
        ),
        max_size=3,
    ).map(tuple),
    note=st.none() | st.builds(TrialNote, words, words, moments),
)
artifacts = st.builds(
    Artifact,
    st.sampled_from("aBc"),
    st.just("text/plain"),
    moments,
    words,
    st.none() | st.integers(0, 9),
    st.just(""),
    words,
)
files = st.lists(
    st.tuples(artifacts, st.none() | st.binary(max_size=9)), max_size=2, unique_by=lambda f: f[0].artifact_id
)
objectives = st.builds(
    ObjectiveSpec,
    st.text("ab:.é", min_size=1, max_size=9),
    st.dictionaries(st.text("ab é", min_size=1, max_size=5), st.text("a\n\ue000 é", max_size=9), max_size=3),
)


@pytest.fixture(scope="module")
def stores(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    addresses = (f"sqlite:///{tmp_path_factory.mktemp('transfer')}/bo.db", postgres_server.make_database())
    opened = [open_store(address) for address in (*addresses, "memory:")]
    yield opened
    for store in opened:
        store.close()


def export(store: Store, study_id: str, at: datetime = NOW) -> list[str]:
    with store.read() as records:
        return list(export_study(records, study_id, at))


class Trusting:
    """Takes everything: here the file counts. What calls would refuse is tried in tests/attacks/test_import.py."""

    def study(self, study: Study) -> Study:
        return study

    def trial(self, study: Study, trial: Trial, curve: object, tokens: object) -> Trial:
        return trial

    def artifact(self, artifact: Artifact, content: bytes | None) -> None:
        pass


def load(store: Store, lines: list[str], study_id: str | None = None, at: datetime = NOW) -> Study:
    return import_study(store, lines, study_id, at, Trusting())


@given(
    study=st.builds(
        Study,
        st.just(""),
        st.just(SPEC),
        moments,
        moments,
        words,
        labels,
        st.sampled_from(StudyState),
        objective=st.none() | objectives,
    ),
    made=st.lists(st.tuples(trials, curves, st.booleans(), files), max_size=4),
)
def test_a_study_goes_there_and_back_unchanged(stores, study, made) -> None:
    sqlite, postgres, memory = stores
    study = replace(study, study_id=next(IDS), revision=99, last_number=len(made))
    with sqlite.write() as records:
        records.save_study(study)
        for number, (trial, curve, is_deleted, added) in enumerate(made, 1):
            trial = replace(trial, study_id=study.study_id, number=number)
            token = f"{trial.lease.token if trial.lease else ''}{trial.name}"
            trial = replace(trial, lease=trial.lease and replace(trial.lease, token=token))
            records.save_trials(trial)
            records.save_measurements(study.study_id, trial.number, curve)
            if trial.lease:
                issued = IssuedLease(trial.lease.token, trial.lease.worker_id, trial.attempt)
                records.save_lease(trial.study_id, trial.number, issued)
            for artifact, content in added:
                records.save_artifact(study.study_id, trial.number, artifact, content)
            if is_deleted:
                records.delete_trial(trial.study_id, trial.number, trial.number)
    lines = export(sqlite, study.study_id)
    assert load(postgres, lines) == study
    assert export(postgres, study.study_id) == lines
    assert load(memory, lines) == study
    assert export(memory, study.study_id) == lines
    with sqlite.write() as records:
        records.delete_study(study.study_id)
    assert load(sqlite, export(postgres, study.study_id)) == study
    assert export(sqlite, study.study_id) == lines
    for store in stores:
        with store.write() as records:
            kept = [t for t, (_, _, is_deleted, _) in zip(range(1, 9), made, strict=False) if not is_deleted]
            assert [t.number for t in records.list_trials(study.study_id)] == kept
            assert len(records.deleted_trials(study.study_id, 0, 99)) == len(made) - len(kept)
            for trial in records.list_trials(study.study_id):
                lease, owner = trial.lease, (study.study_id, trial.number)
                assert not lease or records.attempt_of(lease.token, *owner) == trial.attempt


@pytest.fixture(params=[0, 1, 2], ids=["sqlite", "postgresql", "memory"])
def store(stores, request: pytest.FixtureRequest) -> Store:
    return stores[request.param]


@pytest.fixture
def running(store: Store) -> Trial:
    """A running trial of a study with many more."""
    study_id = next(IDS)
    lease = Lease(f"token-{study_id}", "w", NOW + timedelta(seconds=45))
    trial = Trial(study_id, 1, {"lr": 0.5, "norm": "a"}, NOW, Origin.USER, TrialState.RUNNING, lease=lease, attempt=1)
    with store.write() as records:
        records.save_study(Study(study_id, SPEC, NOW, NOW, last_number=450))
        for number in range(1, 451):
            waiting = replace(trial, number=number, state=TrialState.QUEUED, lease=None)
            records.save_trials(trial if number == 1 else waiting)
        records.save_lease(study_id, 1, IssuedLease(lease.token, "w", 1))
    return trial


def test_leases_go_on_where_they_were_and_copies_have_no_holder(store, running) -> None:
    later = NOW + timedelta(hours=1)
    copy = load(store, export(store, running.study_id), next(IDS), later)
    with store.read() as records:
        assert len(records.list_trials(copy.study_id)) == 450
        assert records.get_trial(copy.study_id, 1).lease.expire_time == later + timedelta(seconds=45)
        assert records.attempt_of(running.lease.token, running.study_id, 1) == 1
        assert records.attempt_of(running.lease.token, copy.study_id, 1) is None


def test_what_is_there_is_never_overwritten(store, running) -> None:
    lines = export(store, running.study_id)
    with pytest.raises(AlreadyExists, match="--as"):
        load(store, lines)
    with pytest.raises(NotFound, match="nobody"):
        export(store, "nobody")


def changed(line: str, **changes: object) -> str:
    return json.dumps({**json.loads(line), **changes})


def test_a_file_of_an_older_version_tells_the_workers_by_its_leases(store, running) -> None:
    lines = export(store, running.study_id)
    for spoiled in (lines, [changed(lines[0], version=1), *lines[1:]]):
        copy = load(store, [changed(spoiled[0]), *spoiled[1:]], next(IDS))
        with store.read() as records:
            attempts = records.get_trial(copy.study_id, 1).attempts
        assert attempts == ((Attempt(1, "w"),) if spoiled is not lines else ())


@pytest.mark.parametrize(
    ("spoil", "hint"),
    [
        (lambda lines: [], "line 1: is missing"),
        (lambda lines: lines[:-1], "line 453: is missing"),
        (lambda lines: [*lines[:5], *lines[6:]], "line 452: counts other than the 449 trials"),
        (lambda lines: [lines[0], "PK\3\4", *lines[2:]], "line 2: is no JSON"),
        (lambda lines: [lines[0], "[]", *lines[2:]], "line 2: has none of trial, deleted"),
        (lambda lines: [changed(lines[0], format="x"), *lines[1:]], "line 1: names no format"),
        (lambda lines: [changed(lines[0], version=5), *lines[1:]], "line 1: is of version 5.*upgrade"),
        (lambda lines: [changed(lines[0], study={"study_id": 3}), *lines[1:]], "line 1: holds no"),
        (lambda lines: [lines[0], changed(lines[1], trial={"state": "lost"}), *lines[2:]], "line 2: holds no"),
    ],
)
def test_files_that_hold_no_study_are_refused_and_leave_nothing(store, running, spoil, hint) -> None:
    lines = spoil(export(store, running.study_id))
    with pytest.raises(InvalidArgument, match=hint):
        load(store, lines, "refused")
    with store.read() as records:
        assert records.find_study("refused") is None
        assert records.list_trials("refused") == []


@pytest.mark.parametrize("store", [0], indirect=True)
def test_from_the_command_line(make_database, store, running, tmp_path: Path) -> None:
    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        program = [sys.executable, "-m", "bo_service.cli.main", *arguments]
        return subprocess.run(program, capture_output=True, text=True, timeout=280)

    addresses = [f"sqlite:///{tmp_path}/bo.db", make_database()]
    study_file = tmp_path / "study.jsonl"
    study_file.write_text("".join(export(store, running.study_id)))
    done = command("import-study", "--storage", addresses[0], str(study_file), "--as", "moved")
    assert (done.returncode, done.stdout) == (0, "studies/moved: 450 trials\n")
    moved = tmp_path / "moved.jsonl"
    done = command("export-study", "--storage", addresses[0], "studies/moved", str(moved))
    assert done.returncode == 0, done.stderr
    assert moved.stat().st_mode & 0o077 == 0
    assert command("import-study", "--storage", addresses[1], str(moved)).returncode == 0
    for arguments, hint in {
        ("import-study", "--storage", addresses[1], str(moved)): "--as NEW_ID",
        ("import-study", "--storage", addresses[1], str(moved), "--as", "a/b"): "--as: is 'a/b'",
        ("export-study", "--storage", addresses[1], "moved", str(moved)): "exists",
        ("export-study", "--storage", addresses[1], "other", str(tmp_path / "other")): "studies/other",
        ("import-study", "--storage", addresses[1], str(tmp_path / "missing")): "No such file",
    }.items():
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 1
        assert isinstance(refused.exception, SystemExit)  # with what Python then writes to standard error
        (told,) = str(refused.exception).splitlines()
        assert hint in told
    assert not (tmp_path / "other").exists()
