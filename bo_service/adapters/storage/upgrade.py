"""Brings a database to the newest schema, and refuses one that is newer still."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bo_service.core.errors import StartupError


def upgrade(connection: Connection, name: str) -> None:
    """Applies what is missing, in the connection's transaction.

    Raises:
        StartupError: the database was written by a newer version of the service.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise StartupError(
            f"--storage: {name} has schema {current}, which a newer bo-service has made; upgrade bo-service"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
