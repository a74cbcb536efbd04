"""A store in this process's memory, for tests and trials of the service: nothing is kept when it is closed.

Dictionaries rather than SQLite's own `:memory:`: a database there has no write-ahead log, so a reader would block the
writer, against the contract of `Store`.

The state is a dictionary of tables, one of each kind for each study. A transaction that writes works on a copy of the
outer dictionary and copies each table before its first change, so readers see the moment at which they began.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from bo_service.application.ports import Beat, IssuedLease, RequestKey, UnitOfWork
from bo_service.application.waiting import FairLock, within
from bo_service.domain.access import Token
from bo_service.domain.artifacts import Artifact
from bo_service.domain.errors import StartupError, StorageUnavailable, TransactionConflict
from bo_service.domain.study import Study
from bo_service.domain.trial import Measurement, Trial, TrialState
from bo_service.optimizer.inputs import HyperparametersByDigest
from bo_service.storage.backend import Backend
from bo_service.storage.sqlite import SystemClock
from bo_service.storage.statements import no_turn

T = TypeVar("T")
Tables = dict[tuple[str, str], dict[Any, Any]]
"""Tables by their kind and their study, "" for those that belong to none."""
WAIT_TIMEOUT_S = 60.0
"""For the transactions before, where no call waits."""
MAX_DELETED_ANSWERS = 1000


class MemoryUnitOfWork(UnitOfWork):
    """Everything stored, as one transaction sees it."""

    def __init__(self, tables: Tables, is_writable: bool) -> None:
        self.tables = tables
        self.on_commit = []
        self._is_writable = is_writable
        self._copied: set[tuple[str, str]] = set()

    def find_study(self, study_id: str) -> Study | None:
        study: Study | None = self._table("studies").get(study_id)
        return study

    def list_studies(self, after: str = "", limit: int | None = None) -> list[Study]:
        studies = self._table("studies")
        return [studies[study_id] for study_id in sorted(studies) if study_id > after][:limit]

    def save_study(self, study: Study) -> None:
        self._changed("studies")[study.study_id] = study

    def delete_study(self, study_id: str) -> None:
        self._changed("studies").pop(study_id, None)
        for kind, owner in list(self.tables):
            if owner == study_id:
                del self.tables[kind, owner]
        tokens = self._changed("lease owners")
        for token in [token for token, (owner, _) in tokens.items() if owner == study_id]:
            del tokens[token]

    def find_trial(self, study_id: str, number: int) -> Trial | None:
        trial: Trial | None = self._table("trials", study_id).get(number)
        return trial

    def list_trials(
        self, study_id: str, states: Collection[TrialState] = (), after: int = 0, limit: int | None = None
    ) -> list[Trial]:
        trials = self._table("trials", study_id)
        numbers = sorted(number for number in trials if number > after)
        return [trials[number] for number in numbers if not states or trials[number].state in states][:limit]

    def expired_trials(self, at: datetime, limit: int | None = None) -> list[Trial]:
        ends = {
            (trial.lease.expire_time, study_id, trial.number): trial
            for study_id in self._table("studies")
            for trial in self._table("trials", study_id).values()
            if trial.lease is not None and trial.lease.expire_time < at
        }
        return [ends[key] for key in sorted(ends)][:limit]

    def save_trials(self, *trials: Trial) -> None:
        for trial in trials:
            self._changed("trials", trial.study_id)[trial.number] = trial

    def delete_trial(self, study_id: str, number: int, revision: int) -> None:
        for kind in ("trials", "measurements"):
            self._changed(kind, study_id).pop(number, None)
        for lease in self._changed("leases", study_id).pop(number, ()):
            del self._changed("lease owners")[lease.token]
        for artifact_id in self._table("artifacts", study_id).get(number, ()):
            self._changed("artifact contents", study_id).pop((number, artifact_id), None)
        self._changed("artifacts", study_id).pop(number, None)
        self._changed("deleted", study_id)[number] = revision

    def deleted_trials(self, study_id: str, after_revision: int = -1, up_to: int | None = None) -> dict[int, int]:
        deleted = sorted((revision, number) for number, revision in self._table("deleted", study_id).items())
        return {n: r for r, n in deleted if r > after_revision and (up_to is None or r <= up_to)}

    def get_measurements(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Measurement]]:
        curves = self._table("measurements", study_id)
        return {number: list(curves[number]) for number in sorted(numbers) if number in curves}

    def save_measurements(self, study_id: str, number: int, measurements: Sequence[Measurement]) -> None:
        curves = self._changed("measurements", study_id)
        by_step = {m.step: m for m in (*curves.get(number, ()), *measurements)}
        if by_step:
            curves[number] = tuple(by_step[step] for step in sorted(by_step))

    def list_leases(self, study_id: str, numbers: Collection[int]) -> dict[int, list[IssuedLease]]:
        leases = self._table("leases", study_id)
        return {number: list(leases[number]) for number in sorted(numbers) if number in leases}

    def save_lease(self, study_id: str, number: int, lease: IssuedLease) -> None:
        if self._changed("lease owners").setdefault(lease.token, (study_id, number)) != (study_id, number):
            return
        leases = self._changed("leases", study_id)
        others = [other for other in leases.get(number, ()) if other.token != lease.token]
        leases[number] = tuple(sorted([*others, lease], key=lambda lease: (lease.attempt, lease.token)))

    def list_artifacts(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Artifact]]:
        stored = self._table("artifacts", study_id)
        return {n: [stored[n][name] for name in sorted(stored[n])] for n in sorted(numbers) if n in stored}

    def artifact_content(self, study_id: str, number: int, artifact_id: str) -> bytes | None:
        content: bytes | None = self._table("artifact contents", study_id).get((number, artifact_id))
        return content

    def save_artifact(self, study_id: str, number: int, artifact: Artifact, content: bytes | None) -> None:
        artifacts = self._changed("artifacts", study_id)
        artifacts[number] = {**artifacts.get(number, {}), artifact.artifact_id: artifact}
        self._changed("artifact contents", study_id)[number, artifact.artifact_id] = content

    def find_answer(self, key: RequestKey, kind: type[T]) -> T | None:  # noqa: ARG002
        answered = self._table("answers").get(key.request_id)
        if answered is None:
            return None
        earlier, answer, _ = answered
        key.require_same(earlier.method, earlier.digest)
        result: T = answer
        return result

    def save_answer(self, key: RequestKey, answer: object, at: datetime) -> None:
        answers = self._changed("answers")
        if key.request_id in answers:
            raise TransactionConflict("the request_id has an answer; nothing was changed")
        answers[key.request_id] = (key, answer, at)

    def delete_answers(self, before: datetime) -> bool:
        answers = self._changed("answers")
        old = [request_id for request_id, (_, _, at) in answers.items() if at < before][:MAX_DELETED_ANSWERS]
        for request_id in old:
            del answers[request_id]
        return len(old) == MAX_DELETED_ANSWERS

    def get_hyperparameters(self, study_id: str) -> HyperparametersByDigest:
        learned: HyperparametersByDigest = self._table("hyperparameters", study_id)
        return learned

    def save_hyperparameters(self, study_id: str, learned: HyperparametersByDigest) -> None:
        table = self._changed("hyperparameters", study_id)
        table.clear()
        table.update(learned)

    def last_beat(self, beat: Beat) -> datetime | None:
        moment: datetime | None = self._table("liveness").get(beat)
        return moment

    def save_beat(self, beat: Beat, at: datetime) -> datetime | None:
        before = self.last_beat(beat)
        self._changed("liveness")[beat] = at
        return before

    def list_tokens(self) -> list[Token]:
        return sorted(self._table("tokens").values(), key=lambda token: (token.create_time, token.token_id))

    def save_token(self, token: Token) -> None:
        tokens = self._changed("tokens")
        before = tokens.get(token.token_id, token)
        tokens[token.token_id] = replace(token, revoke_time=before.revoke_time or token.revoke_time)

    def _table(self, kind: str, study_id: str = "") -> Mapping[Any, Any]:
        return self.tables.get((kind, study_id), {})

    def _changed(self, kind: str, study_id: str = "") -> dict[Any, Any]:
        """Return the table as it may be changed: this transaction's own copy."""
        if not self._is_writable:
            raise StorageUnavailable("attempt to write in a read-only transaction; nothing was changed")
        if (kind, study_id) not in self._copied or (kind, study_id) not in self.tables:
            self.tables[kind, study_id] = dict(self._table(kind, study_id))
            self._copied.add((kind, study_id))
        return self.tables[kind, study_id]


