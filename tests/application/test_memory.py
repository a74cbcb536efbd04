"""What is remembered of a study is what would be read of it, whatever happened in between."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from bo_service.adapters.storage.opening import open_store
from bo_service.adapters.storage.trials import SqlTrials
from bo_service.application import running, studies, suggesting, trials
from bo_service.application.memory import Memory
from bo_service.application.reserve import Reserve
from bo_service.application.services import Services, changing
from bo_service.core.domains import CategoricalDomain, FloatDomain
from bo_service.core.errors import NotFound, StorageUnavailable
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.stopping.settings import StoppingRule
from bo_service.core.study import Algorithm, ExecutionSettings, Goal, Metric, StudySpec, SuggestionSettings
from bo_service.core.trial import Failure, FailureReason, Measurement, Origin, Prediction, StopRequest, TrialState
from tests.application.whole import evidence_of

SPACE = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)), Parameter("c", CategoricalDomain(("a", "b")))))
SPEC = StudySpec(SPACE, (Metric("loss", Goal.MINIMIZE),), execution=ExecutionSettings(max_attempts=2))
QUICK = replace(SPEC, suggestion=SuggestionSettings(Algorithm.QUASI_RANDOM, seed=7))
STEPS = ["queue", "record", "start", "start", "complete", "complete", "fail", "crash", "ask to stop", "report"]
STEPS += ["suggest"] * 4 + ["delete", "revise", "look", "look at source", "forget", "start anew"]
numbers = count(1)


class World:
    """Two studies, the second of which starts from the first, and one that needs no surrogate; changes come through
    either of two servers."""

    def __init__(self, services: Services) -> None:
        here, there = (replace(services, memory=Memory(), reserve=Reserve()) for _ in range(2))
        self.servers, self.clock = (here, there), services.clock
        self.source, self.study, self.quick = (f"{name}-{next(numbers)}" for name in ("source", "study", "quick"))
        self.specs = {self.source: SPEC, self.study: replace(SPEC, suggestion=self._settings(0)), self.quick: QUICK}
        for study_id in self.specs:
            self.create(study_id)

    def _settings(self, seed: int):
        return replace(SPEC.suggestion, seed=seed, warm_start_studies=(self.source,))

    def create(self, study_id: str) -> None:
        self.clock.turn(1)
        studies.create_study(self.servers[0], studies.NewStudy(study_id, self.specs[study_id], "", {}), None)

    def act(self, step: str, server: int, which: int, value: float) -> None:
        services, study_id = self.servers[server], list(self.specs)[which % 3]
        configuration = {"x": round(abs(value) / 10, 3), "c": "ab"[which % 2]}
        done, key = Measurement({"loss": value}, step=which), None
        if step in ("queue", "record"):
            final = done if step == "record" else None
            trials.create_trial(services, study_id, trials.NewTrial(configuration, {}, final_measurement=final), key)
        elif step == "start":
            if self.some(study_id, TrialState.QUEUED, which):
                suggesting.suggest_trials(services, suggesting.Ask(study_id, 1, "w", 1.0), key)
        elif step == "suggest":
            suggesting.suggest_trials(services, suggesting.Ask(self.quick, 1 + which % 2, "w", 1.0), key)
        elif step in ("delete", "forget", "start anew", "revise"):
            self.upset(step, services, study_id, which)
        elif step.startswith("look"):
            self.check(services, self.source if step == "look at source" else [self.study, self.quick][which % 2])
        else:
            self.go_on(step, services, study_id, which, done)

    def go_on(self, step: str, services: Services, study_id: str, which: int, done: Measurement) -> None:
        trial = self.some(study_id, TrialState.RUNNING, which)
        if trial is None:
            return
        if step == "report":
            running.report_measurements(services, study_id, trial.number, trial.lease.token, [done])
        elif step == "ask to stop":
            with changing(services, study_id) as ledger:
                expected = Prediction("loss", done.metrics["loss"] / 2, 1.0) if which % 2 else None
                request = StopRequest("late", ledger.at, StoppingRule.MEDIAN, expected, which + 1 if expected else None)
                ledger.save(trial.stop(request))
        else:
            reason = FailureReason.DIVERGED if step == "fail" else FailureReason.CRASHED
            outcome = done if step == "complete" else Failure(reason)
            running.complete_trial(services, study_id, trial.number, trial.lease.token, outcome, None)

    def upset(self, step: str, services: Services, study_id: str, which: int) -> None:
        ended = self.some(study_id, TrialState.SUCCEEDED, which) or self.some(study_id, TrialState.QUEUED, which)
        if step == "delete" and ended is not None:
            trials.delete_trial(services, study_id, ended.number, None)
        elif step == "forget":
            services.memory.forget(study_id)
        elif step == "revise":
            update = studies.StudyUpdate(revise=lambda spec: replace(spec, suggestion=self._settings(which)))
            studies.update_study(services, self.study, update, None)
        elif step == "start anew":
            studies.delete_study(services, study_id, None)
            with pytest.raises(NotFound), services.memory.reading(services.store, study_id):
                pass
            self.create(study_id)

    def some(self, study_id: str, state: TrialState, which: int):
        with self.servers[0].store.read() as records:
            found = records.trials.select(study_id, (state,))
        return found[which % len(found)] if found else None

    def check(self, services: Services, study_id: str) -> None:
        with services.store.read() as records:
            study = records.studies.get(study_id)
            fresh, outlines = evidence_of(records, study), records.trials.outlines(study_id)
            looked = services.memory.look(records, study)
        recalled = services.memory.recall(study_id)
        if recalled is not None and (recalled.study.create_time, recalled.study.revision) == (
            study.create_time,
            study.revision,
        ):
            assert recalled.study == study
            assert recalled.outlines == {t.number: t for t in outlines}
        with services.memory.reading(services.store, study_id) as (_, known):
            assert known.evidence == looked.evidence == fresh
            assert known.running == sum(t.state is TrialState.RUNNING for t in outlines)
            assert known.outlines == {t.number: t for t in outlines}
            assert known.queued == sum(t.state is TrialState.QUEUED for t in outlines)
            assert known.counts == Counter(t.state for t in outlines)
        assert studies.get_study(services, study_id).counts == Counter(t.state for t in outlines)

    def check_suggestions(self) -> None:
        """Two servers never make the same one."""
        with self.servers[0].store.read() as records:
            made = [t.parameters for t in records.trials.select(self.quick) if t.origin is not Origin.USER]
        assert len({tuple(parameters.items()) for parameters in made}) == len(made)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path_factory.mktemp('memory')}/bo.db"
    else:
        address = request.getfixturevalue("postgres_server").make_database()
    store = open_store(address)
    yield store
    store.close()


@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.integers(0, 9), st.floats(-10, 10)), max_size=40)
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_after_any_changes_through_any_server_the_evidence_is_what_would_be_read(store, make_services, steps) -> None:
    world = World(make_services(store))
    for step in steps:
        world.act(*step)
    for services in world.servers:
        for study_id in world.specs:
            world.check(services, study_id)
    world.check_suggestions()


def outline_reads(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each read of all trials of a study."""
    read: list[str] = []
    outlines = SqlTrials.outlines

    def noted(self: SqlTrials, study_id: str):
        read.append(study_id)
        return outlines(self, study_id)

    monkeypatch.setattr(SqlTrials, "outlines", noted)
    return read


