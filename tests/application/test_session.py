"""What a session says of a study is what would be read of it afresh, whatever happened in between."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy import event

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext, study_transaction
from bo_service.application.ports import ComputationHandle, Store, UnitOfWork
from bo_service.application.sessions import Sessions
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.errors import NotFound, StorageUnavailable
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Algorithm, ExecutionSettings, Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Failure, FailureReason, Measurement, Origin, Prediction, StopRequest, TrialState
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput, Suggestion, SuggestionBatch
from bo_service.storage.factory import open_store
from bo_service.storage.unit_of_work import SqlUnitOfWork
from tests.application.whole import evidence_of

SPACE = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)), Parameter("c", CategoricalDomain(("a", "b")))))
SPEC = StudySpec(
    SPACE,
    (Metric("loss", Goal.MINIMIZE),),
    SuggestionSettings(initial_trials=2),
    ExecutionSettings(max_attempts=2),
)
QUICK = replace(SPEC, suggestion=SuggestionSettings(Algorithm.QUASI_RANDOM, seed=7))
names = count(1)


class UnreliableRecords:
    """The records of a transaction whose commit isn't reported."""

    def __init__(self, records: UnitOfWork) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    @property
    def on_commit(self) -> list[Callable[[], None]]:
        """A list that is lost: whoever commits doesn't learn how that ended."""
        return []


class UnreliableStore:
    """A store of which the next commit fails: all is undone, or nobody knows that it was not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = store.read
        self.failure = ""

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[Any]:
        failure, self.failure = self.failure, ""
        with self._store.write(study_id) as records:
            yield UnreliableRecords(records) if failure == "unknown" else records
            if failure == "undone":
                raise StorageUnavailable("it was not saved")
        if failure == "unknown":
            raise StorageUnavailable("it may have been saved")


class LabelingOptimizer:
    """An optimizer whose surrogate chooses quasi-random points, and labels them with what it was given."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while the surrogate computes."""

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        points = quasi_random(inputs, count)
        label = label_of(inputs)
        return SuggestionBatch([replace(p, origin=Origin.SURROGATE, acquisition=label) for p in points], {})

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        return quasi_random(inputs, count)


def label_of(inputs: OptimizerInput) -> str:
    """All that the optimizer is given except what is pending, which grows with each suggestion handed out."""
    observations = sorted(inputs.observations, key=lambda observation: observation.number)
    return repr(replace(inputs, observations=tuple(observations), pending=(), study="", hyperparameters={}))


servers, choices, values = st.integers(0, 1), st.integers(0, 9), st.floats(-10, 10)