class MemoryStore:
    """The store in this process's memory."""

    is_shared = False

    def __init__(self, tables: Tables | None = None) -> None:
        """Begin with these tables, or without any."""
        self.clock = SystemClock()
        self.tables: Tables = tables or {}
        """What is committed. Nobody changes them: each commit brings others."""
        self._lock = FairLock()

    @contextmanager
    def read(self) -> Iterator[MemoryUnitOfWork]:
        """Open a transaction that reads."""
        yield MemoryUnitOfWork(self.tables, is_writable=False)

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[MemoryUnitOfWork]:
        """Open a transaction that writes; all of them are made one at a time."""
        if not self._lock.acquire(study_id or "", within(WAIT_TIMEOUT_S)):
            raise no_turn("other transactions are being written")
        try:
            work = MemoryUnitOfWork(dict(self.tables), is_writable=True)
            yield work
            self.commit(work.tables)
            for act in work.on_commit:
                act()
        finally:
            self._lock.release()

    def commit(self, tables: Tables) -> None:
        """Make these tables what later transactions see."""
        self.tables = tables

    def close(self) -> None:
        """Do nothing: what was stored goes with the object."""


class MemoryBackend(Backend):
    """The address `memory:`, a new and empty store at each opening."""

    def open(self, address: str) -> MemoryStore:
        if address != "memory:":
            raise StartupError("--storage: give memory: alone; everything is then in memory, and lost at the end")
        return MemoryStore()
