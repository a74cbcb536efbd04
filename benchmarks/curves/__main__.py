"""Record learning curves of real trainings, and look at them.

python -m benchmarks.curves install                  # once: the environment in which they are trained
python -m benchmarks.curves record                   # whatever is missing; Ctrl-C, and the same command goes on
python -m benchmarks.curves list
python -m benchmarks.curves show digits-mlp
"""

import os
import signal
from pathlib import Path

import click

from benchmarks.curves import halves, showing, table
from benchmarks.curves.catalog import SPACES
from benchmarks.installing import install as install_environment
from benchmarks.peers.catalog import environments
from benchmarks.peers.process import ONE_THREAD, PACKAGES, QUIET, XLA

ENVIRONMENT = "curves"
FOLDER = click.Path(path_type=Path, file_okay=False)
folder_option = click.option("--folder", type=FOLDER, default=table.TABLES, help="Where tables are.")
environments_option = click.option(
    "--environments", "made", type=FOLDER, help="Where environments are; else BENCHMARKS_ENVIRONMENTS."
)


@click.group(help=__doc__)
def main() -> None:
    """Record, list or show."""


@main.command()
@environments_option
def install(made: Path | None) -> None:
    """Make the environment that trains: Keras on JAX and TensorFlow, scikit-learn, and the packages that ship data."""
    install_environment(ENVIRONMENT, environments(made))


@main.command()
@click.argument("spaces", nargs=-1, type=click.Choice(sorted(SPACES)))
@click.option("--configurations", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes of one thread each.")
@folder_option
@environments_option
def record(
    spaces: tuple[str, ...], configurations: int, seeds: int, jobs: int, folder: Path, made: Path | None
) -> None:
    """Train what is missing of SPACES, or of all but the slow ones."""
    wanted = list(spaces) or [name for name, space in SPACES.items() if not space.is_slow]
    python = environments(made) / ENVIRONMENT / "bin" / "python"
    if not python.exists():
        raise click.ClickException(f"there is no {python}: make it with python -m benchmarks.curves install")
    options = {"configurations": configurations, "seeds": seeds, "jobs": jobs, "folder": folder.resolve()}
    command = [str(python), "-m", "benchmarks.curves.recording", *wanted, *(f"--{n}={v}" for n, v in options.items())]
    paths = {"PYTHONPATH": os.pathsep.join(map(str, PACKAGES)), "KERAS_BACKEND": SPACES[wanted[0]].backend}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.execve(command[0], command, {**os.environ, **ONE_THREAD, **QUIET, **XLA, **paths})  # noqa: S606


@main.command(name="list")
@folder_option
def list_tables(folder: Path) -> None:
    """Print what there is of each space."""
    for line in showing.overview(folder):
        click.echo(line)


@main.command()
@click.argument("space", type=click.Choice(sorted(SPACES)))
@folder_option
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture too.")
def show(space: str, folder: Path, png: Path | None) -> None:
    """Print the figures of SPACE, and a small picture of its curves."""
    try:
        recorded = table.load(space, folder)
    except table.TableError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(showing.details(recorded, halves.half_of(SPACES[space]))))
    if png is not None:
        showing.picture(recorded, png)
        click.echo(f"written: {png}")


if __name__ == "__main__":
    main()
