"""What the use cases need of the world outside: a store, a clock, an optimizer, fresh tokens."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from bo_service.core.access import Token
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Learned, Predictions, Suggested, Suggestion
from bo_service.core.failures import Ending
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest
from bo_service.core.study import Study
from bo_service.core.trial import Measurement, StopRequest, Trial, TrialState

T = TypeVar("T")


class Clock(Protocol):
    """The time that leases are counted in: the machine's, or that of the database which several servers share."""

    def now(self) -> datetime:
        """In UTC, with its zone."""


class Errand:
    """A computation's place among others. Whoever computes listens: the place may change while it waits or runs."""

    def __init__(self, is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        """Somebody waits for it. What isn't urgent waits for what is, and may be stopped for it."""
        self.is_stopped = False
        """Its result is of no use any more."""
        self._hear: Callable[[], None] = lambda: None

    def listen(self, hear: Callable[[], None]) -> None:
        """`hear` is called after each change from now on, instead of who listened before."""
        self._hear = hear

    def urge(self) -> None:
        """Somebody waits for it now."""
        self.is_urgent = True
        self._hear()

    def stop(self) -> None:
        """It should end as soon as it can."""
        self.is_stopped = True
        self._hear()


class Optimizer(Protocol):
    """Computes suggestions, off the threads that answer calls."""

    def suggest(self, evidence: Evidence, count: int, patience: float, errand: Errand) -> Suggested | None:
        """As `core.suggest.suggest_with`; None where it isn't done within `patience` seconds, fails, or is stopped."""

    def suggest_blind(self, evidence: Evidence, count: int) -> list[Suggestion]:
        """As `core.blind.quasi_random`: within milliseconds."""

    def predict(self, evidence: Evidence, configurations: Sequence[Configuration], patience: float) -> Predictions:
        """As `core.suggest.predict`.

        Raises:
            NotEnoughData: below two observations.
            DeadlinePassed: not done within `patience` seconds.
        """

    def predict_slice(self, evidence: Evidence, request: SliceRequest, patience: float) -> Slice:
        """As `core.insight.slices.predict_slice`. Raises what `predict` does."""

    def analyze(self, evidence: Evidence, patience: float) -> Analysis:
        """As `core.insight.analysis.analyze`.

        Raises:
            NotEnoughData: below three observations.
            DeadlinePassed: not done within `patience` seconds.
        """


@dataclass(frozen=True)
class RequestKey:
    """What makes a call safe to repeat: the caller's id for it, and what was asked."""

    request_id: str
    method: str
    digest: str
    """Of the whole request."""


@dataclass(frozen=True, slots=True)
class TrialOutline:
    """What the optimizer needs of a trial: there may be thousands."""

    number: int
    state: TrialState
    parameters: Configuration
    final_measurement: Measurement | None
    stop_request: StopRequest | None
    start_time: datetime | None = None
    end_time: datetime | None = None

    @property
    def is_running(self) -> bool:
        return self.state is TrialState.RUNNING

    @classmethod
    def of(cls, trial: Trial) -> "TrialOutline":
        """That of a trial."""
        ended = trial.final_measurement, trial.stop_request, trial.start_time, trial.end_time
        return cls(trial.number, trial.state, trial.parameters, *ended)

    @property
    def seconds(self) -> float | None:
        """How long it took: as measured by its worker, else from start to end; None where that is nothing."""
        elapsed = self.final_measurement.elapsed if self.final_measurement else None
        if elapsed is None and self.start_time and self.end_time:
            elapsed = self.end_time - self.start_time
        return elapsed.total_seconds() or None if elapsed else None


@dataclass(frozen=True)
class Reached:
    """How a trial did up to some step, by one metric."""

    number: int
    value: float
    """The last finite value at or before the step."""
    last_step: int
    """The largest step that the trial has measured, be it beyond."""


class Studies(Protocol):
    """The studies, as one transaction sees them."""

    def find(self, study_id: str) -> Study | None: ...

    def get(self, study_id: str) -> Study:
        """Raises NotFound."""

    def revisions(self, study_ids: Collection[str]) -> Mapping[str, int]:
        """Of those that exist, by id."""

    def page(self, after: str, limit: int) -> list[Study]:
        """In the order of their ids, those after `after`."""

    def total(self) -> int:
        """How many there are."""

    def add(self, study: Study) -> None: ...

    def save(self, study: Study) -> None: ...

    def advance(self, study: Study) -> None:
        """Saves its revision, last number and time of change alone: the rest is as it was."""

    def delete(self, study_id: str) -> None:
        """With everything that belongs to it."""


class Trials(Protocol):
    """The trials, as one transaction sees them."""

    def get(self, study_id: str, number: int) -> Trial:
        """Raises NotFound."""

    def select(
        self, study_id: str, states: Collection[TrialState] = (), after: int = 0, limit: int | None = None
    ) -> list[Trial]:
        """In the order of their numbers, those after `after` in one of the states; in any when there are none."""

    def outlines(self, study_id: str) -> list[TrialOutline]:
        """Of all trials, in the order of their numbers."""

    def changed_outlines(self, study_id: str, after_revision: int) -> list[TrialOutline]:
        """Of those that were added or changed after a revision, in the order of their numbers."""

    def changed(self, study_id: str, after_revision: int, limit: int) -> list[Trial]:
        """In the order of their last changes."""

    def deleted(self, study_id: str, after_revision: int, up_to: int) -> list[int]:
        """Numbers of those deleted between two revisions, the second included."""

    def expired(self, at: datetime, limit: int) -> list[Trial]:
        """Running trials whose lease ran out before `at`."""

    def is_any_running(self) -> bool:
        """In any study."""

    def hold_running(self) -> list[Trial]:
        """Those of all studies; until this transaction ends, no other changes a study."""

    def counts(self, study_id: str) -> Mapping[TrialState, int]:
        """How many there are in each state; states without trials may be absent."""

    def last_endings(self, study_id: str, limit: int) -> list[Ending]:
        """Return the ended trials with the largest numbers, the largest first."""

    def totals(self) -> Mapping[TrialState, int]:
        """As `counts`, of all studies together."""

    def save(self, *trials: Trial) -> None:
        """Adds them, or replaces what was saved under their numbers."""

    def delete(self, trial: Trial, revision: int) -> None: ...


class Measurements(Protocol):
    """The learning curves, as one transaction sees them."""

    def of(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Measurement]]:
        """By trial number, in the order of steps."""

    def values_at(self, study_id: str, metric: str, step: int, after: int = 0) -> list[Reached]:
        """One for each trial with a larger number than `after` that has a finite value of the metric at or before the
        step, in no order."""

    def count(self, study_id: str, number: int) -> int: ...

    def save(self, study_id: str, number: int, measurements: Sequence[Measurement]) -> None:
        """A step that was saved before is replaced."""


