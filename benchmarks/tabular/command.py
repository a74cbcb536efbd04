"""The commands `python -m benchmarks tabular …`."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click

from benchmarks import selection
from benchmarks.installing import install as install_environment
from benchmarks.peers.catalog import environments
from benchmarks.peers.process import PeerError
from benchmarks.problems.problem import Split
from benchmarks.tabular import catalog, report, results, study, table
from benchmarks.tabular.versions import version_of

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
environments_option = click.option(
    "--environments", "folder", type=FOLDER, help="Folder of the environments; else BENCHMARKS_ENVIRONMENTS."
)
validation_option = click.option(
    "--validation", "is_validation", is_flag=True, help="Use the tables kept apart, instead of those for development."
)
results_option = click.option(
    "--results", "path", type=FILE, help="File of the results; else one in benchmarks/results."
)


@click.group()
def tabular() -> None:
    """Tune networks whose every configuration was trained before."""


@tabular.command()
@environments_option
def install(folder: Path | None) -> None:
    """Install the tables (36 MB). Peers are installed with python -m benchmarks install."""
    install_environment(table.ENVIRONMENT, environments(folder))


@tabular.command("list")
def list_tables() -> None:
    """List the tables, and what each of them is for."""
    for name, source in catalog.SOURCES.items():
        click.echo(f"{name}  {source.collection.name}, {len(source.collection.space)} parameters, {source.split.value}")


@tabular.command()
@click.option("--peers", default="ours", show_default=True, help="Names with commas, ours~CHOICE among them, or all.")
@click.option("--tables", "tables", default="all", show_default=True, help="Names with commas, or all of the split.")
@click.option("--seeds", default="0-9", show_default=True)
@click.option(
    "--trials", type=click.IntRange(min=2), default=catalog.BUDGET, show_default=True, help="Trials of a run."
)
@validation_option
@results_option
@environments_option
def run(
    peers: str, tables: str, seeds: str, trials: int, is_validation: bool, path: Path | None, folder: Path | None
) -> None:
    """Do the runs that are missing in the results, one after the other.

    Each finished run is appended. However this command ends, the same command goes on where it was.
    """
    path = path or results.default_file(is_validation)
    named = selection.peers(peers)
    wanted = [
        (name, peer, seed)
        for seed in selection.seeds(seeds)
        for peer in named
        for name in _tables(tables, is_validation)
    ]
    try:
        with results.appending(path):
            if is_validation:
                _check_looked_at_once(path, named)
            failed = _run(wanted, trials, is_validation, path, environments(folder))
    except (results.ResultsInUse, table.TableError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(1 if failed else 0)


@tabular.command("report")
@click.option("--base", default="ours", show_default=True, help="Peer with which all are compared.")
@click.option("--out", type=FILE, help="Write the report to this file as well.")
@validation_option
@results_option
def report_command(base: str, out: Path | None, is_validation: bool, path: Path | None) -> None:
    """Compare what peers achieved on the tables of one split."""
    split = Split.VALIDATION if is_validation else Split.DEVELOPMENT
    text = report.markdown(results.read(path or results.default_file(is_validation)), base, split)
    if out is not None:
        out.write_text(text)
    click.echo(text)


def _tables(text: str, is_validation: bool) -> list[str]:
    """Return the tables that are named, or all of the split that is meant."""
    if text == "all":
        return catalog.names(Split.VALIDATION if is_validation else Split.DEVELOPMENT)
    try:
        return [catalog.source_of(name, is_validation).name for name in text.split(",")]
    except KeyError as error:
        raise click.BadParameter(f"{error} is not one of {', '.join(catalog.SOURCES)}") from error
    except catalog.ValidationRefused as error:
        raise click.BadParameter(str(error)) from error


def _check_looked_at_once(path: Path, peers: list[str]) -> None:
    """Refuse validation runs of a peer that already has some with another version.

    Raises:
        click.ClickException: one has.
    """
    for peer in peers:
        others = {r.version for r in results.read(path) if r.peer == peer} - {version_of(peer)}
        if others:
            raise click.ClickException(
                f"{path} has runs of {peer} at {', '.join(sorted(others))}, and validation is looked at once: "
                "choose on development"
            )


def _run(wanted: list[tuple[str, str, int]], trials: int, is_validation: bool, path: Path, environments: Path) -> int:
    """Do what is missing, and return how many runs failed."""
    load = cache(lambda name: table.load(name, environments, is_validation))
    done = {run.key for run in results.read(path)}
    took: dict[str, list[float]] = defaultdict(list)
    versions = {peer: version_of(peer) for _, peer, _ in wanted}
    missing = [w for w in wanted if (*w, versions[w[1]], trials) not in done]
    failed = 0
    click.echo(f"{len(wanted) - len(missing)} of {len(wanted)} runs are there; {len(missing)} to do, into {path}")
    for number, (name, peer, seed) in enumerate(missing, start=1):
        begin = time.monotonic()
        head = f"[{number}/{len(missing)}] {name} {peer} {seed}"
        try:
            run = study.run(peer, load(name), seed, trials, environments, _progress(head, trials))
        except PeerError as error:
            failed += 1
            click.echo(f"{head}: {error}", err=True)
            continue
        results.append(path, run)
        took[peer].append(time.monotonic() - begin)
        rest = _expected(missing[number:], took)
        regrets = f"regret {run.tried[1]:.3g} tried, {run.ended[1]:.3g} ended with"
        click.echo(f"{head}: {regrets}; {took[peer][-1]:.0f} s; {rest} left")
    return failed


def _progress(head: str, trials: int) -> Callable[[int], None]:
    """Return what shows the trials of a run on a terminal."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda n: click.echo(
        f"\r{head}: trial {n} of {trials}" + ("\r\x1b[K" if n == trials else ""), err=True, nl=False
    )


def _expected(missing: list[tuple[str, str, int]], took: dict[str, list[float]]) -> str:
    """Return the time that the missing runs will take, in words, as far as peers have been timed."""
    timed = [sum(took[peer]) / len(took[peer]) for _, peer, _ in missing if took[peer]]
    at_least = "" if len(timed) == len(missing) else "more than "
    return f"{at_least}{sum(timed) / 60:.1f} min"