class SessionMachine(RuleBasedStateMachine):
    """Two servers over one database, of which the second keeps the sessions of few trials.

    Of the studies, the second starts from the first, and the third needs no surrogate.
    """

    def __init__(self, store: Store, clock: Any) -> None:
        super().__init__()
        self.clock, self.optimizer = clock, LabelingOptimizer()
        self.servers = [self.make_server(store) for _ in range(2)]
        self.limit_memory()
        source, study, quick = (f"{name}-{next(names)}" for name in ("source", "study", "quick"))
        warm = replace(SPEC.suggestion, seed=0, warm_start_studies=(source,))
        self.specs = {source: SPEC, study: replace(SPEC, suggestion=warm), quick: QUICK}
        for study_id in self.specs:
            self.create(study_id)

    def make_server(self, store: Store) -> AppContext:
        unreliable = UnreliableStore(store)
        return AppContext.of(unreliable, self.clock, self.optimizer)

    def limit_memory(self) -> None:
        self.servers[1].sessions.max_trials = 4

    def create(self, study_id: str) -> None:
        """Create a study with two results, so that the surrogate chooses what comes next."""
        self.clock.turn(1)
        self.servers[0].store.failure = ""
        studies.create_study(self.servers[0], studies.NewStudy(study_id, self.specs[study_id], "", {}), None)
        for x in (0.25, 0.75):
            self.create_trial(0, list(self.specs).index(study_id), 10.0 * x, is_ended=True)

    def study_id(self, choice: int) -> str:
        return list(self.specs)[choice % len(self.specs)]

    def some(self, study_id: str, state: TrialState, choice: int) -> Any:
        with self.servers[0].store.read() as records:
            selected = records.list_trials(study_id, (state,))
        return selected[choice % len(selected)] if selected else None

    def fresh(self, study_id: str) -> tuple[Any, Sequence[Any], OptimizerInput]:
        with self.servers[0].store.read() as records:
            study = records.get_study(study_id)
            return study, records.summarize_trials(study_id), evidence_of(records, study)

    def attempt(self, app: AppContext, act: Callable[[], object]) -> None:
        """Act, although the commit may fail."""
        try:
            act()
        except StorageUnavailable:
            pass
        finally:
            app.store.failure = ""

    @rule(server=servers, failure=st.sampled_from(["undone", "unknown"]))
    def fail_the_next_commit(self, server: int, failure: str) -> None:
        self.servers[server].store.failure = failure

    @rule(server=servers, choice=choices, value=values, is_ended=st.booleans())
    def create_trial(self, server: int, choice: int, value: float, is_ended: bool) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        final = Measurement({"loss": value}, step=choice) if is_ended else None
        new = trials.NewTrial({"x": round(abs(value) / 10, 3), "c": "ab"[choice % 2]}, {}, final_measurement=final)
        self.attempt(app, lambda: trials.create_trial(app, study_id, new, None))

    @rule(server=servers, choice=choices, count=st.integers(1, 3))
    def suggest(self, server: int, choice: int, count: int) -> None:
        """What the surrogate suggests was computed from what would be read of the study at this moment."""
        app, study_id = self.servers[server], self.study_id(choice)
        _, before, inputs = self.fresh(study_id)
        request = suggest_trials.SuggestRequest(study_id, count, "w", 30.0)
        suggested: list[Any] = []
        self.attempt(app, lambda: suggested.extend(suggest_trials.suggest_trials(app, request, None).trials))
        for trial in suggested:
            if trial.origin is Origin.SURROGATE and trial.number > max((t.number for t in before), default=0):
                assert trial.explanation.acquisition == label_of(inputs)

    @rule(server=servers, choice=choices, value=values)
    def complete(self, server: int, choice: int, value: float) -> None:
        self.end(server, choice, Measurement({"loss": value}, step=choice))

    @rule(server=servers, choice=choices, reason=st.sampled_from([FailureReason.DIVERGED, FailureReason.CRASHED]))
    def fail(self, server: int, choice: int, reason: FailureReason) -> None:
        self.end(server, choice, Failure(reason))

    def end(self, server: int, choice: int, outcome: Measurement | Failure) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        trial = self.some(study_id, TrialState.RUNNING, choice)
        if trial is not None:
            complete = trial_lifecycle.complete_trial
            self.attempt(app, lambda: complete(app, study_id, trial.number, trial.lease.token, outcome, None))

    @rule(server=servers, choice=choices, value=values)
    def report(self, server: int, choice: int, value: float) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        trial = self.some(study_id, TrialState.RUNNING, choice)
        if trial is not None:
            measured = [Measurement({"loss": value}, step=choice)]
            report = trial_lifecycle.report_measurements
            self.attempt(app, lambda: report(app, study_id, trial.number, trial.lease.token, measured))

    @rule(server=servers, choice=choices, is_queued=st.booleans())
    def stop(self, server: int, choice: int, is_queued: bool) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        trial = self.some(study_id, TrialState.QUEUED if is_queued else TrialState.RUNNING, choice)
        if trial is not None:
            self.attempt(app, lambda: trials.stop_trial(app, study_id, trial.number, "enough", None))

    @rule(server=servers, choice=choices, value=values)
    def stop_by_a_rule(self, server: int, choice: int, value: float) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        trial = self.some(study_id, TrialState.RUNNING, choice)

        def stop() -> None:
            with study_transaction(app, study_id) as transaction:
                expected = Prediction("loss", value / 2, 1.0) if choice % 2 else None
                step = choice + 1 if expected else None
                transaction.save(trial.stop(StopRequest("late", transaction.at, StoppingRule.MEDIAN, expected, step)))

        if trial is not None:
            self.attempt(app, stop)

    @rule(server=servers, choice=choices)
    def delete_trial(self, server: int, choice: int) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        states = (TrialState.SUCCEEDED, TrialState.QUEUED, TrialState.INFEASIBLE)
        deletable = (self.some(study_id, state, choice) for state in states)
        trial = next((trial for trial in deletable if trial is not None), None)
        if trial is not None:
            self.attempt(app, lambda: trials.delete_trial(app, study_id, trial.number, None))

    @rule(server=servers, choice=choices)
    def delete_study_and_create_it_anew(self, server: int, choice: int) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        self.attempt(app, lambda: studies.delete_study(app, study_id, None))
        with app.store.read() as records:
            is_deleted = records.find_study(study_id) is None
        if is_deleted:
            with pytest.raises(NotFound):
                app.sessions.of(study_id).read()
            self.create(study_id)

    @rule(server=servers, choice=choices, seed=choices)
    def revise(self, server: int, choice: int, seed: int) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        revise = studies.StudyUpdate(revise=lambda s: replace(s, suggestion=replace(s.suggestion, seed=seed)))
        self.attempt(app, lambda: studies.update_study(app, study_id, revise, None))

    @rule(server=servers, choice=choices)
    def prefetch(self, server: int, choice: int) -> None:
        self.servers[server].sessions.of(self.study_id(choice)).prefetch()

    @rule(server=servers, choice=choices, value=values)
    def prefetch_while_the_study_changes(self, server: int, choice: int, value: float) -> None:
        other = choice % 2
        self.optimizer.meanwhile = lambda: self.create_trial(other, choice, value, is_ended=value > 0.0)
        self.prefetch(server, choice)
        self.optimizer.meanwhile = lambda: None

    @rule(server=servers)
    def notice_what_other_servers_have_changed(self, server: int) -> None:
        self.servers[server].sessions.notice_changes()

    @rule(server=servers)
    def start_a_server_anew(self, server: int) -> None:
        app = self.servers[server]
        self.servers[server] = replace(app, sessions=Sessions(app.store, self.optimizer))
        self.limit_memory()

    @rule(server=servers, choice=choices)
    def look(self, server: int, choice: int) -> None:
        app, study_id = self.servers[server], self.study_id(choice)
        study, summaries, inputs = self.fresh(study_id)
        with app.store.read() as records:
            seen = app.sessions.of(study_id).at(records, records.get_study(study_id))
        for snapshot in (seen, app.sessions.of(study_id).read()):
            assert snapshot.study == study
            assert snapshot.summaries == {trial.number: trial for trial in summaries}
            assert snapshot.inputs == inputs
            assert snapshot.counts == Counter(trial.state for trial in summaries)
            assert snapshot.num_running == snapshot.counts.get(TrialState.RUNNING, 0)
            assert len(snapshot.queued_numbers) == snapshot.counts.get(TrialState.QUEUED, 0)
        assert studies.get_study(app, study_id).counts == seen.counts

    def teardown(self) -> None:
        for server in range(len(self.servers)):
            for choice in range(len(self.specs)):
                self.look(server, choice)
        for study_id in self.specs:
            with self.servers[0].store.read() as records:
                made = [t.parameters for t in records.list_trials(study_id) if t.origin is not Origin.USER]
            assert len({tuple(parameters.items()) for parameters in made}) == len(made)
        super().teardown()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path_factory.mktemp('session')}/bo.db"
    else:
        address = request.getfixturevalue("postgres_server").make_database()
    opened = open_store(address)
    yield opened
    opened.close()


