"""The storage backends by the schemes of their addresses, as `--storage` gives them."""

from importlib.metadata import entry_points

from bo_service.application.ports import Store
from bo_service.domain.errors import StartupError
from bo_service.storage.backend import Backend
from bo_service.storage.memory import MemoryBackend
from bo_service.storage.sqlite import SqliteBackend

ENTRY_POINTS = "bo_service.storage"
"""Group in which installed packages name their backends, by scheme."""
FORMS = "sqlite:///FILE, such as sqlite:///bo.db, postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or memory:"
POSTGRESQL = ("postgres", "postgresql")
"""Schemes whose backend is loaded with the first address of theirs, as its dialect takes a while."""
_backends: dict[str, Backend] = {
    "memory": MemoryBackend(),
    "sqlite": SqliteBackend(),
}


def register(scheme: str, backend: Backend) -> None:
    """Let a backend open the addresses that begin with `scheme:`, in this process."""
    _backends[scheme] = backend


def backend_of(address: str) -> Backend:
    """Return the backend of an address.

    Raises:
        StartupError: No backend has this scheme.
    """
    scheme, colon, _ = address.partition(":")
    if colon and scheme in POSTGRESQL and scheme not in _backends:
        from bo_service.storage.postgresql import PostgresBackend

        register(scheme, PostgresBackend())
    if colon and scheme not in _backends:
        for entry_point in entry_points(group=ENTRY_POINTS, name=scheme):
            register(scheme, entry_point.load()())
    if not colon or scheme not in _backends:
        shown = f"{scheme}://…" if "://" in address else repr(address)  # what follows may hold a password
        raise StartupError(f"--storage: is {shown}; give {FORMS}")
    return _backends[scheme]


def open_store(address: str) -> Store:
    """Open the store of an address, which is to be closed.

    Raises:
        StartupError: It can't be opened.
    """
    return backend_of(address).open(address)
