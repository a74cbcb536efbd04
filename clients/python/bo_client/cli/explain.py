"""Commands of `bo` that show the surrogate's analysis of a study."""

from dataclasses import asdict

import click

from bo_client import diagnosis
from bo_client.cli.arguments import json_option, pass_client, study_argument
from bo_client.cli.completion import parameter_names, trial_numbers
from bo_client.cli.records import as_json
from bo_client.client import Client
from bo_client.errors import FailedPrecondition


@click.command()
@study_argument
@json_option
@pass_client
def explain(client: Client, study_id: str, as_json_: bool) -> None:
    """Show which parameters matter, and how certain the best trial is.

    The output has the importance of each parameter, whether the best trial is significantly better than the runners-up,
    and how well the model predicts held-out trials.
    """
    study = client.study(study_id)
    analysis = study.analyze()
    if as_json_:
        click.echo(as_json(asdict(analysis)))
        return
    from bo_client.cli import insight_tables, tables

    tables.console().print(insight_tables.analysis_text(study.definition, analysis))


@click.command("slice")
@study_argument
@click.argument("parameters", nargs=-1, required=True, metavar="PARAMETER [PARAMETER]", shell_complete=parameter_names)
@click.option(
    "--grid",
    type=click.IntRange(2, 1000),
    help="Number of values of each parameter; by default 50 for one parameter, 25 for two.",
)
@click.option(
    "--trial",
    "number",
    type=click.IntRange(min=1),
    shell_complete=trial_numbers(),
    help="Trial that has the values of the other parameters; by default the best.",
)
@json_option
@pass_client
def slice_(
    client: Client, study_id: str, parameters: tuple[str, ...], grid: int | None, number: int | None, as_json_: bool
) -> None:
    """Show predictions along one or two parameters."""
    study = client.study(study_id)
    base = None if number is None else study.trial(number, full=False).parameters
    predicted = study.slice(*parameters, grid_size=grid, base=base)
    if as_json_:
        click.echo(as_json(asdict(predicted)))
        return
    from bo_client.cli import insight_tables, tables

    tables.console().print(insight_tables.slice_table(study.definition, predicted))


@click.command()
@study_argument
@json_option
@pass_client
def diagnose(client: Client, study_id: str, as_json_: bool) -> None:
    """Diagnose a study and recommend changes.

    The output lists important parameters with their intervals, bounds near which the best trials lie, regions without a
    good trial, a recommendation for each parameter, and the diagnostics that workers reported.
    """
    study = client.study(study_id)
    try:
        analysis = study.analyze()
    except FailedPrecondition:  # too few results for a surrogate
        analysis = None
    info = study.info()
    study_diagnosis = diagnosis.diagnose(info, list(study.trials()), analysis)
    if as_json_:
        click.echo(as_json(asdict(study_diagnosis)))
        return
    from bo_client.cli import diagnosis as diagnosis_text
    from bo_client.cli import tables

    best = study.best() if study_diagnosis.results else None
    tables.console().print(diagnosis_text.study_text(info, study_diagnosis, best))