def test_the_trials_of_a_remembered_study_are_counted_without_a_look(services, make_study, monkeypatch) -> None:
    make_study()
    counted = []
    monkeypatch.setattr(SqlTrials, "counts", lambda _, study_id: counted.append(study_id) or {})
    for i in range(3):
        (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None).trials
        running.complete_trial(services, "s", trial.number, trial.lease.token, Measurement({"loss": i}), None)
        with services.memory.reading(services.store, "s"):
            pass
        assert studies.get_study(services, "s").counts == {TrialState.SUCCEEDED: i + 1}
    assert not counted


def test_trials_are_read_once(services: Services, make_study: Callable[..., str], monkeypatch) -> None:
    make_study()
    read = outline_reads(services, monkeypatch)
    for i in range(5):
        (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None).trials
        running.complete_trial(services, "s", trial.number, trial.lease.token, Measurement({"loss": i}), None)
    assert read == ["s"]


def test_only_what_the_optimizer_hears_of_makes_another_version(services: Services, make_study) -> None:
    make_study()

    def version():
        with services.memory.reading(services.store, "s") as (_, known):
            return known.version

    (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None).trials
    before = version()
    running.report_measurements(services, "s", trial.number, trial.lease.token, [Measurement({"loss": 3.0}, step=1)])
    studies.update_study(services, "s", studies.StudyUpdate(labels={"a": "b"}), None)
    assert version() == before
    running.complete_trial(services, "s", trial.number, trial.lease.token, Measurement({"loss": 1.0}), None)
    assert version() != before


