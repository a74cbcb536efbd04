"""Trials over one SQL connection."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.locks import hold_every_study
from bo_service.adapters.storage.prepared import NOTHING, Prepared
from bo_service.adapters.storage.putting import put, row_of
from bo_service.adapters.storage.stored import Stored
from bo_service.application.ports import TrialOutline
from bo_service.core.errors import NotFound
from bo_service.core.failures import Ending
from bo_service.core.trial import Trial, TrialState

FAILED = (TrialState.FAILED, TrialState.INFEASIBLE)
TRIAL_FIELDS = [field.name for field in fields(Trial)]

_TABLE, _DELETIONS = schema.trials, schema.deleted_trials
_MINE = _TABLE.c.study_id == bindparam("study")
_TRIALS = select(*(_TABLE.c[name] for name in TRIAL_FIELDS))
_TRIAL = Prepared(_TRIALS.where(_MINE, _TABLE.c.number == bindparam("trial")))
_PAGE = _TRIALS.where(_MINE, _TABLE.c.number > bindparam("after")).order_by(_TABLE.c.number)
_OUTLINE = select(*(_TABLE.c[field.name] for field in fields(TrialOutline))).where(_MINE)
_OUTLINES = Prepared(_OUTLINE.order_by(_TABLE.c.number))
_CHANGED_OUTLINES = Prepared(  # in the order of an index, else SQLite looks at all trials
    _OUTLINE.where(_TABLE.c.revision > bindparam("after")).order_by(_TABLE.c.revision)
)
_COUNTS = Prepared(select(_TABLE.c.state, func.count()).where(_MINE).group_by(_TABLE.c.state))
_LAST_ENDINGS = Prepared(  # by number, so that the index of the primary key is walked from its end
    select(_TABLE.c.number, _TABLE.c.state, _TABLE.c.failure)
    .where(_MINE, _TABLE.c.end_time.is_not(None))
    .order_by(_TABLE.c.number.desc())
    .limit(bindparam("most"))
)
_ANY_RUNNING = select(_TABLE.c.number).where(_TABLE.c.lease_expire_time.is_not(None)).limit(1)
_DELETED = Prepared(
    select(_DELETIONS.c.number)
    .where(
        _DELETIONS.c.study_id == bindparam("study"),
        _DELETIONS.c.revision > bindparam("after"),
        _DELETIONS.c.revision <= bindparam("up_to"),
    )
    .order_by(_DELETIONS.c.revision)
)


class SqlTrials:
    def __init__(self, connection: Connection, stored: Stored) -> None:
        self._connection = connection
        self._stored = stored

    def get(self, study_id: str, number: int) -> Trial:
        known = self._stored.trial(study_id, number)
        if known is not None:
            return known
        row = _TRIAL.first(self._connection, {"study": study_id, "trial": number})
        if row is None:
            raise NotFound(f"there is no trial studies/{study_id}/trials/{number}; see ListTrials for those there are")
        self._stored.keep_trial(found := Trial(*row))
        return found

    def select(
        self, study_id: str, states: Collection[TrialState] = (), after: int = 0, limit: int | None = None
    ) -> list[Trial]:
        given = {"study": study_id, "after": after}
        query = _PAGE.where(_TABLE.c.state.in_(list(states))) if states else _PAGE
        return self._all(query if limit is None else query.limit(limit), given)

    def outlines(self, study_id: str) -> list[TrialOutline]:
        return [TrialOutline(*row) for row in _OUTLINES.all(self._connection, {"study": study_id})]

    def changed_outlines(self, study_id: str, after_revision: int) -> list[TrialOutline]:
        given = {"study": study_id, "after": after_revision}
        found = [TrialOutline(*row) for row in _CHANGED_OUTLINES.all(self._connection, given)]
        return sorted(found, key=lambda trial: trial.number)

    def changed(self, study_id: str, after_revision: int, limit: int) -> list[Trial]:
        query = _TRIALS.where(_TABLE.c.study_id == study_id, _TABLE.c.revision > after_revision)
        return self._all(query.order_by(_TABLE.c.revision).limit(limit))

    def deleted(self, study_id: str, after_revision: int, up_to: int) -> list[int]:
        given = {"study": study_id, "after": after_revision, "up_to": up_to}
        return [number for (number,) in _DELETED.all(self._connection, given)]

    def expired(self, at: datetime, limit: int) -> list[Trial]:
        query = _TRIALS.where(_TABLE.c.lease_expire_time < at).order_by(_TABLE.c.lease_expire_time)
        return self._all(query.limit(limit))

    def is_any_running(self) -> bool:
        return self._connection.execute(_ANY_RUNNING).first() is not None

    def hold_running(self) -> list[Trial]:
        hold_every_study(self._connection)
        return self._all(_TRIALS.where(_TABLE.c.lease_expire_time.is_not(None)))

    def counts(self, study_id: str) -> dict[TrialState, int]:
        return dict(_COUNTS.all(self._connection, {"study": study_id}))

    def last_endings(self, study_id: str, limit: int) -> list[Ending]:
        rows = _LAST_ENDINGS.all(self._connection, {"study": study_id, "most": limit})
        return [Ending(number, failure if state in FAILED else None) for number, state, failure in rows]

    def totals(self) -> dict[TrialState, int]:
        table = schema.trials
        query = select(table.c.state, func.count().label("trials")).group_by(table.c.state)
        return {row.state: row.trials for row in self._connection.execute(query)}

    def save(self, *trials: Trial) -> None:
        new = [trial for trial in trials if not self._is_changed(trial)]
        if new:
            put(self._connection, _TABLE, [_row(trial) for trial in new])
        for trial in trials:
            self._stored.keep_trial(trial)

    def _is_changed(self, trial: Trial) -> bool:
        """Whether it was known how the trial is stored: then what differs has been saved."""
        before = self._stored.trial(trial.study_id, trial.number)
        if before is None:
            return False
        row = {name: value for name, value in vars(trial).items() if value != getattr(before, name)}
        if "lease" in row:
            row["lease_expire_time"] = _lease_end(trial)
        if row:
            _change(tuple(row)).run(self._connection, {"study": trial.study_id, "trial": trial.number, **row})
        return True

    def delete(self, trial: Trial, revision: int) -> None:
        self._stored.drop_trial(trial)
        mine = _TABLE.c.study_id == trial.study_id, _TABLE.c.number == trial.number
        self._connection.execute(delete(_TABLE).where(*mine))
        tombstone = {"study_id": trial.study_id, "number": trial.number, "revision": revision}
        self._connection.execute(insert(_DELETIONS).values(tombstone))

    def _all(self, query: Select[Any], given: Mapping[str, Any] = NOTHING) -> list[Trial]:
        return [Trial(*row) for row in self._connection.execute(query, given)]


def _row(trial: Trial) -> dict[str, Any]:
    return {**row_of(trial, TRIAL_FIELDS), "lease_expire_time": _lease_end(trial)}


def _lease_end(trial: Trial) -> datetime | None:
    return trial.lease.expire_time if trial.lease else None


@lru_cache
def _change(columns: Sequence[str]) -> Prepared:
    return Prepared(update(_TABLE).where(_MINE, _TABLE.c.number == bindparam("trial")), columns)
