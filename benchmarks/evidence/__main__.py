"""Whether the search pays on the real objective: record its trials, replay them by look-up, and report.

python -m benchmarks.evidence record                 # goes on where it was; needs the environment `curves`
python -m benchmarks.evidence run --seeds 0-49
python -m benchmarks.evidence report
"""

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks import selection
from benchmarks.curves.table import TableError, recorded
from benchmarks.evidence import report, study
from benchmarks.evidence.study import TABLES, Evidence, Replay
from benchmarks.peers.catalog import environments
from benchmarks.peers.process import PeerError
from benchmarks.tabular import results
from benchmarks.tabular.versions import version_of

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
RESULTS = results.FOLDER / "evidence.jsonl"
BLOCK = 50
"""Configurations that one process records: memory grows with the trials of a process."""
SLOW = ("optuna-gp", "hebo")
folder_option = click.option("--folder", type=FOLDER, default=TABLES, help="Where the tables are.")
results_option = click.option("--results", "path", type=FILE, default=RESULTS, help="File of the replays.")


@click.group(help=__doc__)
def main() -> None:
    """Record, run or report."""


@main.command()
@folder_option
@click.option("--environments", "made", type=FOLDER, help="Where environments are; else BENCHMARKS_ENVIRONMENTS.")
def record(folder: Path, made: Path | None) -> None:
    """Train what is missing, in blocks of both tables in turn, so that a part is of use."""
    environment = os.environ | {"BENCHMARKS_ENVIRONMENTS": str(environments(made))}
    for count in range(BLOCK, max(report.SIZES.values()) + BLOCK, BLOCK):
        for name, size in report.SIZES.items():
            command = [sys.executable, "-m", "benchmarks.curves", "record", name, "--folder", str(folder.resolve())]
            done = subprocess.run([*command, "--configurations", str(min(count, size))], env=environment, check=False)
            if done.returncode:
                sys.exit(done.returncode)


@main.command()
@click.option("--arms", default=",".join(report.ARMS), show_default=True, help="Names of peers, with commas.")
@click.option("--tables", default="all", help="Names with commas, or all that are recorded.")
@click.option("--seeds", default="0-49", show_default=True)
@click.option("--trials", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--slow-trials", type=click.IntRange(min=1), default=50, show_default=True, help=f"Of {', '.join(SLOW)}.")
@click.option("--environments", "made", type=FOLDER, help="Where environments are; else BENCHMARKS_ENVIRONMENTS.")
@folder_option
@results_option
def run(
    arms: str, tables: str, seeds: str, trials: int, slow_trials: int, made: Path | None, folder: Path, path: Path
) -> None:
    """Do the replays that are missing, and append each that is finished."""
    names = recorded(folder) if tables == "all" else tables.split(",")
    failed = 0
    try:
        loaded = [evidence for name in names if (evidence := Evidence.load(name, folder)).recorded.any()]
        with results.appending(path):
            done = {replay.key for replay in read(path)}
            for seed in selection.seeds(seeds):
                for arm in selection.peers(arms):
                    budget = slow_trials if arm in SLOW else trials
                    for evidence in loaded:
                        key = (evidence.name, evidence.digest, arm, seed, version_of(arm), budget)
                        failed += key not in done and not _replayed(path, evidence, arm, seed, budget, made)
    except (results.ResultsInUse, TableError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(1 if failed else 0)


@main.command("report")
@click.option("--out", type=FILE, help="Write the report to this file as well.")
@click.option("--png", type=FILE, help="Draw the curves into this file.")
@folder_option
@results_option
def report_command(out: Path | None, png: Path | None, folder: Path, path: Path) -> None:
    """Print how many trials each arm needs, and which targets are met."""
    loaded, replays = [Evidence.load(name, folder) for name in recorded(folder)], read(path)
    text = report.markdown(loaded, replays)
    if png is not None:
        report.picture(loaded, replays, png)
        text += f"\n![Mean scores by trial]({png.name})\n"
    if out is not None:
        out.write_text(text)
    click.echo(text)


def read(path: Path) -> list[Replay]:
    """Return the finished replays of a file."""
    return [_replay(given) for given in results.whole_lines(path)]


def _replay(given: dict[str, Any]) -> Replay:
    return Replay(**{**given, "rows": tuple(given["rows"])})


def _replayed(path: Path, evidence: Evidence, arm: str, seed: int, trials: int, made: Path | None) -> bool:
    """Do a replay and append it; return whether it succeeded."""
    try:
        replay = study.run(arm, evidence, seed, trials, environments(made))
    except PeerError as error:
        click.echo(f"{evidence.name} {arm} {seed}: {error}", err=True)
        return False
    results.append_line(path, asdict(replay))
    click.echo(f"{evidence.name} {arm} {seed}: {evidence.curve(replay)[-1]:.4f}; {replay.seconds:.0f} s")
    return True


if __name__ == "__main__":
    main()