def test_after_any_changes_through_any_server_a_session_says_what_would_be_read(store: Store, clock: Any) -> None:
    run_state_machine_as_test(
        lambda: SessionMachine(store, clock),
        settings=settings(
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        ),
    )


def summary_reads(app: AppContext, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each read of all trials of a study."""
    read: list[str] = []
    summarize = SqlUnitOfWork.summarize_trials

    def noted(self: SqlUnitOfWork, study_id: str, after_revision: int = -1):
        if after_revision < 0:
            read.append(study_id)
        return summarize(self, study_id, after_revision)

    monkeypatch.setattr(SqlUnitOfWork, "summarize_trials", noted)
    return read


def test_the_trials_of_a_remembered_study_are_counted_without_a_look(app, make_study, monkeypatch) -> None:
    make_study()
    counted = []
    monkeypatch.setattr(SqlUnitOfWork, "count_trials", lambda _, study_id: counted.append(study_id) or {})
    for i in range(3):
        (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None).trials
        trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Measurement({"loss": i}), None)
        with app.sessions.of("s").reading():
            pass
        assert studies.get_study(app, "s").counts == {TrialState.SUCCEEDED: i + 1}
    assert not counted


def test_trials_are_read_once(app: AppContext, make_study: Callable[..., str], monkeypatch) -> None:
    make_study()
    read = summary_reads(app, monkeypatch)
    for i in range(5):
        (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None).trials
        trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Measurement({"loss": i}), None)
    assert read == ["s"]


def test_only_what_the_optimizer_hears_of_makes_another_version(app: AppContext, make_study) -> None:
    make_study()

    def version():
        with app.sessions.of("s").reading() as (_, known):
            return known.basis.version

    (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None).trials
    before = version()
    trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, [Measurement({"loss": 3.0}, step=1)])
    studies.update_study(app, "s", studies.StudyUpdate(labels={"a": "b"}), None)
    assert version() == before
    trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Measurement({"loss": 1.0}), None)
    assert version() != before


def test_the_studies_that_were_read_longest_ago_are_forgotten(app: AppContext, make_study, monkeypatch) -> None:
    app.sessions.max_trials = 4
    for name in ("a", "b", "c"):
        make_study(name)
        for x in (0.1, 0.2):
            new = trials.NewTrial({"lr": x, "norm": "batch"}, {})
            trials.create_trial(app, name, new, None)
    read = summary_reads(app, monkeypatch)
    for name in ("a", "b", "a", "c", "a", "b"):
        with app.sessions.of(name).reading() as (_, known):
            assert len(known.summaries) == 2
    assert read == ["a", "b", "c", "b"]


@pytest.fixture
def make_quick(app: AppContext) -> Callable[[], None]:
    """Creates a study "s" whose suggestions need no surrogate."""

    def make() -> None:
        studies.create_study(app, studies.NewStudy("s", QUICK, "", {}), None)

    return make


def pairs(app: AppContext, count: int, study_id: str = "s") -> None:
    for i in range(count):
        (trial,) = suggest_trials.suggest_trials(
            app, suggest_trials.SuggestRequest(study_id, 1, "w", 30.0), None
        ).trials
        final = Measurement({"loss": float(i)})
        trial_lifecycle.complete_trial(app, study_id, trial.number, trial.lease.token, final, None)


def as_read(app: AppContext, study_id: str = "s") -> tuple[object, ...]:
    with app.store.read() as records:
        return records.get_study(study_id), {t.number: t for t in records.summarize_trials(study_id)}


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_what_threads_change_at_once_is_remembered_without_being_read(app, make_quick, monkeypatch) -> None:
    make_quick()
    pairs(app, 1)
    with monkeypatch.context() as patched, ThreadPoolExecutor(8) as pool:
        patched.setattr(SqlUnitOfWork, "summarize_trials", lambda *_: pytest.fail("reads what this server has changed"))
        for future in [pool.submit(pairs, app, 12) for _ in range(8)]:
            future.result()
    known = app.sessions.of("s").read()
    assert (known.study, known.summaries) == as_read(app)
    assert len(known.summaries) == len(known.basis.past.trials) == 97


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_what_was_undone_is_not_remembered(app, make_quick) -> None:
    make_quick()
    pairs(app, 2)

    def undone() -> None:
        with study_transaction(app, "s") as transaction:
            transaction.save(replace(transaction.records.get_trial("s", 1), state=TrialState.FAILED))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    pairs(app, 1)
    known = app.sessions.of("s").read()
    assert (known.study, known.summaries) == as_read(app)


def test_what_may_be_lost_is_read_again(app, make_quick) -> None:
    make_quick()
    pairs(app, 2)

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(app.store._writer, "commit", fail)
    with pytest.raises(StorageUnavailable, match="may have saved it"):
        pairs(app, 1)
    event.remove(app.store._writer, "commit", fail)
    known = app.sessions.of("s").read()
    assert (known.study, known.summaries) == as_read(app)
    pairs(app, 1)
    known = app.sessions.of("s").read()
    assert (known.study, known.summaries) == as_read(app)


def test_what_is_not_durable_yet_is_unknown_to_readers(app, make_quick) -> None:
    make_quick()
    pairs(app, 2)
    before, seen = as_read(app), []

    def look(_: object) -> None:
        with app.sessions.of("s").reading() as (_, known):
            seen.append((known.study, dict(known.summaries)))

    event.listen(app.store._writer, "commit", look)
    suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None)
    event.remove(app.store._writer, "commit", look)
    assert seen == [before]
    known = app.sessions.of("s").read()
    assert (known.study, known.summaries) == as_read(app) != before


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_what_another_server_has_changed_is_read_once_it_is_noticed(app, make_quick) -> None:
    make_quick()
    here, there = app, replace(app, sessions=Sessions(app.store, app.optimizer))
    for _ in range(3):
        pairs(here, 2)
        pairs(there, 2)
    with here.store.read() as records:
        configurations = [tuple(t.parameters.items()) for t in records.summarize_trials("s")]
    assert len(set(configurations)) == len(configurations) == 12
    pairs(here, 2)
    known = here.sessions.of("s").read()
    assert (known.study, known.summaries) == as_read(here)
