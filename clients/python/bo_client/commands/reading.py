"""The commands of `bo` that only look."""

import signal
import sys
from pathlib import Path

import click

from bo_client.client import Client
from bo_client.commands.arguments import json_option, parameters_argument, pass_client, study_argument
from bo_client.commands.records import as_csv, as_json, study_record, trial_record
from bo_client.study import Study

WATCH_PATIENCE = 60.0
"""Seconds for which a watched server may be away, as during a restart."""


@click.command()
@json_option
@pass_client
def studies(client: Client, as_json_: bool) -> None:
    """List the studies."""
    found = list(client.studies())
    if as_json_:
        click.echo(as_json([study_record(info) for info in found]))
        return
    from bo_client.commands import tables  # rich is loaded by those who draw

    tables.console().print(tables.studies_table(found))


@click.command()
@study_argument
@click.option(
    "--trial", "number", type=click.IntRange(min=1), metavar="NUMBER", help="Only this trial, with its attempts."
)
@json_option
@pass_client
def show(client: Client, study_id: str, number: int | None, as_json_: bool) -> None:
    """Show a study and its trials; a star marks the best, ✗ what is beyond its bound."""
    study = client.study(study_id)
    if number is not None:
        _show_trial(study, number, as_json_)
        return
    trials = list(study.trials(full=as_json_))
    if as_json_:
        records = [trial_record(trial, study.definition) for trial in trials]
        click.echo(as_json({"study": study_record(study.definition), "trials": records}))
        return
    from bo_client.commands import tables

    best = study.best_trials(1)
    out = tables.console()
    out.print(tables.study_text(study.definition, best))
    if trials:
        out.print()
        out.print(tables.trials_table(study.definition, trials, best))


def _show_trial(study: Study, number: int, as_json_: bool) -> None:
    trial = study.trial(number)
    if as_json_:
        click.echo(as_json(trial_record(trial, study.definition)))
        return
    from bo_client.commands import tables

    tables.console().print(tables.trial_text(study.definition, trial))


@click.command()
@study_argument
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many, where there is one objective.",
)
@json_option
@pass_client
def best(client: Client, study_id: str, count: int, as_json_: bool) -> None:
    """Show the best trials; exit code 1 where none has a result.

    Those within the bounds count. With several objectives it is the whole Pareto set: what no other trial beats in all.
    """
    study = client.study(study_id)
    found = study.best_trials(count)
    if not found:
        within = " within the bounds" if study.definition.limits else ""
        raise click.ClickException(f"no trial of {study_id} has a result{within} yet")
    if as_json_:
        click.echo(as_json([trial_record(trial, study.definition) for trial in found]))
        return
    from bo_client.commands import tables

    if len(study.definition.objectives) > 1:
        tables.console().print(tables.trials_table(study.definition, found, ()))
        return
    for trial in found:
        tables.console().print(tables.trial_text(study.definition, trial))


@click.command()
@study_argument
@click.option(
    "--exit-when-done/--keep-watching",
    default=True,
    show_default=True,
    help="Whether to end when the study is completed and nothing runs.",
)
@pass_client
def watch(client: Client, study_id: str, exit_when_done: bool) -> None:
    """Follow a study: a live picture on a terminal, else lines.

    A line tells of an ended trial. It ends when the study is completed.
    """
    from bo_client.commands import live

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the terminal's cursor comes back
    study = client.study(study_id)
    try:
        live.watch(study.definition, study.watch(patience=max(client.patience, WATCH_PATIENCE)), exit_when_done)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


@click.command()
@study_argument
@click.option("--format", "form", required=True, type=click.Choice(["csv", "json"]), help="JSON has the curves too.")
@click.option(
    "-o",
    "--output",
    default="-",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="By default the standard output.",
)
@pass_client
def export(client: Client, study_id: str, form: str, output: str) -> None:
    """Write a study and all of its trials."""
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
        raise click.ClickException(f"{output}: can't be written: {error.strerror}") from None


@click.command()
@study_argument
@parameters_argument
@json_option
@pass_client
def predict(client: Client, study_id: str, parameters: tuple[tuple[str, str], ...], as_json_: bool) -> None:
    """Say what the surrogate expects of a configuration."""
    study = client.study(study_id)
    (prediction,) = study.predict([study.definition.space.parse(dict(parameters))])
    if as_json_:
        told = {p.metric: {"mean": p.mean, "std": p.std} for p in prediction.predictions}
        click.echo(as_json({"predictions": told, "acquisition_value": prediction.acquisition_value}))
        return
    from bo_client.commands import tables

    tables.console().print(tables.prediction_text(study.definition, prediction))


READING = (studies, show, best, watch, export, predict)