def test_the_studies_that_were_read_longest_ago_are_forgotten(services: Services, make_study, monkeypatch) -> None:
    services.memory.most_trials = 4
    for name in ("a", "b", "c"):
        make_study(name)
        for x in (0.1, 0.2):
            new = trials.NewTrial({"lr": x, "norm": "batch"}, {})
            trials.create_trial(services, name, new, None)
    read = outline_reads(services, monkeypatch)
    for name in ("a", "b", "a", "c", "a", "b"):
        with services.memory.reading(services.store, name) as (_, known):
            assert len(known.outlines) == 2
    assert read == ["a", "b", "c", "b"]


@pytest.fixture
def make_quick(services: Services) -> Callable[[], None]:
    """Creates a study "s" whose suggestions need no surrogate."""

    def make() -> None:
        studies.create_study(services, studies.NewStudy("s", QUICK, "", {}), None)

    return make


def pairs(services: Services, count: int, study_id: str = "s") -> None:
    for i in range(count):
        (trial,) = suggesting.suggest_trials(services, suggesting.Ask(study_id, 1, "w", 30.0), None).trials
        final = Measurement({"loss": float(i)})
        running.complete_trial(services, study_id, trial.number, trial.lease.token, final, None)


def as_read(services: Services, study_id: str = "s") -> tuple[object, ...]:
    with services.store.read() as records:
        return records.studies.get(study_id), {t.number: t for t in records.trials.outlines(study_id)}


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_what_threads_change_at_once_is_remembered_without_being_read(services, make_quick, monkeypatch) -> None:
    make_quick()
    pairs(services, 1)
    monkeypatch.setattr(SqlTrials, "changed_outlines", lambda *_: pytest.fail("reads what this server has changed"))
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(pairs, services, 12) for _ in range(8)]:
            future.result()
    known = services.memory.recall("s")
    assert (known.study, known.outlines) == as_read(services)
    assert len(known.outlines) == len(known.basis.past.trials) == 97


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_what_was_undone_is_not_remembered(services, make_quick) -> None:
    make_quick()
    pairs(services, 2)

    def undone() -> None:
        with changing(services, "s") as ledger:
            ledger.save(replace(ledger.records.trials.get("s", 1), state=TrialState.FAILED))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    pairs(services, 1)
    known = services.memory.recall("s")
    assert (known.study, known.outlines) == as_read(services)


def test_what_may_be_lost_is_not_recalled_before_it_was_read(services, make_quick) -> None:
    make_quick()
    pairs(services, 2)

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(services.store._writer, "commit", fail)
    with pytest.raises(StorageUnavailable, match="may have saved it"):
        pairs(services, 1)
    event.remove(services.store._writer, "commit", fail)
    known = services.memory.recall("s")
    assert (known.study, known.outlines) == as_read(services)
    pairs(services, 1)
    known = services.memory.recall("s")
    assert (known.study, known.outlines) == as_read(services)


def test_what_is_not_durable_yet_is_unknown_to_readers(services, make_quick) -> None:
    make_quick()
    pairs(services, 2)
    before, seen = as_read(services), []

    def look(_: object) -> None:
        with services.memory.reading(services.store, "s") as (_, known):
            seen.append((known.study, dict(known.outlines)))

    event.listen(services.store._writer, "commit", look)
    suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None)
    event.remove(services.store._writer, "commit", look)
    assert seen == [before]
    known = services.memory.recall("s")
    assert (known.study, known.outlines) == as_read(services) != before


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_what_another_server_has_changed_is_read_once_it_is_noticed(services, make_quick) -> None:
    make_quick()
    here, there = services, replace(services, memory=Memory(), reserve=Reserve())
    for _ in range(3):
        pairs(here, 2)
        pairs(there, 2)
    with here.store.read() as records:
        configurations = [tuple(t.parameters.items()) for t in records.trials.outlines("s")]
    assert len(set(configurations)) == len(configurations) == 12
    pairs(here, 2)
    known = here.memory.recall("s")
    assert known is None or (known.study, known.outlines) == as_read(here)
    pairs(here, 1)
    assert here.memory.recall("s").outlines == as_read(here)[1]
