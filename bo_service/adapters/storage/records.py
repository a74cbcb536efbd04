"""The ports' records over one SQL connection in one transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, String, Table, and_, delete, func, insert, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.converter import from_text, to_text
from bo_service.adapters.storage.health import SqlHealth
from bo_service.adapters.storage.tokens import SqlTokens
from bo_service.application.ports import Reached, RequestKey, TrialOutline
from bo_service.core.errors import NotFound, RequestIdReused
from bo_service.core.study import Study
from bo_service.core.trial import Measurement, Trial, TrialState

T = TypeVar("T")
STUDY_FIELDS = [field.name for field in fields(Study)]
TRIAL_FIELDS = [field.name for field in fields(Trial)]


def _put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows, or replaces those with the same primary key."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest), list(rows))


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

    def running(self) -> list[Trial]:
        return self._all(self._query.where(schema.trials.c.lease_expire_time.is_not(None)))

    def counts(self, study_id: str) -> dict[TrialState, int]:
        table = schema.trials
        query = (
            select(table.c.state, func.count().label("trials"))
            .where(table.c.study_id == study_id)
            .group_by(table.c.state)
        )
        return {row.state: row.trials for row in self._connection.execute(query)}

    def totals(self) -> dict[TrialState, int]:
        table = schema.trials
        query = select(table.c.state, func.count().label("trials")).group_by(table.c.state)
        return {row.state: row.trials for row in self._connection.execute(query)}

    def next_number(self, study_id: str) -> int:
        table = schema.studies
        counted = update(table).where(table.c.study_id == study_id).values(last_number=table.c.last_number + 1)
        return int(self._connection.execute(counted.returning(table.c.last_number)).scalar_one())

    def save(self, trial: Trial) -> None:
        expire_time = trial.lease.expire_time if trial.lease else None
        _put(self._connection, schema.trials, [{**_row(trial, TRIAL_FIELDS), "lease_expire_time": expire_time}])

    def delete(self, trial: Trial, revision: int) -> None:
        table = schema.trials
        self._connection.execute(
            delete(table).where(table.c.study_id == trial.study_id, table.c.number == trial.number)
        )
        tombstone = {"study_id": trial.study_id, "number": trial.number, "revision": revision}
        self._connection.execute(insert(schema.deleted_trials).values(tombstone))

    def _all(self, query: Any) -> list[Trial]:
        return [Trial(**row) for row in self._connection.execute(query).mappings()]


class SqlMeasurements:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, study_id: str, numbers: Collection[int]) -> dict[int, list[Measurement]]:
        table = schema.measurements
        query = select(table).where(table.c.study_id == study_id, table.c.number.in_(list(numbers)))
        found: dict[int, list[Measurement]] = {}
        for row in self._connection.execute(query.order_by(table.c.number, table.c.step)):
            measurement = Measurement(row.metrics, row.step, row.elapsed, row.receive_time)
            found.setdefault(row.number, []).append(measurement)
        return found

    def values_at(self, study_id: str, metric: str, step: int) -> list[Reached]:
        table, trials = schema.measurements, schema.trials
        mine = and_(table.c.study_id == study_id, table.c.number == trials.c.number)
        newest = select(table.c.metrics).where(mine, table.c.step <= step, *_has_finite(table.c.metrics, metric))
        found = newest.order_by(table.c.step.desc()).limit(1).scalar_subquery()  # one seek in the index for each trial
        last = select(func.max(table.c.step)).where(mine).scalar_subquery()
        rows = self._connection.execute(select(trials.c.number, found, last).where(trials.c.study_id == study_id))
        return [Reached(number, metrics[metric], end) for number, metrics, end in rows if metric in (metrics or ())]

    def count(self, study_id: str, number: int) -> int:
        table = schema.measurements
        query = select(func.count()).where(table.c.study_id == study_id, table.c.number == number)
        return int(self._connection.execute(query).scalar_one())

    def save(self, study_id: str, number: int, measurements: Sequence[Measurement]) -> None:
        rows = [{"study_id": study_id, "number": number, **vars(m)} for m in measurements]
        if rows:
            _put(self._connection, schema.measurements, rows)


def _has_finite(metrics: ColumnElement[Any], name: str) -> list[ColumnElement[bool]]:
    """Whether a measurement's text holds a finite value of a metric: numbers that aren't begin with another letter."""
    text, key = type_coerce(metrics, String), f'"{name}":'
    wild = [~text.contains(key + begin, autoescape=True) for begin in ("NaN", "Infinity", "-Infinity")]
    return [text.contains(key, autoescape=True), *wild]


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

    def forget_before(self, at: datetime) -> None:
        self._connection.execute(delete(schema.answers).where(schema.answers.c.create_time < at))


class SqlRecords:
    """Everything stored, as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self.studies = SqlStudies(connection)
        self.trials = SqlTrials(connection)
        self.measurements = SqlMeasurements(connection)
        self.leases = SqlLeases(connection)
        self.answers = SqlAnswers(connection)
        self.tokens = SqlTokens(connection)
        self.health = SqlHealth(connection)


def _row(value: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}
