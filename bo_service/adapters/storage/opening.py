"""The store that an address names."""

import sqlite3
from functools import partial

from sqlalchemy import create_engine

from bo_service.adapters.storage.address import PostgresAddress, SqliteAddress, address_of
from bo_service.adapters.storage.postgresql import PostgresStore, engine_of, reaching
from bo_service.adapters.storage.sqlite import SqliteStore
from bo_service.adapters.storage.upgrade import Migration, pending
from bo_service.core.errors import StartupError


def open_store(storage: str) -> SqliteStore | PostgresStore:
    """The store, to be closed; its tables are brought to the newest schema, as its `migration` tells.

    Raises:
        StartupError: it can't be opened.
    """
    address = address_of(storage)
    return PostgresStore(address) if isinstance(address, PostgresAddress) else SqliteStore(address.path)


def pending_migration(storage: str) -> Migration:
    """What opening the store would do to its tables; nothing is changed, and a server may have it open.

    Raises:
        StartupError: it can't be read, or is of a newer version.
    """
    address = address_of(storage)
    if isinstance(address, SqliteAddress) and not address.path.is_file():
        raise StartupError(f"--storage: there is no file {address}; a server makes it when it starts")
    engine = (
        engine_of(address)
        if isinstance(address, PostgresAddress)
        else create_engine("sqlite://", creator=partial(sqlite3.connect, f"{address.path.as_uri()}?mode=ro", uri=True))
    )
    try:
        with reaching(address), engine.connect() as connection:
            return pending(connection, str(address))
    finally:
        engine.dispose()
