"""The ports' records over one SQL connection in one transaction."""

from collections.abc import Callable, Collection
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.converter import from_text, to_text
from bo_service.adapters.storage.curves import SqlMeasurements
from bo_service.adapters.storage.health import SqlHealth
from bo_service.adapters.storage.lessons import SqlLessons
from bo_service.adapters.storage.prepared import Prepared
from bo_service.adapters.storage.putting import row_of
from bo_service.adapters.storage.stored import Stored
from bo_service.adapters.storage.tokens import SqlTokens
from bo_service.adapters.storage.trials import SqlTrials
from bo_service.application.ports import RequestKey
from bo_service.core.errors import NotFound, RequestIdReused
from bo_service.core.study import Study
from bo_service.core.trial import Trial

T = TypeVar("T")
ADVANCING = ["revision", "last_number", "update_time"]
STUDY_FIELDS = [field.name for field in fields(Study)]
THE_PULSE = 1
FORGOTTEN_AT_ONCE = 1000


_STUDIES = select(*(schema.studies.c[name] for name in STUDY_FIELDS))
_STUDY = Prepared(_STUDIES.where(schema.studies.c.study_id == bindparam("id")))
_UPDATE = update(schema.studies).where(schema.studies.c.study_id == bindparam("id"))
_SAVE_STUDY = Prepared(_UPDATE, STUDY_FIELDS)
_ADVANCE_STUDY = Prepared(_UPDATE, ADVANCING)
_ADD_STUDY = Prepared(insert(schema.studies), STUDY_FIELDS)


class SqlStudies:
    def __init__(self, connection: Connection, stored: Stored) -> None:
        self._connection = connection
        self._stored = stored

    def find(self, study_id: str) -> Study | None:
        known = self._stored.study(study_id)
        return self.ask_for(study_id)() if known is None else known

    def ask_for(self, study_id: str) -> Callable[[], Study | None]:
        """What returns it, and keeps it at hand."""
        answer = _STUDY.ask(self._connection, {"id": study_id})

        def found() -> Study | None:
            studies = [Study(*row) for row in answer()]
            for study in studies:
                self._stored.keep_study(study)
            return studies[0] if studies else None

        return found

    def get(self, study_id: str) -> Study:
        found = self.find(study_id)
        if found is None:
            raise NotFound(f"there is no study studies/{study_id}; create it, or see ListStudies (`bo studies`)")
        return found

    def revisions(self, study_ids: Collection[str]) -> dict[str, int]:
        table = schema.studies
        query = select(table.c.study_id, table.c.revision).where(table.c.study_id.in_(list(study_ids)))
        return {row.study_id: row.revision for row in self._connection.execute(query)}

    def page(self, after: str, limit: int) -> list[Study]:
        table = schema.studies
        query = _STUDIES.where(table.c.study_id > after).order_by(table.c.study_id).limit(limit)
        return [Study(*row) for row in self._connection.execute(query)]

    def total(self) -> int:
        return int(self._connection.execute(select(func.count()).select_from(schema.studies)).scalar_one())

    def add(self, study: Study) -> None:
        _ADD_STUDY.run(self._connection, row_of(study, STUDY_FIELDS))
        self._stored.keep_study(study)

    def save(self, study: Study) -> None:
        _SAVE_STUDY.run(self._connection, {"id": study.study_id, **row_of(study, STUDY_FIELDS)})
        self._stored.keep_study(study)

    def advance(self, study: Study) -> None:
        _ADVANCE_STUDY.run(self._connection, {"id": study.study_id, **row_of(study, ADVANCING)})
        self._stored.keep_study(study)

    def delete(self, study_id: str) -> None:
        self._connection.execute(delete(schema.studies).where(schema.studies.c.study_id == study_id))
        self._stored.clear()  # its trials are gone as well


_ADD_LEASE = Prepared(insert(schema.leases), schema.leases.c.keys())
_HOLDER = select(schema.leases.c.study_id, schema.leases.c.number, schema.leases.c.attempt)
_LEASE = Prepared(_HOLDER.where(schema.leases.c.token == bindparam("id")))


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
        _ADD_LEASE.run(self._connection, row)

    def attempt_of(self, token: str, study_id: str, number: int) -> int | None:
        row: tuple[str, int, int] | None = _LEASE.first(self._connection, {"id": token})
        return row[2] if row is not None and row[:2] == (study_id, number) else None


_ANSWERS = select(schema.answers.c.method, schema.answers.c.digest, schema.answers.c.answer)
_ANSWER = Prepared(_ANSWERS.where(schema.answers.c.request_id == bindparam("id")))
_ADD_ANSWER = Prepared(insert(schema.answers), schema.answers.c.keys())


class SqlAnswers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, key: RequestKey, kind: type[T]) -> T | None:
        row = _ANSWER.first(self._connection, {"id": key.request_id})
        if row is None:
            return None
        method, digest, text = row
        if (method, digest) != (key.method, key.digest):
            raise RequestIdReused(
                f"request_id {key.request_id!r} belongs to another {method} request; choose a new one for each "
                "logical call, and keep it for the retries of that call alone"
            )
        wanted: Any = kind
        answer: T = from_text(text, wanted)
        return answer

    def remember(self, key: RequestKey, answer: object, at: datetime) -> None:
        row = {**vars(key), "answer": to_text(answer, type(answer)), "create_time": at}
        _ADD_ANSWER.run(self._connection, row)

    def forget_before(self, at: datetime) -> bool:
        table = schema.answers
        old = select(table.c.request_id).where(table.c.create_time < at).limit(FORGOTTEN_AT_ONCE)
        found = self._connection.execute(old.with_for_update(skip_locked=True)).scalars().all()
        self._connection.execute(delete(table).where(table.c.request_id.in_(found)))
        return len(found) == FORGOTTEN_AT_ONCE


_PULSE = select(schema.pulse.c.beat_time).where(schema.pulse.c.id == THE_PULSE)
_HELD_PULSE = _PULSE.with_for_update()
_BEAT = update(schema.pulse).where(schema.pulse.c.id == THE_PULSE).values(beat_time=bindparam("at"))


class SqlPulse:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last(self) -> datetime | None:
        moment: datetime | None = self._connection.execute(_PULSE).scalar_one()
        return moment

    def beat(self, at: datetime) -> datetime | None:
        before: datetime | None = self._connection.execute(_HELD_PULSE).scalar_one()
        self._connection.execute(_BEAT, {"at": at})
        return before


class SqlRecords:
    """Everything stored, as one transaction sees it."""

    def __init__(self, connection: Connection, stored: Stored | None = None) -> None:
        """`stored` where it is known what is stored."""
        stored = Stored() if stored is None else stored
        self.connection = connection
        self.acts: list[Callable[[], None]] = []
        """What is to be done once the transaction is durable."""
        self.studies = SqlStudies(connection, stored)
        self.trials = SqlTrials(connection, stored)
        self.measurements = SqlMeasurements(connection)
        self.leases = SqlLeases(connection)
        self.answers = SqlAnswers(connection)
        self.lessons = SqlLessons(connection)
        self.pulse = SqlPulse(connection)
        self.tokens = SqlTokens(connection)
        self.health = SqlHealth(connection)

    def when_committed(self, act: Callable[[], None]) -> None:
        self.acts.append(act)
