"""The command `bo report`."""

from pathlib import Path

import click

from bo_client.cli.arguments import ASSIGNMENT, Pairs, pass_client, study_argument
from bo_client.client import Client


class HiddenArgument(click.Argument):
    """An argument that the help leaves out."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return nothing."""
        return []


@click.command()
@study_argument
@click.argument("number", cls=HiddenArgument, required=False, metavar="[TRIAL]", type=click.IntRange(min=1))
@click.argument("metrics", cls=HiddenArgument, nargs=-1, type=ASSIGNMENT, metavar="[METRIC=VALUE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Output file, such as mine.html.")
@click.option("--lease", "token", metavar="TOKEN", hidden=True)
@click.option("--step", type=click.IntRange(min=0), hidden=True)
@click.option("--checkpoint", metavar="URI", hidden=True)
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
    """Write a study into an HTML page that works offline.

    The page has the figures, the best trials, the diagnosis, every trial with its explanation, and the settings. It
    needs plotly: pip install "bo-service[report]".

    `bo trial report` reports progress of a trial.
    """
    of_trial = {"TRIAL": number, "METRIC=VALUE": metrics or None, "--lease": token, "--step": step}
    given = [name for name, value in {**of_trial, "--checkpoint": checkpoint}.items() if value is not None]
    if output is not None and given:
        raise click.UsageError(
            f"-o writes a page on the study; {', '.join(given)} reports a trial: give one or the other"
        )
    if output is not None:
        _write(client, study_id, output)
        return
    if not given:
        raise click.UsageError("missing -o FILE, the page to write; `bo trial report` reports progress of a trial")
    if number is None or token is None or step is None or not metrics:
        missing = ", ".join(name for name, value in of_trial.items() if value is None)
        raise click.UsageError(f"missing {missing}, to report a trial; see `bo trial report --help`")
    from bo_client.cli.trial_changes import report_progress  # an earlier form of `bo trial report`

    report_progress(client, study_id, number, token, step, checkpoint or "", metrics)


def _write(client: Client, study_id: str, output: Path) -> None:
    from bo_client.report import page  # plotly and jinja2 are loaded by those who write pages

    text = page(client.study(study_id))
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from None
    click.echo(str(output))
