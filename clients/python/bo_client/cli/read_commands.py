"""The read-only commands of `bo`."""

import signal
import sys
from contextlib import suppress
from pathlib import Path

import click

from bo_client.artifacts import Artifact
from bo_client.cli.arguments import json_option, parameters_argument, pass_client, study_argument
from bo_client.cli.records import artifact_record, as_csv, as_json, machine_record, study_record, trial_record
from bo_client.client import Client
from bo_client.errors import NotSupported
from bo_client.study import Study

WATCH_PATIENCE_S = 60.0
"""Seconds for which a watched server may be unavailable, as during a restart."""


@click.command()
@json_option
@pass_client
def studies(client: Client, as_json_: bool) -> None:
    """List the studies."""
    infos = list(client.studies())
    if as_json_:
        click.echo(as_json([study_record(info) for info in infos]))
        return
    from bo_client.cli import tables

    tables.console().print(tables.studies_table(infos))


@click.command()
@study_argument
@click.option(
    "--trial",
    "number",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Show this trial alone, with its note and artifacts.",
)
@json_option
@pass_client
def show(client: Client, study_id: str, number: int | None, as_json_: bool) -> None:
    """Show a study and its trials; a star marks the best, ✗ a violated bound."""
    study = client.study(study_id)
    if number is not None:
        _show_trial(study, number, as_json_)
        return
    trials = list(study.trials(full=as_json_))
    if as_json_:
        records = [trial_record(trial, study.definition) for trial in trials]
        click.echo(as_json({"study": study_record(study.definition), "trials": records}))
        return
    from bo_client.cli import tables

    best = study.best_trials(1)
    out = tables.console()
    out.print(tables.study_text(study.definition, best, trials))
    if trials:
        out.print()
        out.print(tables.trials_table(study.definition, trials, best))


def _show_trial(study: Study, number: int, as_json_: bool) -> None:
    trial = study.trial(number)
    artifacts: list[Artifact] = []
    with suppress(NotSupported):  # the server is of an older version
        artifacts = study.artifacts(number)
    if as_json_:
        files = {"artifacts": [artifact_record(artifact) for artifact in artifacts]} if artifacts else {}
        click.echo(as_json({**trial_record(trial, study.definition), **files}))
        return
    from bo_client.cli import tables

    tables.console().print(tables.trial_text(study.definition, trial, artifacts))


@click.command()
@study_argument
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Number of trials, with one objective.",
)
@json_option
@pass_client
def best(client: Client, study_id: str, count: int, as_json_: bool) -> None:
    """Show the best trials; exit code 1 if none has a result.

    Only trials within the bounds count. With several objectives the whole Pareto set is shown.
    """
    study = client.study(study_id)
    trials = study.best_trials(count)
    if not trials:
        within = " within the bounds" if study.definition.limits else ""
        raise click.ClickException(f"no trial of {study_id} has a result{within} yet")
    if as_json_:
        click.echo(as_json([trial_record(trial, study.definition) for trial in trials]))
        return
    from bo_client.cli import tables

    if len(study.definition.objectives) > 1:
        tables.console().print(tables.trials_table(study.definition, trials, ()))
        return
    for trial in trials:
        tables.console().print(tables.trial_text(study.definition, trial))


@click.command()
@study_argument
@json_option
@pass_client
def workers(client: Client, study_id: str, as_json_: bool) -> None:
    """Show the attempts of each machine: how many failed, why, and when.

    A worker's machine is its name without process and slot. In the timeline, x is a part of the time in which an
    attempt failed, o one in which all that ended succeeded, and · one in which none ended.
    """
    from bo_client.machines import by_machine

    study = client.study(study_id)
    machines = by_machine(list(study.trials()))
    if as_json_:
        click.echo(as_json([machine_record(machine) for machine in machines]))
        return
    if not machines:
        click.echo(f"no worker has begun a trial of {study_id} yet")
        return
    from bo_client.cli import tables

    tables.console().print(tables.machines_text(machines))


@click.command()
@study_argument
@click.option(
    "--exit-when-done/--keep-watching",
    default=True,
    show_default=True,
    help="Whether to exit when the study is completed and nothing runs.",
)
@pass_client
def watch(client: Client, study_id: str, exit_when_done: bool) -> None:
    """Follow a study: a live display on a terminal, else one line for each ended trial.

    The command exits when the study is completed.
    """
    from bo_client.cli import live

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the terminal's cursor comes back
    study = client.study(study_id)
    try:
        live.watch(study.definition, study.watch(patience=max(client.patience, WATCH_PATIENCE_S)), exit_when_done)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


@click.command()
@study_argument
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["csv", "json"]),
    help="Output format; json includes learning curves.",
)
@click.option(
    "-o",
    "--output",
    default="-",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Output file; by default standard output, where control characters are escaped.",
)
@pass_client
def export(client: Client, study_id: str, form: str, output: str) -> None:
    """Write a study and all its trials."""
    study = client.study(study_id)
    trials = list(study.trials(full=form == "json"))
    if form == "csv":
        text = as_csv(study.definition, trials)
    else:
        records = [trial_record(trial, study.definition) for trial in trials]
        text = as_json({"study": study_record(study.definition), "trials": records}) + "\n"
    if output == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from None


@click.command()
@study_argument
@parameters_argument
@json_option
@pass_client
def predict(client: Client, study_id: str, parameters: tuple[tuple[str, str], ...], as_json_: bool) -> None:
    """Show the surrogate's prediction of a configuration."""
    study = client.study(study_id)
    (prediction,) = study.predict([study.definition.space.parse(dict(parameters))])
    if as_json_:
        predictions = {p.metric: {"mean": p.mean, "std": p.std} for p in prediction.predictions}
        click.echo(as_json({"predictions": predictions, "acquisition_value": prediction.acquisition_value}))
        return
    from bo_client.cli import tables

    tables.console().print(tables.prediction_text(study.definition, prediction))


READING = (studies, show, best, workers, watch, export, predict)
