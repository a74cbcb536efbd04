"""The ports' records over one SQL connection in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.converter import from_text, to_text
from bo_service.adapters.storage.curves import SqlMeasurements
from bo_service.adapters.storage.health import SqlHealth
from bo_service.adapters.storage.locks import hold_every_study
from bo_service.adapters.storage.putting import put
from bo_service.adapters.storage.tokens import SqlTokens
from bo_service.application.ports import RequestKey, TrialOutline
from bo_service.core.errors import NotFound, RequestIdReused
from bo_service.core.study import Study
from bo_service.core.trial import Trial, TrialState

T = TypeVar("T")
STUDY_FIELDS = [field.name for field in fields(Study)]
TRIAL_FIELDS = [field.name for field in fields(Trial)]
THE_PULSE = 1
FORGOTTEN_AT_ONCE = 1000


class SqlStudies:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._columns = [schema.studies.c[name] for name in STUDY_FIELDS]

    def find(self, study_id: str) -> Study | None:
        query = select(*self._columns).where(schema.studies.c.study_id == study_id)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Study(**row)

    def get(self, study_id: str) -> Study:
        found = self.find(study_id)
        if found is None:
            raise NotFound(f"there is no study studies/{study_id}; create it, or see ListStudies for those there are")
        return found

    def revisions(self, study_ids: Collection[str]) -> dict[str, int]:
        table = schema.studies
        query = select(table.c.study_id, table.c.revision).where(table.c.study_id.in_(list(study_ids)))
        return {row.study_id: row.revision for row in self._connection.execute(query)}

    def page(self, after: str, limit: int) -> list[Study]:
        table = schema.studies
        query = select(*self._columns).where(table.c.study_id > after).order_by(table.c.study_id).limit(limit)
        return [Study(**row) for row in self._connection.execute(query).mappings()]

    def total(self) -> int:
        return int(self._connection.execute(select(func.count()).select_from(schema.studies)).scalar_one())

    def add(self, study: Study) -> None:
        self._connection.execute(insert(schema.studies).values(_row(study, STUDY_FIELDS)))

    def save(self, study: Study) -> None:
        table = schema.studies
        self._connection.execute(
            update(table).where(table.c.study_id == study.study_id).values(_row(study, STUDY_FIELDS))
        )

    def delete(self, study_id: str) -> None:
        self._connection.execute(delete(schema.studies).where(schema.studies.c.study_id == study_id))


class SqlTrials:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._query = select(*(schema.trials.c[name] for name in TRIAL_FIELDS))

    def get(self, study_id: str, number: int) -> Trial:
        table = schema.trials
        query = self._query.where(table.c.study_id == study_id, table.c.number == number)
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no trial studies/{study_id}/trials/{number}; see ListTrials for those there are")
        return Trial(**row)

    def select(
        self, study_id: str, states: Collection[TrialState] = (), after: int = 0, limit: int | None = None
    ) -> list[Trial]:
        table = schema.trials
        query = self._query.where(table.c.study_id == study_id, table.c.number > after)
        if states:
            query = query.where(table.c.state.in_(list(states)))
        return self._all(query.order_by(table.c.number).limit(limit))

    def outlines(self, study_id: str) -> list[TrialOutline]:
        table = schema.trials
        query = select(*(table.c[field.name] for field in fields(TrialOutline))).where(table.c.study_id == study_id)
        return [TrialOutline(*row) for row in self._connection.execute(query.order_by(table.c.number))]

    def changed(self, study_id: str, after_revision: int, limit: int) -> list[Trial]:
        table = schema.trials
        query = self._query.where(table.c.study_id == study_id, table.c.revision > after_revision)
        return self._all(query.order_by(table.c.revision).limit(limit))

    def deleted(self, study_id: str, after_revision: int, up_to: int) -> list[int]:
        table = schema.deleted_trials
        query = select(table.c.number).where(
            table.c.study_id == study_id, table.c.revision > after_revision, table.c.revision <= up_to
        )
        return list(self._connection.execute(query.order_by(table.c.revision)).scalars())

    def expired(self, at: datetime, limit: int) -> list[Trial]:
        table = schema.trials
        return self._all(
            self._query.where(table.c.lease_expire_time < at).order_by(table.c.lease_expire_time).limit(limit)
        )

    def is_any_running(self) -> bool:
        query = select(schema.trials.c.number).where(schema.trials.c.lease_expire_time.is_not(None)).limit(1)
        return self._connection.execute(query).first() is not None

    def hold_running(self) -> list[Trial]:
        hold_every_study(self._connection)
        return self._all(self._query.where(schema.trials.c.lease_expire_time.is_not(None)))

    def counts(self, study_id: str) -> dict[TrialState, int]:
        table = schema.trials
        query = (
            select(table.c.state, func.count().label("trials"))
            .where(table.c.study_id == study_id)
            .group_by(table.c.state)
        )
        return {row.state: row.trials for row in self._connection.execute(query)}

    def last_number(self, study_id: str) -> int:
        table = schema.studies
        return int(
            self._connection.execute(select(table.c.last_number).where(table.c.study_id == study_id)).scalar_one()
        )

    def totals(self) -> dict[TrialState, int]:
        table = schema.trials
        query = select(table.c.state, func.count().label("trials")).group_by(table.c.state)
        return {row.state: row.trials for row in self._connection.execute(query)}

    def next_number(self, study_id: str) -> int:
        table = schema.studies
        counted = update(table).where(table.c.study_id == study_id).values(last_number=table.c.last_number + 1)
        return int(self._connection.execute(counted.returning(table.c.last_number)).scalar_one())

    def save(self, *trials: Trial) -> None:
        put(self._connection, schema.trials, [_trial_row(trial) for trial in trials])

    def delete(self, trial: Trial, revision: int) -> None:
        table = schema.trials
        self._connection.execute(
            delete(table).where(table.c.study_id == trial.study_id, table.c.number == trial.number)
        )
        tombstone = {"study_id": trial.study_id, "number": trial.number, "revision": revision}
        self._connection.execute(insert(schema.deleted_trials).values(tombstone))

    def _all(self, query: Any) -> list[Trial]:
        return [Trial(**row) for row in self._connection.execute(query).mappings()]


class SqlLeases:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, trial: Trial) -> None:
        assert trial.lease is not None
        row = {
            "token": trial.lease.token,
            "study_id": trial.study_id,
            "number": trial.number,
            "worker_id": trial.lease.worker_id,
            "attempt": trial.attempt,
        }
        self._connection.execute(insert(schema.leases).values(row))

    def was_given(self, token: str, study_id: str, number: int) -> bool:
        table = schema.leases
        query = select(table.c.token).where(
            and_(table.c.token == token, table.c.study_id == study_id, table.c.number == number)
        )
        return self._connection.execute(query).first() is not None


class SqlAnswers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, key: RequestKey, kind: type[T]) -> T | None:
        table = schema.answers
        row = self._connection.execute(select(table).where(table.c.request_id == key.request_id)).one_or_none()
        if row is None:
            return None
        if (row.method, row.digest) != (key.method, key.digest):
            raise RequestIdReused(
                f"request_id {key.request_id!r} belongs to another {row.method} request; choose a new one for each "
                "logical call, and keep it for the retries of that call alone"
            )
        wanted: Any = kind
        answer: T = from_text(row.answer, wanted)
        return answer

    def remember(self, key: RequestKey, answer: object, at: datetime) -> None:
        row = {**vars(key), "answer": to_text(answer, type(answer)), "create_time": at}
        self._connection.execute(insert(schema.answers).values(row))

    def forget_before(self, at: datetime) -> bool:
        table = schema.answers
        old = select(table.c.request_id).where(table.c.create_time < at).limit(FORGOTTEN_AT_ONCE)
        found = self._connection.execute(old.with_for_update(skip_locked=True)).scalars().all()
        self._connection.execute(delete(table).where(table.c.request_id.in_(found)))
        return len(found) == FORGOTTEN_AT_ONCE


class SqlPulse:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._query = select(schema.pulse.c.beat_time).where(schema.pulse.c.id == THE_PULSE)

    def last(self) -> datetime | None:
        moment: datetime | None = self._connection.execute(self._query).scalar_one()
        return moment

    def beat(self, at: datetime) -> datetime | None:
        before: datetime | None = self._connection.execute(self._query.with_for_update()).scalar_one()
        self._connection.execute(update(schema.pulse).where(schema.pulse.c.id == THE_PULSE).values(beat_time=at))
        return before


class SqlRecords:
    """Everything stored, as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.studies = SqlStudies(connection)
        self.trials = SqlTrials(connection)
        self.measurements = SqlMeasurements(connection)
        self.leases = SqlLeases(connection)
        self.answers = SqlAnswers(connection)
        self.pulse = SqlPulse(connection)
        self.tokens = SqlTokens(connection)
        self.health = SqlHealth(connection)


def _trial_row(trial: Trial) -> dict[str, Any]:
    return {**_row(trial, TRIAL_FIELDS), "lease_expire_time": trial.lease.expire_time if trial.lease else None}


def _row(value: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}
