"""The command `python -m benchmarks`."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from benchmarks import calibration, latency, reporting, selection, summaries
from benchmarks.installing import install as install_environment
from benchmarks.lowering import lowered
from benchmarks.peers.catalog import CATALOG, environments
from benchmarks.peers.process import PeerError
from benchmarks.problems import references as known
from benchmarks.problems.suite import suite
from benchmarks.results import Key
from benchmarks.running import run
from benchmarks.tabular.command import tabular

FOLDER = click.Path(path_type=Path, file_okay=False)
environments_option = click.option(
    "--environments", "folder", type=FOLDER, help="Where the peers' environments are; else BENCHMARKS_ENVIRONMENTS."
)


@click.group()
def main() -> None:
    """Measure how well and how fast the optimizer works, beside its peers."""


@main.command()
@click.argument("peers", nargs=-1, required=True)
@environments_option
def install(peers: tuple[str, ...], folder: Path | None) -> None:
    """Make the environments of PEERS, or of all."""
    wanted = dict.fromkeys(CATALOG[p].environment for p in selection.peers(",".join(peers)))
    for environment in filter(None, wanted):
        click.echo(f"{environment} …")
        install_environment(environment, environments(folder))


@main.command()
@click.option("--peers", default="ours", show_default=True, help="Names with commas, or all.")
@click.option("--problems", default="all", show_default=True, help="Names, or all, development or validation.")
@click.option("--seeds", default="0-2", show_default=True)
@click.option("--out", required=True, type=FOLDER, help="Where the trials go; what is finished there is not redone.")
@environments_option
def regret(peers: str, problems: str, seeds: str, out: Path, folder: Path | None) -> None:
    """Run PEERS on PROBLEMS, a trial after the other."""
    failed = 0
    for seed in selection.seeds(seeds):
        for peer in selection.peers(peers):
            for name in selection.problems(problems):
                try:
                    done = run(Key(peer, name, seed), suite()[name], out, environments(folder))
                    click.echo(f"{peer} {name} {seed} {'done' if done else 'was done'}")
                except PeerError as error:
                    failed += 1
                    click.echo(f"{peer} {name} {seed}: {error}", err=True)
    sys.exit(1 if failed else 0)


@main.command()
@click.option("--problems", default="all", show_default=True, help="Names, or all, development or validation.")
@click.option("--runs", type=FOLDER, help="Instead of measuring: lower minima to the best that these runs found.")
def references(problems: str, runs: Path | None) -> None:
    """Measure again what regret is relative to."""
    for name in selection.problems(problems):
        reference = known.measure(suite()[name]) if runs is None else lowered(name, runs)
        known.keep({name: reference})
        click.echo(f"{name} {reference.best:.6g} {reference.random:.6g}")


@main.command()
@click.option("--runs", type=FOLDER, help="Trials to summarize first; else the summaries that are there.")
@click.option("--results", type=FOLDER, default=summaries.FOLDER, help="Where the summaries are.")
@click.option("--peers", help="Names with commas; else all that have results.")
@click.option("--base", default="ours", show_default=True, help="Whom all are compared with.")
@click.option("--out", type=FOLDER, help="Where report.md and regret.png go; else beside the summaries.")
def report(runs: Path | None, results: Path, peers: str | None, base: str, out: Path | None) -> None:
    """Compare what peers achieved."""
    if runs is not None:
        summaries.summarize(runs, results)
    loaded = summaries.load(results)
    chosen = {peer: loaded[peer] for peer in (peers.split(",") if peers else loaded) if loaded.get(peer)}
    folder = out or results
    folder.mkdir(parents=True, exist_ok=True)
    text = reporting.markdown(chosen, base)
    (folder / "report.md").write_text("# Regret beside peers\n\n" + text + "\n![Regret](regret.png)\n")
    reporting.plot(chosen, folder / "regret.png")
    click.echo(text)


@main.command("latency")
@click.option("--peers", default="ours,optuna-gp", show_default=True, help="The first is compared with the others.")
@click.option("--observations", default="100,500,1000", show_default=True)
@environments_option
def latency_command(peers: str, observations: str, folder: Path | None) -> None:
    """Time suggestions, one and in batches."""
    counts = [int(n) for n in observations.split(",")]
    where, names = environments(folder), selection.peers(peers)
    try:
        click.echo(latency.table([latency.of_peer(peer, n, where) for n in counts for peer in names]))
    except PeerError as error:
        raise click.ClickException(str(error)) from error
    one, batch = latency.of_batch(counts[0])
    click.echo(
        f"\n8 with 8 pending, at {counts[0]}: {1e3 * batch:.0f} ms, {batch / one:.2f} times one of {1e3 * one:.0f} ms"
    )


@main.command("calibration")
@click.option("--problems", default="all", show_default=True, help="Names, or all, development or validation.")
@click.option("--trials", default=30, show_default=True, help="Random trials that are learned from.")
@click.option("--seeds", default="0-2", show_default=True)
def calibration_command(problems: str, trials: int, seeds: str) -> None:
    """Count how often the truth is inside the intervals that are predicted."""
    chosen = [suite()[name] for name in selection.problems(problems)]
    click.echo(calibration.table([calibration.coverage(p, trials, selection.seeds(seeds)) for p in chosen]))


@main.command()
@click.option("--without", default="all", show_default=True, help="Choices to switch off: names, or all.")
@click.option("--problems", default="development", show_default=True, help="Names, or all, development or validation.")
@click.option("--seeds", default="0-2", show_default=True)
@click.option("--out", required=True, type=FOLDER, help="Where the trials go; what is finished there is not redone.")
@click.option("--trials", type=int, help="Of each study; else as many as its problem is given.")
def ablation(without: str, problems: str, seeds: str, out: Path, trials: int | None) -> None:
    """Regret of ours with each of its choices switched off, beside ours."""
    peers = ["ours", *(f"ours~{name}" for name in selection.ablations(without))]
    names, numbers = selection.problems(problems), selection.seeds(seeds)
    keys = [Key(peer, name, seed) for peer in peers for name in names for seed in numbers]
    for key in keys:
        problem = suite()[key.problem]
        if run(key, problem if trials is None else replace(problem, budget=trials), out, environments()):
            click.echo(f"{key.peer} {key.problem} {key.seed} done", err=True)
    loaded = {peer: summaries.of_keys(out, [k for k in keys if k.peer == peer]) for peer in peers}
    click.echo(reporting.table(loaded, "ours", names))


main.add_command(tabular)

if __name__ == "__main__":
    main()
