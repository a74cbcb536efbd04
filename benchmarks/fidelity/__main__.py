"""Compare methods that stop trials at equal epochs, on recorded curves (python -m benchmarks.curves list).

python -m benchmarks.fidelity run             # development spaces, ten seeds; what is in the results is not redone
python -m benchmarks.fidelity report          # regret after 8 and 20 whole trials' epochs, beside `ours`
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.curves import table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.halves import DEVELOPMENT, half_of
from benchmarks.curves.table import Ended, Table
from benchmarks.fidelity.methods import METHODS
from benchmarks.fidelity.replay import replay

MOMENTS = (8, 20)
MEASURES = ("best", "final")
FLOOR = 1e-3
FILE = click.Path(path_type=Path, dir_okay=False)
results_option = click.option("--results", type=FILE, default=Path("fidelity.jsonl"), show_default=True)


@click.group(help=__doc__)
def main() -> None:
    """Run or report."""


@main.command()
@click.option(
    "--methods", default="random,ours,ours-halving,optuna-tpe-halving,optuna-tpe-hyperband", show_default=True
)
@click.option("--spaces", default="", help="Names with commas; else every whole table of the development half.")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--budget", type=click.IntRange(min=1), default=20, show_default=True, help="Epochs, in whole trials.")
@results_option
def run(methods: str, spaces: str, seeds: int, budget: int, results: Path) -> None:
    """Replay what is missing, and append it."""
    done = {(r["method"], r["space"], r["seed"], r["budget"]) for r in read(results)}
    for space in chosen(spaces):
        found = table.load(space)
        for seed in range(seeds):
            for method in methods.split(","):
                if method not in METHODS:
                    raise click.BadParameter(f"{method!r} is not one of {', '.join(METHODS)}", param_hint="--methods")
                if (method, space, seed, budget) in done:
                    continue
                replayed = replay(METHODS[method], found, seed, budget)
                row = {"method": method, "space": space, "seed": seed, "budget": budget} | asdict(replayed)
                with results.open("a", encoding="utf-8") as file:
                    file.write(("" if ends_whole(results) else "\n") + json.dumps(row) + "\n")
                click.echo(f"{space} {seed} {method}: {replayed.best[-1]:.4g} with {replayed.trials} trials")


@main.command()
@click.option(
    "--by",
    type=click.Choice(MEASURES),
    default=MEASURES[0],
    show_default=True,
    help="The least loss of any epoch, or the least last loss of trials that were trained to their end.",
)
@results_option
def report(by: str, results: Path) -> None:
    """Print the geometric mean of regrets, over seeds and spaces."""
    rows = read(results)
    names = [name for name in METHODS if any(r["method"] == name for r in rows)]
    click.echo("| space | " + " | ".join(names) + " |")
    click.echo("|---" * (len(names) + 1) + "|")
    spaces = sorted({r["space"] for r in rows})
    for space in spaces:
        found = table.load(space)
        click.echo(f"| {space} | " + " | ".join(_cell(rows, {space: found}, name, by) for name in names) + " |")
    tables = {space: table.load(space) for space in spaces}
    click.echo("| all | " + " | ".join(_cell(rows, tables, name, by) for name in names) + " |")


def _cell(rows: list[dict[str, Any]], tables: dict[str, Table], name: str, by: str) -> str:
    told = []
    for moment in MOMENTS:
        regrets = [
            regret(tables[r["space"]], r["seed"], r[by][moment - 1], by)
            for r in rows
            if r["method"] == name and r["space"] in tables and len(r["best"]) >= moment
        ]
        told.append(f"{math.exp(np.mean(np.log(regrets))):.3f}" if regrets else "-")
    return " / ".join(told)


def regret(found: Table, seed: int, value: float, by: str = "best") -> float:
    """Return (value - best) / (median - best) of the table's runs of this seed, at least FLOOR; 1 where infinite.

    By "best", of each run's least loss; by "final", of its last.
    """
    run = seed % found.seeds
    losses = np.where(np.isfinite(found.losses[:, run]), found.losses[:, run], np.inf)[found.ended[:, run] > 0]
    values = losses.min(axis=1) if by == "best" else losses[:, -1]
    best, median = float(values.min()), float(np.median(values))
    return max((value - best) / (median - best), FLOOR) if math.isfinite(value) else 1.0


def chosen(spaces: str) -> list[str]:
    """Return the spaces that are asked for, or all; those for validation are refused.

    Raises:
        click.BadParameter: one is unknown, for validation, or not wholly recorded.
    """
    if not spaces:
        return [name for name in table.recorded() if half_of(SPACES[name]) == DEVELOPMENT and table.load(name).is_whole]
    for name in (names := spaces.split(",")):
        if name not in SPACES:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(SPACES)}", param_hint="--spaces")
        if half_of(SPACES[name]) != DEVELOPMENT:
            raise click.BadParameter(f"{name} is for validation, which is looked at once", param_hint="--spaces")
        if not (table.load(name).ended != Ended.MISSING).all():
            raise click.BadParameter(f"{name} is recorded only in part", param_hint="--spaces")
    return names


def ends_whole(results: Path) -> bool:
    """Return whether the file is empty or ends with a whole line: a process may have been killed in one."""
    content = results.read_bytes()
    return not content or content.endswith(b"\n")


def read(results: Path) -> list[dict[str, Any]]:
    """Return the rows; a line that was cut off by a crash is left out."""
    return list(_read(results)) if results.exists() else []


def _read(results: Path) -> Iterator[dict[str, Any]]:
    for line in results.read_text("utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


if __name__ == "__main__":
    main()
