"""Learning curves over one SQL connection."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, String, and_, bindparam, func, select, type_coerce

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.prepared import Prepared
from bo_service.adapters.storage.putting import put
from bo_service.application.ports import Reached
from bo_service.core.trial import Measurement

_TABLE = schema.measurements
_COUNT = Prepared(
    select(func.count()).where(_TABLE.c.study_id == bindparam("study"), _TABLE.c.number == bindparam("trial"))
)


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

    def values_at(self, study_id: str, metric: str, step: int, after: int = 0) -> list[Reached]:
        table, trials = schema.measurements, schema.trials
        mine = and_(table.c.study_id == study_id, table.c.number == trials.c.number)
        newest = select(table.c.metrics).where(mine, table.c.step <= step, *self._has_finite(metric))
        found = newest.order_by(table.c.step.desc()).limit(1).scalar_subquery()  # one seek in the index for each trial
        last = select(func.max(table.c.step)).where(mine).scalar_subquery()
        newer = trials.c.study_id == study_id, trials.c.number > after
        rows = self._connection.execute(select(trials.c.number, found, last).where(*newer))
        return [Reached(number, metrics[metric], end) for number, metrics, end in rows if metric in (metrics or ())]

    def count(self, study_id: str, number: int) -> int:
        (count,) = _COUNT.all(self._connection, {"study": study_id, "trial": number})
        return int(count[0])

    def save(self, study_id: str, number: int, measurements: Sequence[Measurement]) -> None:
        rows = [{"study_id": study_id, "number": number, **vars(m)} for m in measurements]
        if rows:
            put(self._connection, schema.measurements, rows)

    def _has_finite(self, metric: str) -> list[ColumnElement[bool]]:
        """Whether a measurement's text holds a finite value: numbers that aren't begin with another letter."""
        at = func.strpos if self._connection.dialect.name == "postgresql" else func.instr
        text, key = type_coerce(schema.measurements.c.metrics, String), f"{json.dumps(metric)}:"
        wild = [at(text, key + begin) == 0 for begin in ("NaN", "Infinity", "-Infinity")]
        return [at(text, key) > 0, *wild]