class Leases(Protocol):
    """Every lease token ever given out."""

    def add(self, trial: Trial) -> None:
        """That of a trial that was just started."""

    def attempt_of(self, token: str, study_id: str, number: int) -> int | None:
        """Return which attempt at the trial the token was given out for; None where it wasn't given out for it."""


class Answers(Protocol):
    """The answers to calls that carried a request id."""

    def find(self, key: RequestKey, kind: type[T]) -> T | None:
        """Raises RequestIdReused where the id belongs to another request."""

    def remember(self, key: RequestKey, answer: object, at: datetime) -> None: ...

    def forget_before(self, at: datetime) -> bool:
        """Some of those that are older; whether there may be more."""


class Lessons(Protocol):
    """What surrogates have learned of studies: it can be learned anew, and makes no change of a study."""

    def of(self, study_id: str) -> Learned:
        """Nothing, where nothing was saved."""

    def save(self, study_id: str, learned: Learned) -> None:
        """In place of what was saved before; of a study that exists."""


class Pulse(Protocol):
    """When a server was last alive: one moment, which all servers over a database share."""

    def last(self) -> datetime | None:
        """None where none has ever said so."""

    def beat(self, at: datetime) -> datetime | None:
        """Says so; what `last` was. Others who beat wait until this transaction ends."""


class Tokens(Protocol):
    """The bearer tokens, as one transaction sees them."""

    def all(self) -> list[Token]:
        """Those revoked and expired too, in the order of their creation."""

    def get(self, token_id: str) -> Token:
        """Raises NotFound."""

    def add(self, token: Token) -> None: ...

    def save(self, token: Token) -> None: ...

    def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """When tokens were last used, by id."""


class Health(Protocol):
    """Whether the database takes writes."""

    def beat(self, at: datetime) -> None:
        """Writes the moment."""

    def last_beat(self) -> datetime | None:
        """The moment last written, by whichever server."""


class Records(Protocol):
    """Everything stored, as one transaction sees it."""

    @property
    def studies(self) -> Studies: ...
    @property
    def trials(self) -> Trials: ...
    @property
    def measurements(self) -> Measurements: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def answers(self) -> Answers: ...
    @property
    def lessons(self) -> Lessons: ...
    @property
    def pulse(self) -> Pulse: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def health(self) -> Health: ...

    def when_committed(self, act: Callable[[], None]) -> None:
        """`act` is called once what this transaction writes is durable, and never where that isn't known.

        Of one study's transactions, as far as this server makes them, it is called in their order.
        """


class Store(Protocol):
    """Transactions. Every call may raise StorageUnavailable, and those that write may raise TransactionLost."""

    def read(self) -> AbstractContextManager[Records]:
        """One consistent moment."""

    def write(self, study_id: str | None = None) -> AbstractContextManager[Records]:
        """All of it or, after an exception, nothing. Durable once the block has been left.

        Those of one study are made one at a time, whichever server makes them: each sees what the last one left. One
        that names no study changes none, unless it holds them all.
        """
