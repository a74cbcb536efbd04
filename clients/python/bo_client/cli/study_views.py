"""Commands of `bo study` and `bo trial` that show studies and trials."""

from contextlib import suppress
from datetime import UTC, datetime

import click

from bo_client.artifacts import Artifact
from bo_client.cli.arguments import json_option, pass_client, study_argument, trial_argument
from bo_client.cli.records import artifact_record, as_json, machine_record, study_record, trial_record
from bo_client.cli.selection import Selection, selection_options
from bo_client.client import Client
from bo_client.errors import NotSupported
from bo_client.models import StudyState
from bo_client.study import Study

NEVER = datetime.min.replace(tzinfo=UTC)


@click.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(StudyState), case_sensitive=False),
    metavar="STATE",
    help="Only studies in this state: active, paused or completed; repeatable.",
)
@click.option(
    "--sort",
    type=click.Choice(["id", "changed"]),
    default="id",
    show_default=True,
    help="Order; changed lists the last change first.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Number of studies to list; by default all.")
@json_option
@pass_client
def list_studies(client: Client, states: tuple[StudyState, ...], sort: str, limit: int | None, as_json_: bool) -> None:
    """List the studies."""
    infos = [info for info in client.studies() if not states or info.state in states]
    if sort == "changed":
        infos.sort(key=lambda info: info.update_time or NEVER, reverse=True)
    infos = infos[:limit]
    if as_json_:
        click.echo(as_json([study_record(info) for info in infos]))
        return
    if not infos:
        click.echo("there are no studies; see `bo study create --help`" if not states else "no study matches", err=True)
        return
    from bo_client.cli import tables

    tables.console().print(tables.studies_table(infos))


@click.command()
@study_argument
@selection_options
@click.option("--trial", "number", type=click.IntRange(min=1), hidden=True, help="Show this trial alone.")
@json_option
@pass_client
def show(client: Client, study_id: str, selection: Selection, number: int | None, as_json_: bool) -> None:
    """Show a study and its trials.

    A star marks the best trial, and ✗ a violated bound. Columns that do not fit the terminal are left out.
    """
    study = client.study(study_id)
    if number is not None:  # an earlier form of `bo trial show`
        _show_trial(study, number, as_json_)
        return
    trials = list(study.trials(full=as_json_))
    selected = selection.of(study.definition, trials)
    shown = selection.limited(selected, for_people=not as_json_)
    if as_json_:
        records = [trial_record(trial, study.definition) for trial in shown]
        click.echo(as_json({"study": study_record(study.definition), "trials": records}))
        return
    from bo_client.cli import tables

    best = study.best_trials(1)
    out = tables.console()
    out.print(tables.study_text(study.definition, best, trials))
    if trials:
        out.print()
        out.print(tables.trials_table(study.definition, shown, best, len(selected), len(trials)))


@click.command("list")
@study_argument
@selection_options
@json_option
@pass_client
def list_trials(client: Client, study_id: str, selection: Selection, as_json_: bool) -> None:
    """List the trials of a study.

    A star marks the best trial, and ✗ a violated bound. Columns that do not fit the terminal are left out.
    """
    study = client.study(study_id)
    listed = selection.read(study, full=as_json_, for_people=not as_json_)
    if as_json_:
        click.echo(as_json([trial_record(trial, study.definition) for trial in listed.shown]))
        return
    from bo_client.cli import tables

    best = study.best_trials(1)
    table = tables.trials_table(study.definition, listed.shown, best, listed.matching, listed.total)
    tables.console().print(table)


@click.command("show")
@study_argument
@trial_argument
@json_option
@pass_client
def show_trial(client: Client, study_id: str, number: int, as_json_: bool) -> None:
    """Show a trial with its attempts, note and artifacts."""
    _show_trial(client.study(study_id), number, as_json_)


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
@json_option
@pass_client
def workers(client: Client, study_id: str, as_json_: bool) -> None:
    """Show how many attempts of each machine failed, why, and when.

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
