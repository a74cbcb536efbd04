"""The commands of `bo` that tell what the surrogate has understood of a study."""

from dataclasses import asdict

import click

from bo_client import diagnosis
from bo_client.client import Client
from bo_client.commands.arguments import json_option, pass_client, study_argument
from bo_client.commands.records import as_json
from bo_client.errors import FailedPrecondition


@click.command()
@study_argument
@json_option
@pass_client
def explain(client: Client, study_id: str, as_json_: bool) -> None:
    """Say which parameters matter, and whether the best is really best."""
    study = client.study(study_id)
    found = study.analyze()
    if as_json_:
        click.echo(as_json(asdict(found)))
        return
    from bo_client.commands import insight_tables, tables

    tables.console().print(insight_tables.analysis_text(study.definition, found))


@click.command("slice")
@study_argument
@click.argument("parameters", nargs=-1, required=True, metavar="PARAMETER [PARAMETER]")
@click.option("--grid", type=click.IntRange(2, 1000), help="Values of each; by default 50 for one, 25 for two.")
@click.option(
    "--trial", "number", type=click.IntRange(min=1), help="Hold the others at this trial's; by default the best."
)
@json_option
@pass_client
def slice_(
    client: Client, study_id: str, parameters: tuple[str, ...], grid: int | None, number: int | None, as_json_: bool
) -> None:
    """Say what is expected along one or two parameters."""
    study = client.study(study_id)
    base = None if number is None else study.trial(number, full=False).parameters
    found = study.slice(*parameters, grid_size=grid, base=base)
    if as_json_:
        click.echo(as_json(asdict(found)))
        return
    from bo_client.commands import insight_tables, tables

    tables.console().print(insight_tables.slice_table(study.definition, found))


@click.command()
@study_argument
@json_option
@pass_client
def diagnose(client: Client, study_id: str, as_json_: bool) -> None:
    """Diagnose a study and recommend changes.

    Shows which parameters matter, with their intervals; edges of the space that the best trials press against; parts
    of the space without a good trial; one line of advice for each parameter; and the findings of workers about trials.
    """
    study = client.study(study_id)
    try:
        analysis = study.analyze()
    except FailedPrecondition:  # too few results for a surrogate
        analysis = None
    info = study.info()
    found = diagnosis.diagnose(info, list(study.trials()), analysis)
    if as_json_:
        click.echo(as_json(asdict(found)))
        return
    from bo_client.commands import diagnosis_text, tables

    best = study.best() if found.results else None
    tables.console().print(diagnosis_text.study_text(info, found, best))


EXPLAINING = (explain, slice_, diagnose)
