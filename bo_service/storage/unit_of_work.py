"""The unit of work over one SQL connection in one transaction: the statements are the same for every database."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Select,
    String,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import sqlite

from bo_service.application.ports import (
    FAILED_STATES,
    Beat,
    IntermediateValue,
    IssuedLease,
    RequestKey,
    TrialSummary,
    UnitOfWork,
)
from bo_service.domain.access import Token
from bo_service.domain.artifacts import Artifact
from bo_service.domain.failures import EndedTrial
from bo_service.domain.study import Study
from bo_service.domain.trial import Measurement, Trial, TrialState
from bo_service.optimizer.inputs import HyperparametersByDigest
from bo_service.storage import schema
from bo_service.storage.columns import from_text, to_text
from bo_service.storage.statements import CompiledStatement, Insert, insert_new, upsert

T = TypeVar("T")
MAX_DELETED_ANSWERS = 1000
"""Answers that one call of `delete_answers` deletes at most."""
STUDY_FIELDS = [field.name for field in fields(Study)]
TRIAL_FIELDS = [field.name for field in fields(Trial)]
ARTIFACT_FIELDS = [field.name for field in fields(Artifact)]

_STUDIES, _TRIALS, _DELETED = schema.studies, schema.trials, schema.deleted_trials
_MEASUREMENTS, _LEASES, _ANSWERS, _TOKENS = schema.measurements, schema.leases, schema.idempotency_log, schema.tokens
_LEARNED, _ARTIFACTS = schema.surrogate_hyperparameters, schema.artifacts
BEATS = {
    Beat.SERVER: (schema.server_liveness.c.id, schema.server_liveness.c.beat_time),
    Beat.STORAGE: (schema.health_checks.c.check_id, schema.health_checks.c.check_time),
}
"""Key and time of each table that has one row."""
ONLY_ROW = 1

_EVERY_STUDY = select(*(_STUDIES.c[name] for name in STUDY_FIELDS))
STUDY = CompiledStatement(_EVERY_STUDY.where(_STUDIES.c.study_id == bindparam("study")))
_OF_STUDY = _TRIALS.c.study_id == bindparam("study")
_EVERY_TRIAL = select(*(_TRIALS.c[name] for name in TRIAL_FIELDS))
_TRIAL = CompiledStatement(_EVERY_TRIAL.where(_OF_STUDY, _TRIALS.c.number == bindparam("trial")))
_SUMMARY = select(*(_TRIALS.c[field.name] for field in fields(TrialSummary))).where(_OF_STUDY)
_SUMMARIES = CompiledStatement(_SUMMARY.order_by(_TRIALS.c.number))
_CHANGED_SUMMARIES = CompiledStatement(  # in the order of an index, else SQLite looks at all trials
    _SUMMARY.where(_TRIALS.c.revision > bindparam("after")).order_by(_TRIALS.c.revision)
)
_COUNTS = CompiledStatement(select(_TRIALS.c.state, func.count()).where(_OF_STUDY).group_by(_TRIALS.c.state))
_ALL_COUNTS = CompiledStatement(select(_TRIALS.c.state, func.count()).group_by(_TRIALS.c.state))
_LAST_ENDINGS = CompiledStatement(  # by number, so that the index of the primary key is walked from its end
    select(_TRIALS.c.number, _TRIALS.c.state, _TRIALS.c.failure)
    .where(_OF_STUDY, _TRIALS.c.end_time.is_not(None))
    .order_by(_TRIALS.c.number.desc())
    .limit(bindparam("most"))
)
_DELETED_TRIALS = CompiledStatement(
    select(_DELETED.c.number, _DELETED.c.revision)
    .where(_DELETED.c.study_id == bindparam("study"), _DELETED.c.revision > bindparam("after"))
    .order_by(_DELETED.c.revision, _DELETED.c.number)
)
_MEASUREMENT_COUNT = CompiledStatement(
    select(func.count()).where(
        _MEASUREMENTS.c.study_id == bindparam("study"), _MEASUREMENTS.c.number == bindparam("trial")
    )
)
_LEASE = CompiledStatement(
    select(_LEASES.c.study_id, _LEASES.c.number, _LEASES.c.attempt).where(_LEASES.c.token == bindparam("token"))
)
_ANSWER = CompiledStatement(
    select(_ANSWERS.c.method, _ANSWERS.c.digest, _ANSWERS.c.answer).where(_ANSWERS.c.request_id == bindparam("id"))
)
_ADD_ANSWER = CompiledStatement(insert(_ANSWERS), _ANSWERS.c.keys())


@dataclass(frozen=True)
class IdentityMap:
    """Studies and trials as they are stored; what isn't certain has no entry.

    Within one transaction that is what it has read and written. Where a single connection writes everything, as in
    SQLite, it stays true from one transaction to the next, until something is undone.
    """

    studies: dict[str, Study] = field(default_factory=dict)
    trials: dict[tuple[str, int], Trial] = field(default_factory=dict)

    def clear(self) -> None:
        """Note that nothing is certain any more."""
        self.studies.clear()
        self.trials.clear()


class SqlUnitOfWork(UnitOfWork):
    """Everything stored, as one transaction of an SQL database sees it.

    The attributes of the class are SQLite's; another dialect's subclass has its own.
    """

    dialect_insert: Insert = staticmethod(sqlite.insert)
    """The dialect's insert, which knows ON CONFLICT."""
    position: Callable[..., Any] = staticmethod(func.instr)
    """SQL function of a text and a part of it: where the part begins, from 1; 0 where it isn't there."""

    def __init__(self, connection: Connection, stored: IdentityMap | None = None) -> None:
        """Work on a connection.

        Args:
            connection: Connection with a transaction that has begun.
            stored: Studies and trials as they are stored, where transactions before have left them.
        """
        self.connection = connection
        self.on_commit = []
        self.stored = IdentityMap() if stored is None else stored

    def find_study(self, study_id: str) -> Study | None:
        study = self.stored.studies.get(study_id)
        if study is None:
            row = STUDY.fetch_first(self.connection, {"study": study_id})
            if row is not None:
                study = self.stored.studies[study_id] = Study(*row)
        return study

    def list_studies(self, after: str = "", limit: int | None = None) -> list[Study]:
        query = _EVERY_STUDY.where(_STUDIES.c.study_id > after).order_by(_STUDIES.c.study_id).limit(limit)
        return [Study(*row) for row in self.connection.execute(query)]

    def count_studies(self) -> int:
        return int(self.connection.execute(select(func.count()).select_from(_STUDIES)).scalar_one())

    def revisions(self, study_ids: Collection[str]) -> dict[str, int]:
        query = select(_STUDIES.c.study_id, _STUDIES.c.revision).where(_STUDIES.c.study_id.in_(list(study_ids)))
        return {row.study_id: row.revision for row in self.connection.execute(query)}

    def save_study(self, study: Study) -> None:
        before = self.stored.studies.get(study.study_id)
        if before is None:
            self._upsert(_STUDIES, [vars(study)])
        elif changes := _changes(before, study):
            _update_study(tuple(changes)).execute(self.connection, {"study": study.study_id, **changes})
        self.stored.studies[study.study_id] = study

    def delete_study(self, study_id: str) -> None:
        self.connection.execute(delete(_STUDIES).where(_STUDIES.c.study_id == study_id))
        self.stored.clear()  # its trials are gone as well

    def find_trial(self, study_id: str, number: int) -> Trial | None:
        trial = self.stored.trials.get((study_id, number))
        if trial is None:
            row = _TRIAL.fetch_first(self.connection, {"study": study_id, "trial": number})
            if row is not None:
                trial = self.stored.trials[study_id, number] = Trial(*row)
        return trial

    def list_trials(
        self, study_id: str, states: Collection[TrialState] = (), after: int = 0, limit: int | None = None
    ) -> list[Trial]:
        query = _EVERY_TRIAL.where(_TRIALS.c.study_id == study_id, _TRIALS.c.number > after)
        query = query.where(_TRIALS.c.state.in_(list(states))) if states else query
        return self._trials(query.order_by(_TRIALS.c.number).limit(limit))

    def list_changed_trials(self, study_id: str, after_revision: int, limit: int) -> list[Trial]:
        query = _EVERY_TRIAL.where(_TRIALS.c.study_id == study_id, _TRIALS.c.revision > after_revision)
        return self._trials(query.order_by(_TRIALS.c.revision).limit(limit))

    def summarize_trials(self, study_id: str, after_revision: int = -1) -> list[TrialSummary]:
        if after_revision < 0:
            return [TrialSummary(*row) for row in _SUMMARIES.fetch_all(self.connection, {"study": study_id})]
        rows = _CHANGED_SUMMARIES.fetch_all(self.connection, {"study": study_id, "after": after_revision})
        return sorted((TrialSummary(*row) for row in rows), key=lambda trial: trial.number)

    def expired_trials(self, at: datetime, limit: int | None = None) -> list[Trial]:
        query = _EVERY_TRIAL.where(_TRIALS.c.lease_expire_time < at).order_by(_TRIALS.c.lease_expire_time)
        return self._trials(query.limit(limit))

    def count_trials(self, study_id: str | None = None) -> dict[TrialState, int]:
        if study_id is None:
            return dict(_ALL_COUNTS.fetch_all(self.connection))
        return dict(_COUNTS.fetch_all(self.connection, {"study": study_id}))

    def last_endings(self, study_id: str, limit: int) -> list[EndedTrial]:
        rows = _LAST_ENDINGS.fetch_all(self.connection, {"study": study_id, "most": limit})
        return [EndedTrial(number, failure if state in FAILED_STATES else None) for number, state, failure in rows]

    def save_trials(self, *trials: Trial) -> None:
        for trial in trials:
            before = self.stored.trials.get((trial.study_id, trial.number))
            lease_end = trial.lease.expire_time if trial.lease else None
            if before is None:
                row = {**vars(trial), "lease_expire_time": lease_end}
                upsert(self.dialect_insert, _TRIALS, tuple(row)).execute(self.connection, row)
            elif changes := _changes(before, trial):
                if "lease" in changes:
                    changes["lease_expire_time"] = lease_end
                identity = {"study": trial.study_id, "trial": trial.number}
                _update_trial(tuple(changes)).execute(self.connection, {**identity, **changes})
            self.stored.trials[trial.study_id, trial.number] = trial

    def delete_trial(self, study_id: str, number: int, revision: int) -> None:
        self.stored.trials.pop((study_id, number), None)
        self.connection.execute(delete(_TRIALS).where(_TRIALS.c.study_id == study_id, _TRIALS.c.number == number))
        tombstone = {"study_id": study_id, "number": number, "revision": revision}
        self.connection.execute(insert(_DELETED).values(tombstone))

    def deleted_trials(self, study_id: str, after_revision: int = -1, up_to: int | None = None) -> dict[int, int]:
        rows = _DELETED_TRIALS.fetch_all(self.connection, {"study": study_id, "after": after_revision})
        return {number: revision for number, revision in rows if up_to is None or revision <= up_to}

    def get_measurements(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Measurement]]:
        query = select(_MEASUREMENTS).where(
            _MEASUREMENTS.c.study_id == study_id, _MEASUREMENTS.c.number.in_(list(numbers))
        )
        curves: dict[int, list[Measurement]] = {}
        for row in self.connection.execute(query.order_by(_MEASUREMENTS.c.number, _MEASUREMENTS.c.step)):
            measurement = Measurement(row.metrics, row.step, row.elapsed, row.receive_time)
            curves.setdefault(row.number, []).append(measurement)
        return curves

    def values_at(self, study_id: str, metric: str, step: int, after: int = 0) -> list[IntermediateValue]:
        curve = and_(_MEASUREMENTS.c.study_id == study_id, _MEASUREMENTS.c.number == _TRIALS.c.number)
        # numbers that aren't finite are written with another first letter
        text, key = type_coerce(_MEASUREMENTS.c.metrics, String), f"{json.dumps(metric)}:"
        is_finite = [self.position(text, key + begin) == 0 for begin in ("NaN", "Infinity", "-Infinity")]
        newest = select(_MEASUREMENTS.c.metrics).where(
            curve, _MEASUREMENTS.c.step <= step, self.position(text, key) > 0, *is_finite
        )
        metrics_at = newest.order_by(_MEASUREMENTS.c.step.desc()).limit(1).scalar_subquery()  # one seek for each trial
        last_step = select(func.max(_MEASUREMENTS.c.step)).where(curve).scalar_subquery()
        query = select(_TRIALS.c.number, metrics_at, last_step)
        rows = self.connection.execute(query.where(_TRIALS.c.study_id == study_id, _TRIALS.c.number > after))
        return [
            IntermediateValue(number, metrics[metric], last)
            for number, metrics, last in rows
            if metric in (metrics or ())
        ]

    def count_measurements(self, study_id: str, number: int) -> int:
        (count,) = _MEASUREMENT_COUNT.fetch_first(self.connection, {"study": study_id, "trial": number})
        return int(count)

    def save_measurements(self, study_id: str, number: int, measurements: Sequence[Measurement]) -> None:
        self._upsert(_MEASUREMENTS, [{"study_id": study_id, "number": number, **vars(m)} for m in measurements])

    def attempt_of(self, token: str, study_id: str, number: int) -> int | None:
        row: tuple[str, int, int] | None = _LEASE.fetch_first(self.connection, {"token": token})
        return row[2] if row is not None and row[:2] == (study_id, number) else None

    def list_leases(self, study_id: str, numbers: Collection[int]) -> dict[int, list[IssuedLease]]:
        query = select(_LEASES).where(_LEASES.c.study_id == study_id, _LEASES.c.number.in_(list(numbers)))
        leases: dict[int, list[IssuedLease]] = {}
        for row in self.connection.execute(query.order_by(_LEASES.c.number, _LEASES.c.attempt, _LEASES.c.token)):
            leases.setdefault(row.number, []).append(IssuedLease(row.token, row.worker_id, row.attempt))
        return leases

    def save_lease(self, study_id: str, number: int, lease: IssuedLease) -> None:
        row = {**vars(lease), "study_id": study_id, "number": number}
        insert_new(self.dialect_insert, _LEASES).execute(self.connection, row)

    def list_artifacts(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Artifact]]:
        columns = (_ARTIFACTS.c[name] for name in ("number", *ARTIFACT_FIELDS))
        query = select(*columns).where(_ARTIFACTS.c.study_id == study_id, _ARTIFACTS.c.number.in_(list(numbers)))
        artifacts: dict[int, list[Artifact]] = {}
        for number, *row in self.connection.execute(query.order_by(_ARTIFACTS.c.number, _ARTIFACTS.c.artifact_id)):
            artifacts.setdefault(number, []).append(Artifact(*row))
        return artifacts

    def artifact_usage(self, study_id: str) -> tuple[int, int]:
        stored = case((_ARTIFACTS.c.uri == "", _ARTIFACTS.c.size), else_=0)
        query = select(func.count(), func.coalesce(func.sum(stored), 0)).where(_ARTIFACTS.c.study_id == study_id)
        count, size = self.connection.execute(query).one()
        return int(count), int(size)

    def artifact_content(self, study_id: str, number: int, artifact_id: str) -> bytes | None:
        of_trial = and_(_ARTIFACTS.c.study_id == study_id, _ARTIFACTS.c.number == number)
        query = select(_ARTIFACTS.c.content).where(of_trial, _ARTIFACTS.c.artifact_id == artifact_id)
        content: bytes | None = self.connection.execute(query).scalar_one_or_none()
        return content

    def save_artifact(self, study_id: str, number: int, artifact: Artifact, content: bytes | None) -> None:
        self._upsert(_ARTIFACTS, [{"study_id": study_id, "number": number, "content": content, **vars(artifact)}])

    def find_answer(self, key: RequestKey, kind: type[T]) -> T | None:
        row = _ANSWER.fetch_first(self.connection, {"id": key.request_id})
        if row is None:
            return None
        method, digest, text = row
        key.require_same(method, digest)
        hashable_kind: Any = kind
        answer: T = from_text(text, hashable_kind)
        return answer

    def save_answer(self, key: RequestKey, answer: object, at: datetime) -> None:
        row = {**vars(key), "answer": to_text(answer, type(answer)), "create_time": at}
        _ADD_ANSWER.execute(self.connection, row)

    def delete_answers(self, before: datetime) -> bool:
        old = select(_ANSWERS.c.request_id).where(_ANSWERS.c.create_time < before).limit(MAX_DELETED_ANSWERS)
        request_ids = self.connection.execute(old.with_for_update(skip_locked=True)).scalars().all()
        self.connection.execute(delete(_ANSWERS).where(_ANSWERS.c.request_id.in_(request_ids)))
        return len(request_ids) == MAX_DELETED_ANSWERS

    def get_hyperparameters(self, study_id: str) -> HyperparametersByDigest:
        query = select(_LEARNED.c.learned).where(_LEARNED.c.study_id == study_id)
        learned: HyperparametersByDigest | None = self.connection.execute(query).scalar_one_or_none()
        return learned or {}

    def save_hyperparameters(self, study_id: str, learned: HyperparametersByDigest) -> None:
        self._upsert(_LEARNED, [{"study_id": study_id, "learned": learned}])

    def last_beat(self, beat: Beat) -> datetime | None:
        _, time = BEATS[beat]
        moment: datetime | None = self.connection.execute(select(time)).scalar_one_or_none()
        return moment

    def save_beat(self, beat: Beat, at: datetime) -> datetime | None:
        key, time = BEATS[beat]
        before: datetime | None = self.connection.execute(select(time).with_for_update()).scalar_one_or_none()
        self._upsert(key.table, [{key.name: ONLY_ROW, time.name: at}])
        return before

    def list_tokens(self) -> list[Token]:
        query = select(*(_TOKENS.c[field.name] for field in fields(Token)))
        rows = self.connection.execute(query.order_by(_TOKENS.c.create_time, _TOKENS.c.token_id))
        return [Token(**row) for row in rows.mappings()]

    def save_token(self, token: Token) -> None:
        statement = self.dialect_insert(_TOKENS).values(asdict(token))
        replaced = {name: statement.excluded[name] for name in asdict(token)}
        replaced["revoke_time"] = func.coalesce(_TOKENS.c.revoke_time, statement.excluded.revoke_time)
        self.connection.execute(statement.on_conflict_do_update(index_elements=["token_id"], set_=replaced))

    def _trials(self, query: Select[Any]) -> list[Trial]:
        return [Trial(*row) for row in self.connection.execute(query)]

    def _upsert(self, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if len(rows) == 1:
            upsert(self.dialect_insert, table, tuple(rows[0])).execute(self.connection, rows[0])
        elif rows:
            upsert(self.dialect_insert, table, tuple(rows[0])).execute_many(self.connection, rows)


def _changes(before: object, after: object) -> dict[str, Any]:
    """Return the fields of `after` that differ."""
    old = vars(before)
    return {name: value for name, value in vars(after).items() if value is not old[name] and value != old[name]}


@lru_cache
def _update_study(columns: Sequence[str]) -> CompiledStatement:
    return CompiledStatement(update(_STUDIES).where(_STUDIES.c.study_id == bindparam("study")), columns)


@lru_cache
def _update_trial(columns: Sequence[str]) -> CompiledStatement:
    return CompiledStatement(update(_TRIALS).where(_OF_STUDY, _TRIALS.c.number == bindparam("trial")), columns)
