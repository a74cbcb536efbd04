"""Define the commands for the database: migrate, backup, restore, export-study and import-study."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from bo_service.cli.errors import EXTRA

FILE = click.Path(path_type=Path, dir_okay=False)

storage_option = click.option(
    "--storage",
    default="sqlite:///bo.db",
    envvar="BO_SERVICE_STORAGE",
    help="Database: sqlite:///FILE, postgresql://USER@HOST/DATABASE, or memory: to discard the data when the server "
    "exits. Set BO_SERVICE_STORAGE instead to keep a password out of the process list.",
)


@contextmanager
def refusals() -> Iterator[None]:
    """End the command with a one-line message if the block raises an error."""
    try:
        from bo_service.domain.errors import BoError
    except ImportError as error:
        sys.exit(f"bo-service: {EXTRA} ({error})")
    try:
        yield
    except ImportError as error:
        sys.exit(f"bo-service: {EXTRA} ({error})")
    except BoError as error:
        sys.exit(f"bo-service: {error.message}")
    except OSError as error:
        sys.exit(f"bo-service: {error}")


@click.command()
@storage_option
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a migration is needed.")
def migrate(storage: str, check: bool) -> None:
    """Upgrade the database to the schema of this version. A server does this when it starts.

    All stored data is kept. A downgrade is impossible: make a backup first.
    """
    with refusals():
        from bo_service.storage.factory import backend_of

        backend = backend_of(storage)
        migration = backend.pending_migration(storage) if check else backend.migrate(storage)
        name = backend.label(storage)
        before = "an empty database" if migration.before is None else f"schema {migration.before}"
        if not migration.is_needed:
            click.echo(f"{name}: schema {migration.after} is the newest")
        elif check:
            click.echo(f"{name}: {before}, the newest is {migration.after}")
            sys.exit(1)
        elif migration.before is None:
            click.echo(f"{name}: migrated from {before} to schema {migration.after}")
        else:
            click.echo(f"{name}: migrated from {before} to {migration.after}")


@click.command()
@storage_option
@click.argument("target", type=FILE)
def backup(storage: str, target: Path) -> None:
    """Copy a SQLite database into the new file TARGET as a consistent snapshot. A server may keep it open."""
    with refusals():
        from bo_service.storage.factory import backend_of

        backend_of(storage).backup(storage, target)
        click.echo(f"{target}: {target.stat().st_size:,} bytes, checked")


@click.command()
@storage_option
@click.argument("source", type=FILE)
@click.option("--replace", is_flag=True, help="Overwrite an existing database.")
def restore(storage: str, source: Path, replace: bool) -> None:
    """Replace a SQLite database with the backup SOURCE. Stop the server first."""
    with refusals():
        from bo_service.storage.factory import backend_of

        backend = backend_of(storage)
        backend.restore(storage, source, replace)
        click.echo(f"{backend.label(storage)}: restored from {source}")


@click.command("export-study")
@storage_option
@click.argument("study_id", metavar="STUDY")
@click.argument("target", type=FILE)
def export_study(storage: str, study_id: str, target: Path) -> None:
    """Write a study and all its data into the new file TARGET, for import-study.

    The file holds the tokens of active leases; only its owner can read it. A server must not have a SQLite database
    open at the same time: export from a backup.
    """
    with refusals():
        from bo_service.storage import transfer
        from bo_service.storage.database_file import create_private
        from bo_service.storage.factory import open_store

        with closing(open_store(storage)) as store, store.read() as work:
            lines = transfer.export_study(work, study_id.removeprefix("studies/"), datetime.now(UTC))
            first = next(lines)
            create_private(target)
            with target.open("w", encoding="ascii") as file:
                file.write(first)
                file.writelines(lines)
        click.echo(f"{target}: {target.stat().st_size:,} bytes")


@click.command("import-study")
@storage_option
@click.argument("source", type=FILE)
@click.option("--as", "study_id", metavar="ID", help="New id of the study.")
def import_study(storage: str, source: Path, study_id: str | None) -> None:
    """Import the study in the file SOURCE, written by export-study. The import is atomic."""
    with refusals():
        from bo_service.rpc.codec.fields import check_study_id
        from bo_service.rpc.import_validation import CallValidator
        from bo_service.storage import transfer
        from bo_service.storage.factory import open_store

        if study_id is not None:
            check_study_id(study_id, "--as")
        with (
            source.open(encoding="ascii", errors="surrogateescape") as lines,  # bytes that are no ASCII are refused
            closing(open_store(storage)) as store,
        ):
            at = datetime.now(UTC)
            study = transfer.import_study(store, lines, study_id, at, CallValidator(at))
            with store.read() as work:
                trials = sum(work.count_trials(study.study_id).values())
        click.echo(f"{study.name}: {trials} trials")


COMMANDS = (migrate, backup, restore, export_study, import_study)
