"""`bo report`: a page on a study for people, or a trial's progress for the server."""

from pathlib import Path

import click

from bo_client.client import Client
from bo_client.commands.arguments import ASSIGNMENT, numbers, pass_client, study_argument

Pairs = tuple[tuple[str, str], ...]


@click.command()
@study_argument
@click.argument("number", required=False, metavar="[TRIAL]", type=click.IntRange(min=1))
@click.argument("metrics", nargs=-1, type=ASSIGNMENT, metavar="[METRIC=VALUE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where the page goes.")
@click.option("--lease", "token", metavar="TOKEN", help="As printed by `bo suggest`.")
@click.option("--step", type=click.IntRange(min=0), help="Place on the learning curve.")
@click.option("--checkpoint", metavar="URI", help="Where another attempt could go on.")
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

    `bo report STUDY -o FILE` writes the figures, the best, the diagnosis, every trial and why it was suggested, and the
    settings, in one page that needs no network. It needs plotly: pip install "bo-service[report]".

    `bo report STUDY TRIAL --lease TOKEN --step STEP METRIC=VALUE...` renews the trial's lease and prints `go on`, or
    `stop` and why.
    """
    of_trial = {"TRIAL": number, "METRIC=VALUE": metrics or None, "--lease": token, "--step": step}
    if output is not None:
        given = [name for name, value in {**of_trial, "--checkpoint": checkpoint}.items() if value is not None]
        if given:
            raise click.UsageError(
                f"-o writes a page on the study; {', '.join(given)} would report a trial: give either"
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
        raise click.ClickException(f"{output}: can't be written: {error.strerror}") from None
    click.echo(str(output))


def _report(client: Client, study_id: str, number: int, token: str, step: int, checkpoint: str, metrics: Pairs) -> None:
    given = numbers(metrics)
    answer = client.study(study_id).attach(number, token).report(given, step, checkpoint_uri=checkpoint)
    stop = answer.should_stop or not answer.lease_valid
    click.echo(f"stop: {answer.reason}" if stop else f"go on, leased for {answer.lease_remaining:g} s")
