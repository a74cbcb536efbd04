"""The store that an address names."""

from bo_service.adapters.storage.address import PostgresAddress, address_of
from bo_service.adapters.storage.postgresql import PostgresStore
from bo_service.adapters.storage.sqlite import SqliteStore


def open_store(storage: str) -> SqliteStore | PostgresStore:
    """The store, to be closed; its tables are brought to the newest schema.

    Raises:
        StartupError: it can't be opened.
    """
    address = address_of(storage)
    if isinstance(address, PostgresAddress):
        return PostgresStore(address)
    return SqliteStore(address.path)
