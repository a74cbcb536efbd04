"""`python -m benchmarks.load`: the same load on our server and on those of peers."""

from pathlib import Path

import click

from benchmarks.load import ours
from benchmarks.load.figures import HEAD, Load
from benchmarks.load.peers import of_peer

DEFAULT = Load()


@click.command()
@click.option("--systems", default="ours", show_default=True, help="Names with commas: ours, optuna, vizier.")
@click.option("--workers", default=DEFAULT.workers, show_default=True)
@click.option("--seconds", default=DEFAULT.seconds, show_default=True, help="That are counted, after the warm-up.")
@click.option("--trial", "trial_s", default=DEFAULT.trial_s, show_default=True, help="Seconds that a trial takes.")
@click.option("--beat", "beat_s", default=DEFAULT.beat_s, show_default=True, help="Seconds between signs of life.")
@click.option("--lease", "lease_s", default=DEFAULT.lease_s, show_default=True, help="Seconds of a lease; ours alone.")
@click.option("--algorithm", type=click.Choice(sorted(ours.ALGORITHMS)), default=DEFAULT.algorithm, help="Ours alone.")
@click.option("--install", "make", is_flag=True, help="Make the peers' environments first.")
@click.option("--environments", "folder", type=click.Path(path_type=Path), help="Where these are.")
def main(systems: str, make: bool, folder: Path | None, **given: object) -> None:
    """Milliseconds of each call, errors, lost leases and memory, for many workers with heartbeats."""
    load = Load(**given)  # type: ignore[arg-type]  # click has checked them
    loads = []
    for system in systems.split(","):
        if system == "ours":
            loads.append(ours.measure(load))
        else:
            loads.append(of_peer(system, load, folder, make))
        click.echo(loads[-1].summary(), err=True)
    click.echo("\n".join([HEAD, *(figures.table() for figures in loads)]))
    click.echo()
    for figures in loads:
        click.echo(f"- {figures.summary()}")


if __name__ == "__main__":
    main()
