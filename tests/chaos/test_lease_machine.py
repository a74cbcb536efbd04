"""Any sequence of what workers, people and time do to trials, against a model that knows only the rules.

The use cases run over a real SQLite store, with a clock that is turned and a server that comes and goes.
"""

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext
from bo_service.application.outages import OUTAGE, extend_leases_after_outage
from bo_service.application.ports import RequestKey
from bo_service.application.views import PauseOutcome
from bo_service.domain.errors import InvalidArgument, NotFound, UnknownLease, WrongState
from bo_service.domain.fidelity import FidelitySettings
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Algorithm, ExecutionSettings, Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Failure, FailureReason, Measurement, TrialState
from bo_service.optimizer.initial_design import quasi_random
from bo_service.storage.sqlite import SqliteStore

LEASE, MOST = 30, 2
TICK = 2
"""Seconds between looks at the leases: less than counts as an outage."""
ENDED = ("succeeded", "failed", "infeasible", "stopped")
RUNGS, WHOLE = (1, 3), 9
"""Steps at which trials of workers that can resume may pause, and the last step."""
SPEC = StudySpec(
    SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)),
    (Metric("loss", Goal.MINIMIZE),),
    SuggestionSettings(Algorithm.QUASI_RANDOM),
    ExecutionSettings(timedelta(seconds=LEASE), max_attempts=MOST),
    fidelity=FidelitySettings(WHOLE),
)
MEMORY = Path("/dev/shm")
"""Nothing here is about the disk."""
picks = st.integers(0, 30)


