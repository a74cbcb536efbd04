"""The command `bo report`: a page on a study, or a progress report of a trial."""

from pathlib import Path

import click

from bo_client.cli.arguments import ASSIGNMENT, numbers, pass_client, study_argument
from bo_client.client import Client

Pairs = tuple[tuple[str, str], ...]


@click.command()
@study_argument
@click.argument("number", required=False, metavar="[TRIAL]", type=click.IntRange(min=1))
@click.argument("metrics", nargs=-1, type=ASSIGNMENT, metavar="[METRIC=VALUE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="File of the page.")
@click.option("--lease", "token", metavar="TOKEN", help="Lease token, as printed by `bo suggest`.")
@click.option("--step", type=click.IntRange(min=0), help="Step of the learning curve.")
@click.option("--checkpoint", metavar="URI", help="URI from which another attempt can resume.")
@pass_client
def report(
    client: Client,
    study_id: str,
    number: int | None,
    metrics: Pairs,
    output: Path | None,
    token: str | None,
    step: int | None,
    checkpoint: str | None,
) -> None:
    """Write a page on a study, or report progress of a trial.

    `bo report STUDY -o FILE` writes the figures, the best trials, the diagnosis, every trial with its explanation, and
    the settings into one page that works offline. It needs plotly: pip install "bo-service[report]".

    `bo report STUDY TRIAL --lease TOKEN --step STEP METRIC=VALUE...` renews the trial's lease and prints `go on`, or
    `stop` or `pause` with the reason.
    """
    of_trial = {"TRIAL": number, "METRIC=VALUE": metrics or None, "--lease": token, "--step": step}
    if output is not None:
        trial_arguments = [
            name for name, value in {**of_trial, "--checkpoint": checkpoint}.items() if value is not None
        ]
        if trial_arguments:
            raise click.UsageError(
                f"-o writes a page on the study; {', '.join(trial_arguments)} reports a trial: give one or the other"
            )
        _write(client, study_id, output)
        return
    if number is None or token is None or step is None or not metrics:
        missing = ", ".join(name for name, value in of_trial.items() if value is None)
        raise click.UsageError(f"missing -o FILE, to write a page; or, to report a trial, {missing}")
    _report(client, study_id, number, token, step, checkpoint or "", metrics)


def _write(client: Client, study_id: str, output: Path) -> None:
    from bo_client.report import page  # plotly and jinja2 are loaded by those who write pages

    text = page(client.study(study_id))
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from None
    click.echo(str(output))


def _report(client: Client, study_id: str, number: int, token: str, step: int, checkpoint: str, metrics: Pairs) -> None:
    values = numbers(metrics)
    heartbeat = client.study(study_id).attach(number, token).report(values, step, checkpoint_uri=checkpoint)
    stop = heartbeat.should_stop or not heartbeat.lease_valid
    if stop:
        click.echo(f"stop: {heartbeat.reason}")
    elif heartbeat.should_pause:
        click.echo(f"pause: {heartbeat.reason}")
    else:
        until = "" if heartbeat.until_step is None else f" until step {heartbeat.until_step}"
        click.echo(f"go on{until}, leased for {heartbeat.lease_remaining:g} s")
