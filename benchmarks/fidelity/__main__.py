"""Compare methods that stop or pause trials at equal epochs, on recorded curves (python -m benchmarks.curves list).

python -m benchmarks.fidelity run           # what is missing in the results; Ctrl-C, and the same command goes on
python -m benchmarks.fidelity summarize     # benchmarks/results/fidelity-development.md
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import click

from benchmarks import selection
from benchmarks.curves import table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.halves import DEVELOPMENT, VALIDATION, half_of
from benchmarks.fidelity import catalog, environment, results, summary
from benchmarks.fidelity.catalog import BASE, MethodError
from benchmarks.fidelity.replay import replay
from benchmarks.fidelity.results import Key, Study
from benchmarks.fidelity.scores import LAST, Scale
from benchmarks.tabular.results import ResultsInUse, appending

FILE = click.Path(path_type=Path, dir_okay=False)
FIRST_METHODS = "random,ours,ours-forecast,optuna-tpe-halving"
results_option = click.option(
    "--results", "path", type=FILE, help="File of the results; else one in benchmarks/results."
)
validation_option = click.option(
    "--validation", "is_validation", is_flag=True, help="Use the tables kept apart, instead of those for development."
)


@click.group(help=__doc__)
def main() -> None:
    """Run or summarize."""


@main.command("list")
def list_methods() -> None:
    """List the methods, and which of them can run here."""
    for name in catalog.METHODS:
        try:
            click.echo(f"{name:22} {catalog.version_of(name)}")
        except MethodError as error:
            click.echo(f"{name:22} cannot run here: {error}")


@main.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(environment.NAMES))
def install(names: tuple[str, ...]) -> None:
    """Make the environments NAMES of methods whose libraries can't be installed beside this project's packages.

    They are in BENCHMARKS_ENVIRONMENTS, or in benchmarks/.environments. `run` enters them.
    """
    for name in names:
        click.echo(f"{name} …")
        environment.install(name)


@main.command()
@click.option("--methods", default=FIRST_METHODS, show_default=True, help="Names with commas, or all that can run.")
@click.option("--tables", default="all", show_default=True, help="Names with commas, or all whole ones of the half.")
@click.option("--seeds", default="0-9", show_default=True)
@click.option("--budget", type=click.IntRange(min=1), default=LAST, show_default=True, help="Epochs, in whole trials.")
@click.option(
    "--workers",
    default=",".join(map(str, summary.WORKERS)),
    show_default=True,
    help="Trials trained at once; numbers with commas.",
)
@validation_option
@results_option
def run(
    methods: str, tables: str, seeds: str, budget: int, workers: str, is_validation: bool, path: Path | None
) -> None:
    """Replay the studies that are missing in the results, one after the other.

    Each finished study is appended. However this command ends, the same command goes on where it was. Methods of one
    environment run in it, if it has been made.
    """
    environment.enter(methods.split(","))
    half = VALIDATION if is_validation else DEVELOPMENT
    path, named = path or results.default_file(half), _tables(tables, half)
    try:
        versions = {name: catalog.version_of(name) for name in _methods(methods)}
        with appending(path):
            if is_validation:
                _check_looked_at_once(path, versions)
            wanted = [
                Key(name, method, version, seed, count, budget)
                for count in _counts(workers)
                for seed in selection.seeds(seeds)
                for name in named
                for method, version in versions.items()
            ]
            _run(wanted, path)
    except (ResultsInUse, MethodError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--base", default=BASE, show_default=True, help="Method with which all are compared.")
@click.option("--out", type=FILE, help="File of the summary; else the results' name with .md.")
@validation_option
@results_option
def summarize(base: str, out: Path | None, is_validation: bool, path: Path | None) -> None:
    """Write what came of the studies of one half, and print it."""
    half = VALIDATION if is_validation else DEVELOPMENT
    path = path or results.default_file(half)
    scales = {name: Scale(table.load(name)) for name in _tables("all", half)}
    text = summary.markdown(results.read(path), scales, base, half)
    (out or path.with_suffix(".md")).write_text(text, encoding="utf-8")
    click.echo(text)


def _run(wanted: Sequence[Key], path: Path) -> None:
    done = {study.key for study in results.read(path)}
    missing = [key for key in wanted if key not in done]
    load = cache(table.load)
    took: dict[tuple[str, int], list[float]] = defaultdict(list)
    click.echo(f"{len(wanted) - len(missing)} of {len(wanted)} studies are there; {len(missing)} to do, into {path}")
    for number, key in enumerate(missing, start=1):
        begin, cpu = time.monotonic(), time.process_time()
        replayed = replay(catalog.make_of(key.method), load(key.table), key.seed, key.budget, key.workers)
        study = Study(key, replayed, time.process_time() - cpu)
        results.append(path, study)
        took[key.method, key.workers].append(time.monotonic() - begin)
        last = replayed.progress[-1]
        click.echo(
            f"[{number}/{len(missing)}] {key.table} {key.method} seed {key.seed} workers {key.workers}: "
            f"best {last.best:.4g}, final {last.final:.4g}, {replayed.trials} trials; "
            f"{took[key.method, key.workers][-1]:.0f} s; {_remaining(missing[number:], took)} left"
        )


def _remaining(missing: Sequence[Key], took: dict[tuple[str, int], list[float]]) -> str:
    """Return the time that the missing studies will take, as far as their methods have been timed."""
    timed = [sum(of) / len(of) for key in missing if (of := took.get((key.method, key.workers)))]
    at_least = "" if len(timed) == len(missing) else "more than "
    return f"{at_least}{sum(timed) / 60:.1f} min"


def _methods(text: str) -> list[str]:
    if text == "all":
        return [name for name in catalog.METHODS if _can_run(name)]
    return list(dict.fromkeys(text.split(",")))


def _can_run(name: str) -> bool:
    try:
        catalog.entry_of(name)
    except MethodError:
        return False
    return True


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{text!r} is not one or several numbers from 1, with commas", param_hint="--workers")
    return counts


def _tables(text: str, half: str) -> list[str]:
    """Return the tables that are named, or all whole ones of a half.

    Raises:
        click.BadParameter: one is unknown, of the other half, or not wholly recorded.
    """
    if text == "all":
        there = [name for name in table.recorded() if name in SPACES and half_of(SPACES[name]) == half]
        return [name for name in there if table.load(name).is_whole]
    for name in (names := list(dict.fromkeys(text.split(",")))):
        if name not in SPACES or name not in table.recorded():
            raise click.BadParameter(f"{name!r} is not one of {', '.join(table.recorded())}", param_hint="--tables")
        if half_of(SPACES[name]) != half:
            needed = "needs --validation" if half == DEVELOPMENT else "isn't run with --validation"
            raise click.BadParameter(f"{name} is for {half_of(SPACES[name])}: it {needed}", param_hint="--tables")
        if not table.load(name).is_whole:
            raise click.BadParameter(f"{name} is recorded only in part", param_hint="--tables")
    return names


def _check_looked_at_once(path: Path, versions: dict[str, str]) -> None:
    """Refuse validation studies of a method that already has some with another version.

    Raises:
        click.ClickException: one has.
    """
    for method, version in versions.items():
        others = {s.key.version for s in results.read(path) if s.key.method == method} - {version}
        if others:
            raise click.ClickException(
                f"{path} has studies of {method} at {', '.join(sorted(others))}, and validation is looked at once: "
                "choose on development"
            )


if __name__ == "__main__":
    main()
