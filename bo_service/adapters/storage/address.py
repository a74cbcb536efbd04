"""Where everything is kept: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from bo_service.core.errors import StartupError

SQLITE, POSTGRESQL = "sqlite:///", ("postgresql://", "postgres://")
FORMS = "sqlite:///FILE, such as sqlite:///bo.db, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


@dataclass(frozen=True)
class SqliteAddress:
    """A file, relative to the current folder as `sqlite:///FILE`, absolute as `sqlite:////FILE`."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class PostgresAddress:
    """A database; what isn't given, libpq takes from its environment (`PGHOST`, `PGPASSFILE` …)."""

    url: URL

    def __str__(self) -> str:
        """Without secrets: neither the password nor what follows the database's name."""
        return self.url.set(query={}).render_as_string(hide_password=True)


Address: TypeAlias = SqliteAddress | PostgresAddress


def address_of(storage: str) -> Address:
    """What the option --storage names.

    Raises:
        StartupError: neither of the two.
    """
    if storage.startswith(POSTGRESQL):
        return PostgresAddress(_url(storage))
    if not storage.startswith(SQLITE) or not storage.removeprefix(SQLITE).strip("/"):
        scheme = storage.partition("://")[0]  # what follows may hold a password
        given = f"{scheme}://…" if "://" in storage else repr(storage)
        raise StartupError(f"--storage: is {given}; give {FORMS}")
    return SqliteAddress(Path(storage.removeprefix(SQLITE)).absolute())


def _url(storage: str) -> URL:
    try:
        url = make_url("postgresql://" + storage.partition("://")[2])
    except (ArgumentError, ValueError):  # their messages may hold the password
        raise StartupError(
            f"--storage: is no PostgreSQL address; give {POSTGRESQL[0]}USER:PASSWORD@HOST:PORT/DATABASE, with '@', "
            "':', '/' and '%' in a password written as %40, %3A, %2F and %25"
        ) from None
    if not url.database:
        raise StartupError(f"--storage: {PostgresAddress(url)} names no database; add it, as in …HOST:PORT/bo")
    return url
