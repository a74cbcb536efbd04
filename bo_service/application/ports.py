"""What the use cases need of the world outside: a store, a clock, an optimizer, fresh tokens."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite, nan
from typing import Protocol, TypeVar

from bo_service.application.records import Beat as Beat  # words of a unit of work
from bo_service.application.records import IntermediateValue as IntermediateValue
from bo_service.application.records import IssuedLease as IssuedLease
from bo_service.application.records import RequestKey as RequestKey
from bo_service.application.records import TrialSummary as TrialSummary
from bo_service.domain.access import Token
from bo_service.domain.artifacts import Artifact
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import NotFound
from bo_service.domain.failures import EndedTrial
from bo_service.domain.study import Study
from bo_service.domain.trial import Measurement, Trial, TrialState
from bo_service.optimizer.inputs import (
    HyperparametersByDigest,
    OptimizerInput,
    Predictions,
    Suggestion,
    SuggestionBatch,
)
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest

T = TypeVar("T")
FAILED_STATES = (TrialState.FAILED, TrialState.INFEASIBLE)


class Clock(Protocol):
    """The time that leases are counted in: the machine's, or that of the database which several servers share."""

    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""


@dataclass(eq=False)
class ComputationHandle:
    """The priority of a computation, which may change or be cancelled while the computation waits or runs."""

    is_urgent: bool
    """Whether a call waits for it. Other computations wait for urgent ones, and may be cancelled for them."""
    is_cancelled: bool = False
    """Whether its result is not needed any more."""
    on_change: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called after each change; whoever computes sets it."""

    def raise_priority(self) -> None:
        """Mark the computation as awaited by a call."""
        self.is_urgent = True
        self.on_change()

    def cancel(self) -> None:
        """Ask the computation to end as soon as it can."""
        self.is_cancelled = True
        self.on_change()


class Optimizer(Protocol):
    """Computes suggestions, off the threads that answer calls."""

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        """Return suggestions of the study's algorithm; None if that fails, is stopped, or takes over `timeout` s."""

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        """Return quasi-random points within milliseconds; see `initial_design.quasi_random`."""

    def predict(self, inputs: OptimizerInput, configurations: Sequence[Configuration], timeout: float) -> Predictions:
        """Return the predictions at configurations that need not have been tried.

        Raises:
            NotEnoughData: below two observations.
            DeadlinePassed: not done within `timeout` seconds.
        """

    def predict_slice(self, inputs: OptimizerInput, request: SliceRequest, timeout: float) -> Slice:
        """Return predictions along parameters; see `insight.slices`. Raises what `predict` does."""

    def analyze(self, inputs: OptimizerInput, timeout: float) -> Analysis:
        """Return the importance of parameters and the best that the surrogate expects.

        Raises:
            NotEnoughData: below three observations.
            DeadlinePassed: not done within `timeout` seconds.
        """