class Clock:
    """A wall clock, which a test may also set."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def turn(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class Blind:
    """No surrogate."""

    def suggest(self, *_: object) -> None:
        return None

    def suggest_quasi_random(self, evidence: Any, count: int) -> Any:
        return quasi_random(evidence, count)


@dataclass
class StudySnapshot:
    """A trial as the rules have it. Seconds count only while a server lives."""

    parameters: dict[str, Any]
    state: str = "queued"
    attempt: int = 0
    tokens: list[str] = field(default_factory=list)
    silent: float = 0.0
    """Seconds of the server's life since its holder's last sign of life."""
    spared: float = 0.0
    """By how much more than its length the lease may have been moved since, for time in which nobody could renew it."""
    checkpoint: str = ""
    curve: dict[int, float] = field(default_factory=dict)
    result: float | None = None
    is_asked_to_stop: bool = False
    until: int | None = None
    """How far the attempt trains; None: to the end."""
    asked_to_pause: int = 0
    """The last attempt that was asked to pause; 0: none was."""
    pauses: int = 0
    """Attempts that were given back at a checkpoint."""

    @property
    def is_asked_to_pause(self) -> bool:
        return self.state == "running" and self.asked_to_pause == self.attempt

    @property
    def step(self) -> int:
        return max(self.curve, default=0)

    def give_back(self) -> None:
        if self.is_asked_to_stop:
            self.state = "stopped"
        elif self.attempt - self.pauses >= MOST:
            self.state = "failed"
        else:
            self.state = "paused" if self.is_asked_to_pause else "queued"

    def next_stop(self) -> int:
        return min((rung for rung in RUNGS if rung > self.step), default=WHOLE)


class LeaseMachine(RuleBasedStateMachine):
    """Trials of one study."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.clock = Clock()
        self.app = self.opened()
        studies.create_study(self.app, studies.NewStudy("s", SPEC, "", {}), None)
        self.known: dict[int, StudySnapshot] = {}
        self.used: set[int] = set()
        self.answers: list[tuple[Any, Any]] = []
        self.calls = 0
        self.revision = 0

    def opened(self) -> AppContext:
        app = AppContext.of(SqliteStore(Path(self.folder.name) / "bo.db"), self.clock, Blind())  # type: ignore[arg-type]
        extend_leases_after_outage(app)
        return app

    def teardown(self) -> None:
        self.app.store.close()  # type: ignore[attr-defined]
        self.folder.cleanup()

    def key(self, method: str) -> RequestKey:
        self.calls += 1
        return RequestKey(f"r{self.calls}", method, "digest")

    def kept(self, call: Any) -> Any:
        """What a call answers; it is repeated later on."""
        answer = call()
        self.answers.append((call, answer))
        return answer

    def pick(self, at: int, *states: str) -> tuple[int, StudySnapshot] | None:
        found = [(n, t) for n, t in sorted(self.known.items()) if t.state in states]
        return found[at % len(found)] if found else None

    def best_at(self, rung: int) -> tuple[list[int], list[int]]:
        """The trials that have a value at a rung, and the best third of them."""
        values = {
            number: trial.curve[max(step for step in trial.curve if step <= rung)]
            for number, trial in self.known.items()
            if trial.state not in ENDED[1:] and trial.step >= rung and any(step <= rung for step in trial.curve)
        }
        order = sorted(values, key=lambda number: (values[number], number))
        return order, order[: len(order) // 3]

    def promoted(self) -> list[int]:
        """The paused trials that go on, in their order."""
        waiting, found = {n for n, t in self.known.items() if t.state == "paused"}, []
        for rung in reversed(RUNGS):
            reached, best = self.best_at(rung)
            found += [number for number in best if number in waiting]
            waiting -= set(reached)
        return found

    # What workers do

    @rule(can_resume=st.booleans())
    def suggest(self, can_resume: bool) -> None:
        self._suggest(can_resume)

    @rule(loss=st.sampled_from([0.0, 1.0, 2.0]), uri=st.sampled_from(["", "a"]), gives_back=st.booleans())
    def train_a_part(self, loss: float, uri: str, gives_back: bool) -> None:
        """A worker that can resume trains as far as it is told to, and pauses where it should."""
        number = self._suggest(can_resume=True)
        trial = self.known[number]
        while trial.until is not None and trial.step < trial.until and not trial.is_asked_to_pause:
            self._report(number, trial.tokens[-1], trial.until, loss, uri)
            if trial.is_asked_to_stop:
                break
        if gives_back:
            self._pause(number, trial.tokens[-1], "c")

    def _suggest(self, can_resume: bool) -> int:
        """Ask for a trial; the number of the one that was given."""
        key, app = self.key("suggest"), self.app
        ask = suggest_trials.SuggestRequest("s", 1, "w", 0.0, can_resume=can_resume)
        (given,) = self.kept(lambda: suggest_trials.suggest_trials(self.app, ask, key)).trials
        queued = sorted(
            n for n, t in self.known.items() if t.state == "queued" and (can_resume or not t.asked_to_pause)
        )
        waiting = [*queued, *(self.promoted() if can_resume else [])]
        if waiting:  # the oldest in the queue first, as it was left, then the paused one that is furthest along
            assert given.number == waiting[0]
        else:
            assert given.number not in self.used
            assert given.parameters not in [t.parameters for t in self.known.values()]
            self.known[given.number] = StudySnapshot(dict(given.parameters))
        trial = self.known[given.number]
        assert (dict(given.parameters), given.checkpoint_uri) == (trial.parameters, trial.checkpoint)
        trial.state, trial.attempt, trial.silent, trial.spared = "running", trial.attempt + 1, 0.0, 0.0
        trial.until = trial.next_stop() if can_resume else None
        assert (given.attempt, given.until_step) == (trial.attempt, trial.until)
        assert given.lease is not None
        assert all(given.lease.token not in t.tokens for t in self.known.values())
        assert (given.lease.expire_time - app.clock.now()).total_seconds() == LEASE
        trial.tokens.append(given.lease.token)
        self.used.add(given.number)
        return given.number

    @rule(
        at=picks,
        holder=picks,
        step=st.sampled_from([0, 1, 2, 3, 4, WHOLE]),
        loss=st.sampled_from([None, 0.0, 1.0, 2.0]),
        uri=st.sampled_from(["", "a", "b"]),
    )
    def report(self, at: int, holder: int, step: int, loss: float | None, uri: str) -> None:
        found = self.pick(at, "queued", "running", "paused", *ENDED)
        if found is None or not found[1].tokens:
            return
        self._report(found[0], found[1].tokens[-1 - holder % len(found[1].tokens)], step, loss, uri)

    def _report(self, number: int, token: str, step: int, loss: float | None, uri: str) -> None:
        trial = self.known[number]
        values = [] if loss is None else [Measurement({"loss": loss}, step)]
        told = trial_lifecycle.report_measurements(self.app, "s", number, token, values, uri)
        holds = trial.state == "running" and token == trial.tokens[-1]
        assert told.lease_valid == holds
        assert told.should_stop == (not holds or trial.is_asked_to_stop)
        if holds:
            trial.silent = trial.spared = 0.0
            trial.checkpoint = uri or trial.checkpoint
            trial.curve.update({m.step: m.metrics["loss"] for m in values})
            if values and not trial.is_asked_to_stop:
                self._judge(number, trial)
            assert told.lease_remaining == timedelta(seconds=LEASE)
        assert told.should_pause == (holds and trial.is_asked_to_pause and not trial.is_asked_to_stop)
        assert told.until_step == (trial.until if holds else None)

    def _judge(self, number: int, trial: StudySnapshot) -> None:
        """At a rung a trial goes on where it is among the best third, else it is asked to pause."""
        if trial.until is None or trial.step < trial.until or trial.is_asked_to_pause:
            return
        rung = max((rung for rung in RUNGS if rung <= trial.step), default=None)
        if rung is None or trial.step >= WHOLE:
            trial.until = WHOLE
            return
        reached, best = self.best_at(rung)
        if number in best:
            trial.until = trial.next_stop()
        elif number in reached:
            trial.asked_to_pause = trial.attempt

    @rule(at=picks, holder=picks, uri=st.sampled_from(["", "c"]))
    def pause(self, at: int, holder: int, uri: str) -> None:
        found = self.pick(at, "queued", "running", "paused", *ENDED)
        if found is None or not found[1].tokens:
            return
        self._pause(found[0], found[1].tokens[-1 - holder % len(found[1].tokens)], uri)

    def _pause(self, number: int, token: str, uri: str) -> None:
        trial, key = self.known[number], self.key("complete")

        def call() -> Any:
            return trial_lifecycle.complete_trial(self.app, "s", number, token, PauseOutcome(uri), key)

        is_last = token == trial.tokens[-1]
        holds = trial.state == "running" and is_last
        if trial.state in ENDED or (holds and not trial.is_asked_to_pause):
            with pytest.raises(WrongState):
                call()
            return
        if holds and not trial.is_asked_to_stop and not uri and not trial.checkpoint:
            with pytest.raises(InvalidArgument):
                call()
            return
        self.kept(call)
        if holds or (trial.state == "paused" and is_last):
            trial.checkpoint = uri or trial.checkpoint
        if holds:
            trial.state = "stopped" if trial.is_asked_to_stop else "paused"
            trial.pauses += 1

    @rule(at=picks, holder=picks, reason=st.sampled_from([None, *FailureReason]))
    def complete(self, at: int, holder: int, reason: FailureReason | None) -> None:
        found = self.pick(at, "queued", "running", "paused", *ENDED)
        if found is None or not found[1].tokens:
            return
        number, trial = found
        token, key = trial.tokens[-1 - holder % len(trial.tokens)], self.key("complete")
        outcome = Measurement({"loss": float(self.calls)}, 5) if reason is None else Failure(reason, "why")

        def call() -> Any:
            return trial_lifecycle.complete_trial(self.app, "s", number, token, outcome, key)

        if trial.state in ENDED:
            with pytest.raises(WrongState):
                call()
            return
        self.kept(call)
        holds = trial.state == "running" and token == trial.tokens[-1]
        if isinstance(outcome, Measurement):
            is_short = trial.is_asked_to_stop or trial.is_asked_to_pause or trial.state == "paused"
            trial.state, trial.result = "stopped" if is_short else "succeeded", outcome.metrics["loss"]
        elif outcome.reason.blames_parameters:
            trial.state = "infeasible"
        elif holds:
            trial.give_back()

    @rule(at=picks)
    def complete_with_a_token_of_nobody(self, at: int) -> None:
        found = self.pick(at, "running", "queued")
        if found is not None:
            with pytest.raises(UnknownLease):
                trial_lifecycle.complete_trial(self.app, "s", found[0], "nobody's", Measurement({"loss": 1.0}), None)

    # What people do

    @rule(x=st.floats(0.0, 1.0))
    def queue(self, x: float) -> None:
        key = self.key("create")
        made = self.kept(lambda: trials.create_trial(self.app, "s", trials.NewTrial({"x": x}, {}), key))
        assert made.number not in self.used
        self.used.add(made.number)
        self.known[made.number] = StudySnapshot({"x": x})

    @rule(at=picks)
    def stop(self, at: int) -> None:
        found = self.pick(at, "queued", "running", "paused")
        if found is not None:
            number, trial = found
            key = self.key("stop")
            self.kept(lambda: trials.stop_trial(self.app, "s", number, "enough", key))
            trial.is_asked_to_stop = True
            trial.state = trial.state if trial.state == "running" else "stopped"

    @rule(at=picks)
    def drop(self, at: int) -> None:
        found = self.pick(at, "queued", "running", "paused", *ENDED)
        if found is None:
            return
        number, trial = found
        key = self.key("drop")
        if trial.state == "running":
            with pytest.raises(WrongState):
                trials.delete_trial(self.app, "s", number, key)
            return
        self.kept(lambda: trials.delete_trial(self.app, "s", number, key))
        del self.known[number]
        with pytest.raises(NotFound):
            trials.get_trial(self.app, "s", number, full=False)

    # What happens

    @rule(ticks=st.integers(1, LEASE // TICK + 2))
    def live(self, ticks: int) -> None:
        """The server goes on for so long, looking after its leases."""
        for _ in range(ticks):
            self.clock.turn(TICK)
            for trial in self.known.values():
                trial.silent += TICK if trial.state == "running" else 0
            extend_leases_after_outage(self.app)
            trial_lifecycle.expire_leases(self.app)
            self._follow_expiries()

    def _follow_expiries(self) -> None:
        """A lease may run out when its holder was silent for its whole length, and must soon after."""
        with self.app.store.read() as records:
            states = {t.number: t.state for t in records.list_trials("s")}
        for number, trial in self.known.items():
            if trial.state != "running":
                continue
            if states[number] is not TrialState.RUNNING:
                assert trial.silent >= LEASE, f"{number} lost its lease after {trial.silent} s"
                trial.give_back()
            assert trial.state != "running" or trial.silent <= LEASE + TICK + trial.spared, (
                f"{number} runs without a worker"
            )

    @rule(seconds=st.sampled_from([0, 1, 2, 4, 60, 3600, 86_400]), jump=st.sampled_from([0, 0, 3600, -3600]))
    def outage(self, seconds: int, jump: int) -> None:
        """The server is killed, and another started; the clock may be set meanwhile."""
        self.app.store.close()  # type: ignore[attr-defined]
        self.clock.turn(seconds + jump)
        self.app = self.opened()
        self._spare(seconds, jump)

    @rule(seconds=st.sampled_from([4, 60, 3600]), jump=st.sampled_from([0, 3600, -3600]), pulse_first=st.booleans())
    def stall(self, seconds: int, jump: int, pulse_first: bool) -> None:
        """The server stands still, or its clock is set."""
        self.clock.turn(seconds + jump)
        acts = [extend_leases_after_outage, trial_lifecycle.expire_leases]
        for act in acts if pulse_first else reversed(acts):
            act(self.app)
        self._spare(seconds, jump)
        self._follow_expiries()

    def _spare(self, seconds: int, jump: int) -> None:
        """A short outage may count or not, with what went before since the last look; a clock that was set looks like
        any outage. Whatever a lease is moved by, it never ends later than a whole one from now."""
        is_short = seconds <= OUTAGE.total_seconds() + 1
        for trial in self.known.values():
            if trial.state == "running":
                trial.silent += seconds if is_short else 0
                trial.spared += LEASE if jump else TICK + (seconds if is_short else 0)

    @precondition(lambda self: self.answers)
    @rule(at=picks)
    def repeat(self, at: int) -> None:
        """A call whose answer was lost is sent again."""
        call, answer = self.answers[at % len(self.answers)]
        assert call() == answer

    # What always holds

    @invariant()
    def everything_is_as_the_rules_have_it(self) -> None:
        with self.app.store.read() as records:
            study = records.get_study("s")
            stored = {t.number: t for t in records.list_trials("s")}
            curves = records.get_measurements("s", list(stored))
            counts = dict(records.count_trials("s"))
        assert set(stored) == set(self.known)
        for number, trial in self.known.items():
            found = stored[number]
            assert (found.state.value, found.attempt) == (trial.state, trial.attempt)
            assert (found.lease is not None) == (trial.state == "running")
            assert found.checkpoint_uri == trial.checkpoint
            assert found.until_step == (trial.until if trial.state == "running" else None)
            assert {m.step: m.metrics["loss"] for m in curves.get(number, ())} == trial.curve
            assert (found.final_measurement.metrics["loss"] if found.final_measurement else None) == trial.result
            assert found.revision <= study.revision
        assert sum(counts.values()) == len(self.known)
        assert study.revision >= self.revision
        self.revision = study.revision


class TestLeases(LeaseMachine.TestCase):
    settings = settings(max_examples=12, stateful_step_count=25, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestLeasesAtLength(LeaseMachine.TestCase):
    settings = settings(max_examples=400, stateful_step_count=60, deadline=None)
