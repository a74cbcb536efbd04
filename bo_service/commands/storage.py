"""The commands that look after the database: migrate, backup and restore, a study out and in."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from bo_service.commands.extra import EXTRA

FILE = click.Path(path_type=Path, dir_okay=False)

storage_option = click.option(
    "--storage",
    default="sqlite:///bo.db",
    envvar="BO_SERVICE_STORAGE",
    help="Where everything is kept: sqlite:///FILE, or postgresql://USER@HOST/DATABASE. BO_SERVICE_STORAGE says it "
    "too, and doesn't show a password to whoever lists this machine's processes.",
)


@contextmanager
def refusals() -> Iterator[None]:
    """Ends the command with one line where it can't be done."""
    try:
        from bo_service.core.errors import BoError
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
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where there is something to do.")
def migrate(storage: str, check: bool) -> None:
    """Bring the database's tables to what this version needs. A server does it too when it starts.

    Whatever was stored before is kept. There is no way back: make a backup first.
    """
    with refusals():
        from bo_service.adapters.storage.address import address_of
        from bo_service.adapters.storage.opening import open_store, pending_migration

        if check:
            found = pending_migration(storage)
        else:
            with closing(open_store(storage)) as store:
                found = store.migration
        name, before = address_of(storage), "an empty database" if found.before is None else f"schema {found.before}"
        if not found.is_needed:
            click.echo(f"{name}: schema {found.after} is the newest")
        elif check:
            click.echo(f"{name}: {before}, the newest is {found.after}")
            sys.exit(1)
        elif found.before is None:
            click.echo(f"{name}: migrated from {before} to schema {found.after}")
        else:
            click.echo(f"{name}: migrated from {before} to {found.after}")


@click.command()
@storage_option
@click.argument("target", type=FILE)
def backup(storage: str, target: Path) -> None:
    """Copy a SQLite database into the new file TARGET, as it is at one moment. A server may go on using it."""
    with refusals():
        from bo_service.adapters.storage import backup as copies

        copies.backup(_sqlite_file(storage, "pg_dump --format=custom --file=TARGET"), target)
        click.echo(f"{target}: {target.stat().st_size:,} bytes, checked")


@click.command()
@storage_option
@click.argument("source", type=FILE)
@click.option("--replace", is_flag=True, help="Overwrite a database that is there.")
def restore(storage: str, source: Path, replace: bool) -> None:
    """Make a SQLite database what the backup SOURCE holds. The server must be stopped."""
    with refusals():
        from bo_service.adapters.storage import backup as copies

        file = _sqlite_file(storage, "pg_restore --clean --if-exists --dbname=DATABASE SOURCE")
        copies.restore(source, file, replace)
        click.echo(f"{file}: restored from {source}")


@click.command("export-study")
@storage_option
@click.argument("study_id", metavar="STUDY")
@click.argument("target", type=FILE)
def export_study(storage: str, study_id: str, target: Path) -> None:
    """Write a study with all that belongs to it into the new file TARGET, for import-study.

    The file holds the tokens of leases that run, and is readable by its owner alone. A server must not have a SQLite
    file open meanwhile: export from a backup of it.
    """
    with refusals():
        from bo_service.adapters.storage.opening import open_store
        from bo_service.adapters.storage.transfer import exported

        with closing(open_store(storage)) as store, store.read() as records:
            lines = exported(records, study_id.removeprefix("studies/"), datetime.now(UTC))
            first = next(lines)
            target.touch(mode=0o600, exist_ok=False)
            with target.open("w", encoding="ascii") as file:
                file.write(first)
                file.writelines(lines)
        click.echo(f"{target}: {target.stat().st_size:,} bytes")


@click.command("import-study")
@storage_option
@click.argument("source", type=FILE)
@click.option("--as", "study_id", metavar="ID", help="Another id for the study.")
def import_study(storage: str, source: Path, study_id: str | None) -> None:
    """Add the study in the file SOURCE, which export-study has written; all of it or nothing."""
    with refusals():
        from bo_service.adapters.grpc.names import check_study_id
        from bo_service.adapters.storage.opening import open_store
        from bo_service.adapters.storage.transfer import imported

        if study_id is not None:
            check_study_id(study_id, "--as")
        with source.open(encoding="ascii") as lines, closing(open_store(storage)) as store, store.write() as records:
            study = imported(records, lines, study_id, datetime.now(UTC))
            trials = sum(records.trials.counts(study.study_id).values())
        click.echo(f"{study.name}: {trials} trials")


def _sqlite_file(storage: str, instead: str) -> Path:
    """Raises StartupError."""
    from bo_service.adapters.storage.address import SqliteAddress, address_of
    from bo_service.core.errors import StartupError

    address = address_of(storage)
    if not isinstance(address, SqliteAddress):
        raise StartupError(f"--storage: {address} is PostgreSQL, which has its own means: {instead}")
    return address.path


COMMANDS = (migrate, backup, restore, export_study, import_study)
