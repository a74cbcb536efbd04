"""A row that is written to learn whether the database takes writes."""

from datetime import datetime

from sqlalchemy import Connection, select

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.putting import put

ONLY_ROW = 1


class SqlHealth:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def beat(self, at: datetime) -> None:
        put(self._connection, schema.health_checks, [{"check_id": ONLY_ROW, "check_time": at}])

    def last_beat(self) -> datetime | None:
        return self._connection.execute(select(schema.health_checks.c.check_time)).scalar_one_or_none()