class UnitOfWork(Protocol):
    """Everything stored, as one transaction sees it.

    A backend derives from it and writes the abstract methods. The others are made of those; a backend overrides them
    where it has a faster way. `docs/add-a-backend.md` shows how.
    """

    on_commit: list[Callable[[], None]]
    """What is called once the writes of this transaction are durable, and never where that isn't certain.

    A backend begins with an empty list. The calls for one study, as far as this server makes its transactions, come in
    the order of the transactions.
    """

    @abstractmethod
    def find_study(self, study_id: str) -> Study | None:
        """Return the study, or None where there is none."""

    def get_study(self, study_id: str) -> Study:
        """Return the study. Raises NotFound."""
        study = self.find_study(study_id)
        if study is None:
            raise NotFound(f"there is no study studies/{study_id}; list the studies with `bo study list`")
        return study

    @abstractmethod
    def list_studies(self, after: str = "", limit: int | None = None) -> list[Study]:
        """Return the studies whose ids are larger than `after`, in the order of the ids' bytes."""

    def count_studies(self) -> int:
        """Return how many studies there are."""
        return len(self.list_studies())

    def revisions(self, study_ids: Collection[str]) -> Mapping[str, int]:
        """Return the revisions of those studies that exist, by id."""
        return {study.study_id: study.revision for study in map(self.find_study, study_ids) if study is not None}

    @abstractmethod
    def save_study(self, study: Study) -> None:
        """Add the study, or replace what was saved under its id; its trials stay as they are."""

    @abstractmethod
    def delete_study(self, study_id: str) -> None:
        """Delete the study with everything that belongs to it, but for the answers to requests."""

    def lock_studies(self) -> None:
        """Wait until no other transaction changes a study, and keep others from it until this one has ended.

        A store that makes all its writing transactions one at a time has nothing to do.
        """
        return

    def find_trial(self, study_id: str, number: int) -> Trial | None:
        """Return the trial, or None where there is none."""
        return next((t for t in self.list_trials(study_id, after=number - 1, limit=1) if t.number == number), None)

    def get_trial(self, study_id: str, number: int) -> Trial:
        """Return the trial. Raises NotFound."""
        trial = self.find_trial(study_id, number)
        if trial is None:
            where = f"list the trials with `bo trial list {study_id}`"
            raise NotFound(f"there is no trial studies/{study_id}/trials/{number}; {where}")
        return trial

    @abstractmethod
    def list_trials(
        self, study_id: str, states: Collection[TrialState] = (), after: int = 0, limit: int | None = None
    ) -> list[Trial]:
        """Return up to `limit` trials with numbers larger than `after`, in the order of their numbers.

        They are in one of the states, or in any when `states` is empty. A study that doesn't exist has none.
        """

    def list_changed_trials(self, study_id: str, after_revision: int, limit: int) -> list[Trial]:
        """Return up to `limit` trials that were added or changed after a revision, in the order of their revisions."""
        changed = [trial for trial in self.list_trials(study_id) if trial.revision > after_revision]
        return sorted(changed, key=lambda trial: trial.revision)[:limit]

    def summarize_trials(self, study_id: str, after_revision: int = -1) -> list[TrialSummary]:
        """Return summaries of the trials that were changed after a revision, in the order of their numbers."""
        return [TrialSummary.of(trial) for trial in self.list_trials(study_id) if trial.revision > after_revision]

    @abstractmethod
    def expired_trials(self, at: datetime, limit: int | None = None) -> list[Trial]:
        """Return running trials of all studies whose leases end before `at`, those first that end first."""

    def running_trials(self, limit: int | None = None) -> list[Trial]:
        """Return trials of all studies that hold a lease."""
        return self.expired_trials(datetime.max.replace(tzinfo=UTC), limit)

    def count_trials(self, study_id: str | None = None) -> Mapping[TrialState, int]:
        """Return how many trials of a study, or of all studies, are in each state; states without trials may lack."""
        study_ids = [study.study_id for study in self.list_studies()] if study_id is None else [study_id]
        return Counter(trial.state for each in study_ids for trial in self.list_trials(each))

    def last_endings(self, study_id: str, limit: int) -> list[EndedTrial]:
        """Return how up to `limit` trials ended, the largest numbers first."""
        ended = [trial for trial in reversed(self.list_trials(study_id)) if trial.state.is_ended][:limit]
        return [EndedTrial(trial.number, trial.failure if trial.state in FAILED_STATES else None) for trial in ended]

    @abstractmethod
    def save_trials(self, *trials: Trial) -> None:
        """Add the trials, or replace what was saved under their numbers. Their studies exist."""

    @abstractmethod
    def delete_trial(self, study_id: str, number: int, revision: int) -> None:
        """Delete the trial with its measurements, leases and artifacts, and record at which revision."""

    @abstractmethod
    def deleted_trials(self, study_id: str, after_revision: int = -1, up_to: int | None = None) -> dict[int, int]:
        """Return the revisions at which trials were deleted, from above `after_revision` to `up_to`, by number."""

    @abstractmethod
    def get_measurements(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Measurement]]:
        """Return the measurements of these trials in the order of their steps, by trial number.

        A trial without measurements has no entry.
        """

    def values_at(self, study_id: str, metric: str, step: int, after: int = 0) -> list[IntermediateValue]:
        """Return a metric's last finite value at or before a step, of each trial that has one, in no order.

        Only trials with numbers larger than `after` are looked at.
        """
        values = []
        numbers = [trial.number for trial in self.list_trials(study_id, after=after)]
        for number, curve in self.get_measurements(study_id, numbers).items():
            finite = [m.metrics[metric] for m in curve if m.step <= step and isfinite(m.metrics.get(metric, nan))]
            if finite:
                values.append(IntermediateValue(number, finite[-1], curve[-1].step))
        return values

    def count_measurements(self, study_id: str, number: int) -> int:
        """Return how many steps of the trial have a measurement."""
        return sum(map(len, self.get_measurements(study_id, [number]).values()))

    @abstractmethod
    def save_measurements(self, study_id: str, number: int, measurements: Sequence[Measurement]) -> None:
        """Add measurements of a trial that exists; one of a step that has a measurement replaces it."""

    def attempt_of(self, token: str, study_id: str, number: int) -> int | None:
        """Return the attempt that a lease token was given out for; None where it wasn't given out for this trial."""
        leases = self.list_leases(study_id, [number]).get(number, ())
        return next((lease.attempt for lease in leases if lease.token == token), None)

    @abstractmethod
    def list_leases(self, study_id: str, numbers: Collection[int]) -> dict[int, list[IssuedLease]]:
        """Return all leases ever given out for these trials by trial number, in the order of their attempts."""

    @abstractmethod
    def save_lease(self, study_id: str, number: int, lease: IssuedLease) -> None:
        """Record a lease for a trial that exists; a token that belongs to another trial stays with that one."""

    @abstractmethod
    def list_artifacts(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Artifact]]:
        """Return the artifacts of these trials by trial number, in the order of their ids' bytes.

        A trial without artifacts has no entry.
        """

    def artifact_usage(self, study_id: str) -> tuple[int, int]:
        """Return how many artifacts the study has, and how many bytes of them are stored."""
        numbers = [trial.number for trial in self.list_trials(study_id)]
        artifacts = [artifact for each in self.list_artifacts(study_id, numbers).values() for artifact in each]
        return len(artifacts), sum(artifact.stored_bytes for artifact in artifacts)

    @abstractmethod
    def artifact_content(self, study_id: str, number: int, artifact_id: str) -> bytes | None:
        """Return the bytes that were saved of an artifact; None where there are none."""

    @abstractmethod
    def save_artifact(self, study_id: str, number: int, artifact: Artifact, content: bytes | None) -> None:
        """Add an artifact of a trial that exists, or replace what was saved under its id."""

    @abstractmethod
    def find_answer(self, key: RequestKey, kind: type[T]) -> T | None:
        """Return the answer that was saved for a request, or None. Raises RequestIdReused where the id is another's."""

    @abstractmethod
    def save_answer(self, key: RequestKey, answer: object, at: datetime) -> None:
        """Save the answer to a request. Raises TransactionConflict where there is an answer under its id."""

    @abstractmethod
    def delete_answers(self, before: datetime) -> bool:
        """Delete some of the answers that were saved before a moment; return whether there may be more."""

    @abstractmethod
    def get_hyperparameters(self, study_id: str) -> HyperparametersByDigest:
        """Return what was saved for the study, or an empty mapping. It may be lost: it is learned anew then."""

    @abstractmethod
    def save_hyperparameters(self, study_id: str, learned: HyperparametersByDigest) -> None:
        """Replace what was saved for a study that exists. It is no change of the study."""

    @abstractmethod
    def last_beat(self, beat: Beat) -> datetime | None:
        """Return the moment last saved by whichever server; None where none was."""

    @abstractmethod
    def save_beat(self, beat: Beat, at: datetime) -> datetime | None:
        """Save a moment and return the last one. Others who save it wait until this transaction ends."""

    @abstractmethod
    def list_tokens(self) -> list[Token]:
        """Return all bearer tokens, also revoked and expired ones, in the order of their creation."""

    def get_token(self, token_id: str) -> Token:
        """Return the bearer token. Raises NotFound."""
        for token in self.list_tokens():
            if token.token_id == token_id:
                return token
        raise NotFound(f"there is no token tokens/{token_id}; list the tokens with `bo token list`")

    @abstractmethod
    def save_token(self, token: Token) -> None:
        """Add the bearer token, or replace what was saved under its id; a revocation that was saved stays."""


class Store(Protocol):
    """Transactions over one database. All may raise StorageUnavailable, those that write also TransactionConflict."""

    @property
    def clock(self) -> Clock:
        """The time that leases are counted in: the database's where several servers share it."""

    @property
    def is_shared(self) -> bool:
        """Whether other servers may change the studies."""

    @abstractmethod
    def read(self) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction that sees one consistent moment and can't write."""

    @abstractmethod
    def write(self, study_id: str | None = None) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction: all of it is kept or, after an exception, nothing. It is durable once the block ends.

        The transactions of one study are made one at a time, whichever server makes them: each sees what the last one
        left. A transaction without a study changes none, unless it calls `lock_studies`.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back the files, connections and threads."""
