"""Locks that all servers over one PostgreSQL share; each is held until its transaction ends. SQLite has one writer.

A transaction takes `studies` shared and one `study`; whoever moves every lease takes `studies` for itself. Nobody who
holds a study waits for what another study's holder has, so that nobody waits in a circle.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import BigInteger, Connection, bindparam, text

from bo_service.adapters.storage.columns import Moment
from bo_service.adapters.storage.prepared import Prepared

NOW = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
"""The database's time, which within a transaction goes on."""


def key_of(name: str) -> int:
    """A lock's number, from -2^63 to 2^63 - 1."""
    return int.from_bytes(hashlib.sha256(f"bo-service {name}".encode()).digest()[:8], "big", signed=True)


STUDIES, SCHEMA = key_of("studies"), key_of("schema")
_BEGIN = text(f"SELECT {NOW} AS now").columns(now=Moment)
# the time is asked for when the locks have been got: a sub-select comes first
_HELD = "WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(:studies), pg_advisory_xact_lock(:study))"
_TURN = Prepared(
    text(f"{_HELD} SELECT {NOW} AS now FROM held")  # noqa: S608 - constants of ours
    .bindparams(bindparam("studies", STUDIES, BigInteger), bindparam("study", type_=BigInteger))
    .columns(now=Moment)
)
_ALONE = text("SELECT pg_advisory_xact_lock(:key)").bindparams(bindparam("key", type_=BigInteger))


def now(connection: Connection) -> datetime:
    """PostgreSQL's time."""
    moment: datetime = connection.execute(_BEGIN).scalar_one()
    return moment


def ask_for_turn(connection: Connection, study_id: str) -> Callable[[], datetime]:
    """What waits until no other transaction changes the study, and returns PostgreSQL's time then."""
    answer = _TURN.ask(connection, {"study": key_of(f"study {study_id}")})

    def moment() -> datetime:
        ((found,),) = answer()
        told: datetime = found
        return told

    return moment


def hold_every_study(connection: Connection) -> None:
    """Waits until no other transaction changes any study."""
    _alone(connection, STUDIES)


def hold_schema(connection: Connection) -> None:
    """Waits until no other server changes the tables."""
    _alone(connection, SCHEMA)


def _alone(connection: Connection, key: int) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_ALONE, {"key": key})
