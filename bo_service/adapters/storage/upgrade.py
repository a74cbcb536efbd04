"""Brings a database to the newest schema, and refuses one that is newer still."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from bo_service.adapters.storage.locks import hold_schema
from bo_service.core.errors import StartupError


@dataclass(frozen=True)
class Migration:
    """From one schema to another; `before` is None for a database without tables."""

    before: str | None
    after: str

    @property
    def is_needed(self) -> bool:
        return self.before != self.after


def pending(connection: Connection, name: str) -> Migration:
    """What `upgrade` would do.

    Raises:
        StartupError: the database was written by a newer version of the service.
    """
    scripts = ScriptDirectory.from_config(_config())
    current, head = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StartupError(
            f"--storage: {name} has schema {current}, which a newer bo-service has made; upgrade bo-service"
        )
    assert head is not None
    return Migration(current, head)


def upgrade(connection: Connection, name: str) -> Migration:
    """Applies what is missing, in the connection's transaction, one server after the other; what was done.

    Raises:
        StartupError: the database was written by a newer version of the service.
    """
    found = pending(connection, name)
    if found.is_needed:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            hold_schema(connection)
            found = pending(connection, name)  # another server may have done it meanwhile
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
