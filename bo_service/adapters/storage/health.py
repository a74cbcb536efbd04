"""A row that is written to learn whether the database takes writes."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from bo_service.adapters.storage import schema

ONLY_ROW = 1


class SqlHealth:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def beat(self, at: datetime) -> None:
        table = schema.health_checks
        written = self._connection.execute(update(table).where(table.c.check_id == ONLY_ROW).values(check_time=at))
        if not written.rowcount:
            self._connection.execute(insert(table).values(check_id=ONLY_ROW, check_time=at))

    def last_beat(self) -> datetime | None:
        return self._connection.execute(select(schema.health_checks.c.check_time)).scalar_one_or_none()
