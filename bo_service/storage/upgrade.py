"""Bring a database to the newest schema, and refuse one that is newer still.

Alembic takes a third of a server's start to load, and is loaded only where a database has to be changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from bo_service.domain.errors import StartupError
from bo_service.storage.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
ORIGINAL_TABLES = {"studies", "trials", "measurements", "leases"}
"""Tables that every schema has had."""
MAX_NAMED = 5


@dataclass(frozen=True)
class Migration:
    """An upgrade from one schema to another; `before` is None for a database without tables."""

    before: str | None
    after: str

    @property
    def is_needed(self) -> bool:
        return self.before != self.after


def pending(connection: Connection, name: str, is_exclusive: bool) -> Migration:
    """Return what `upgrade` would do.

    Args:
        connection: Connection to the database.
        name: Name of the database in messages.
        is_exclusive: Whether all tables are one program's, as in a file.

    Raises:
        StartupError: The database is another program's, or was written by a newer version of the service.
    """
    tables, revisions_here = set(inspect(connection).get_table_names()), revisions()
    current, head = _current(connection, tables), revisions_here[-1]
    _require_ours(current, tables, name, is_exclusive)
    if current is not None and current not in revisions_here:
        raise StartupError(
            f"--storage: {name} has schema {current}, which a newer bo-service has made; upgrade bo-service"
        )
    missing = set(metadata.tables) - tables
    if current == head and missing:
        raise StartupError(
            f"--storage: {name} lacks the tables {', '.join(sorted(missing)[:MAX_NAMED])}, and is damaged: "
            "restore a backup"
        )
    return Migration(current, head)


def revisions() -> list[str]:
    """Return all revisions of the schema, oldest first: each begins the name of its migration's file."""
    return sorted(script.stem.partition("_")[0] for script in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _current(connection: Connection, tables: set[str]) -> str | None:
    """Return the revision of the database, or None for one without."""
    if VERSION_TABLE not in tables:
        return None
    revision: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608
    return revision


def _require_ours(current: str | None, tables: set[str], name: str, is_exclusive: bool) -> None:
    """Raise StartupError where the tables are another program's; without any the database is taken for an empty one."""
    others = tables - {VERSION_TABLE}
    if current is not None:
        is_ours = tables >= ORIGINAL_TABLES
    else:
        is_ours = not (others if is_exclusive else others & set(metadata.tables))
    if not is_ours:
        named = ", ".join(sorted(others)[:MAX_NAMED])
        raise StartupError(
            f"--storage: {name} is not bo-service's database, it has the tables {named}; it was not changed: "
            "name another file or database"
        )


def upgrade(
    connection: Connection, name: str, is_exclusive: bool, lock: Callable[[Connection], None] = lambda _: None
) -> Migration:
    """Apply the migrations that are missing, in the connection's transaction, and return what was done.

    Args:
        connection: Connection to the database.
        name: Name of the database in messages.
        is_exclusive: Whether all tables are one program's, as in a file.
        lock: Waits until no other server migrates the database, and keeps others from it.

    Raises:
        StartupError: The database was written by a newer version of the service.
    """
    migration = pending(connection, name, is_exclusive)
    if migration.is_needed:
        lock(connection)
        migration = pending(connection, name, is_exclusive)  # another server may have done it meanwhile
        from alembic import command

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return migration


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
