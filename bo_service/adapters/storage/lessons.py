"""What surrogates have learned of studies, over one SQL connection."""

from sqlalchemy import Connection, bindparam, select

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.putting import put
from bo_service.core.evidence import Learned

_LEARNED = select(schema.lessons.c.learned).where(schema.lessons.c.study_id == bindparam("study"))


class SqlLessons:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, study_id: str) -> Learned:
        found: Learned | None = self._connection.execute(_LEARNED, {"study": study_id}).scalar_one_or_none()
        return found or {}

    def save(self, study_id: str, learned: Learned) -> None:
        put(self._connection, schema.lessons, [{"study_id": study_id, "learned": learned}])
