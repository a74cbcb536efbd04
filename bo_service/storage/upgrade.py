"""Bring a database to the newest schema, and refuse one that is newer still."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from bo_service.domain.errors import StartupError
from bo_service.storage.schema import metadata

VERSION_TABLE = "alembic_version"
ORIGINAL_TABLES = {"studies", "trials", "measurements", "leases"}
"""Tables that every schema has had."""
MAX_NAMED = 5


@dataclass(frozen=True)
class Migration:
    """From one schema to another; `before` is None for a database without tables."""

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
    scripts = ScriptDirectory.from_config(_config())
    current, head = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    assert head is not None
    tables = set(inspect(connection).get_table_names())
    _require_ours(current, tables, name, is_exclusive)
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
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
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return migration


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
