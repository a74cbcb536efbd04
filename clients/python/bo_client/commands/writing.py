"""The commands of `bo` that change something."""

from typing import Literal

import click

from bo_client.client import Client
from bo_client.commands.arguments import (
    json_option,
    label_option,
    lease_option,
    metrics_argument,
    numbers,
    parameters_argument,
    pass_client,
    study_argument,
    trial_argument,
)
from bo_client.commands.records import as_json
from bo_client.running import RunningTrial
from bo_client.settings import Acquisition
from bo_client.values import FailureReason, Shortfall, StudyState, Trial
from bo_client.wording import goals, in_order

Pairs = tuple[tuple[str, str], ...]


@click.command()
@study_argument
@click.option("--space", "path", required=True, type=click.Path(), metavar="FILE", help="YAML or JSON; see below.")
@click.option("--max-trials", type=click.IntRange(min=1), help="Trials in all; overrides the file's.")
@click.option("--seed", type=int, help="Makes suggestions reproducible; overrides the file's.")
@click.option(
    "--acquisition",
    type=click.Choice(["log_ei", "ucb", "log_pi", "portfolio", "log_nei"]),
    help="What the surrogate is searched with, where there is one objective; overrides the file's.",
)
@click.option(
    "--per-cost/--no-per-cost",
    default=None,
    help="Whether improvement counts per second that a trial takes; overrides the file's.",
)
@click.option(
    "--stopping",
    type=click.Choice(["none", "median", "successive_halving", "curve"]),
    help="Which rule stops unpromising trials early; overrides the file's.",
)
@click.option(
    "--warm-start",
    "sources",
    multiple=True,
    metavar="STUDY",
    help="An earlier study to start from; may be repeated. They override the file's.",
)
@click.option("--display-name", default="", help="For people.")
@label_option
@pass_client
def create(
    client: Client,
    study_id: str,
    path: str,
    max_trials: int | None,
    seed: int | None,
    acquisition: Acquisition | None,
    per_cost: bool | None,
    stopping: Literal["none", "median", "successive_halving", "curve"] | None,
    sources: tuple[str, ...],
    display_name: str,
    labels: Pairs,
) -> None:
    """Create a study from a file, or find the one created from it.

    \b
    parameters:
      lr: {type: float, low: 1e-5, high: 0.1, scale: log}
      layers: {type: int, low: 1, high: 4}
      optimizer: {type: categorical, values: [adam, sgd]}
      batch_size: {type: discrete, values: [16, 32, 64]}
      momentum: {type: float, low: 0, high: 0.99, when: {optimizer: sgd}}
    metrics: {loss: minimize}
    settings: {max_trials: 30}

    Up to three metrics may be minimized or maximized, and others kept to a
    bound:

    \b
    metrics: {loss: minimize, size: minimize, latency: {at_most: 50}}
    """
    from bo_client import specfile  # YAML is loaded by those who read it

    file = specfile.load(path)
    settings = file.settings
    if max_trials is not None:
        settings["max_trials"] = max_trials
    if seed is not None:
        settings["seed"] = seed
    if acquisition is not None:
        settings["acquisition"] = acquisition
    if per_cost is not None:
        settings["per_cost"] = per_cost
    if stopping is not None:
        settings["stopping"] = stopping
    if sources:
        settings["warm_start_studies"] = sources
    study = client.create_study(
        study_id, file.space, file.metrics, display_name=display_name, labels=dict(labels), **settings
    )
    info = study.definition
    click.echo(f"{info.name}: {len(info.space.parameters)} parameters, {goals(info)}")


@click.command()
@study_argument
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 100), help="How many trials.")
@click.option("--worker-id", help="Who will run them; by default this host and process.")
@json_option
@pass_client
def suggest(client: Client, study_id: str, count: int, worker_id: str | None, as_json_: bool) -> None:
    """Ask for trials to run; exit code 1 where there are none.

    Report to a trial before its lease ends, or it will be given to somebody else.
    """
    study = client.study(study_id)
    trials = study._suggestions(count, worker_id)
    if not trials:
        raise click.ClickException(_why_none(study_id, trials.shortfall, trials.retry_delay))
    if as_json_:
        click.echo(as_json([_suggestion(trial) for trial in trials]))
        return
    for trial in trials:
        click.echo(f"trial {trial.number}, leased for {trial.lease_seconds:g} s")
        for name, value in in_order(trial.parameters, study.definition.space).items():
            click.echo(f"  {name} = {value}")
        results = " ".join(f"{metric.name}=VALUE" for metric in study.definition.steering)
        click.echo(f"  bo complete {study_id} {trial.number} --lease {trial.lease_token} {results}")


def _why_none(study_id: str, shortfall: Shortfall | None, retry_delay: float | None) -> str:
    reasons = {
        Shortfall.ALL_IN_PROGRESS: "max_trials have been made, and some still run",
        Shortfall.PAUSED: f"it is paused; `bo resume {study_id}` goes on",
        Shortfall.COMPLETED: "it is completed",
        Shortfall.SPACE_EXHAUSTED: "every configuration of its space has been tried",
    }
    why = reasons[shortfall] if shortfall else "the server gives no reason"
    again = f"; ask again in {retry_delay:g} s" if retry_delay else ""
    return f"study {study_id!r} gives out no trial: {why}{again}"


def _suggestion(trial: RunningTrial) -> dict[str, object]:
    return {
        "number": trial.number,
        "parameters": in_order(trial.parameters, trial.study.definition.space),
        "lease_token": trial.lease_token,
        "lease_seconds": trial.lease_seconds,
        "attempt": trial.attempt,
        "checkpoint_uri": trial.checkpoint_uri,
    }


@click.command()
@study_argument
@trial_argument
@lease_option
@click.option("--step", type=click.IntRange(min=0), help="Place on the learning curve; by default its last.")
@metrics_argument
@pass_client
def complete(client: Client, study_id: str, number: int, token: str, step: int | None, metrics: Pairs) -> None:
    """Complete a trial with its final metrics."""
    given = numbers(metrics)
    _ended(client.study(study_id).attach(number, token).complete(given, step))


@click.command()
@study_argument
@trial_argument
@lease_option
@click.option(
    "--reason",
    required=True,
    metavar="REASON",
    type=click.Choice(list(FailureReason), case_sensitive=False),
    help="OUT_OF_MEMORY, DIVERGED and INVALID_CONFIGURATION blame the parameters; CRASHED, PREEMPTED and TIMEOUT the "
    "machine: then the trial is tried again.",
)
@click.option("--message", default="", help="What happened, for people.")
@pass_client
def fail(client: Client, study_id: str, number: int, token: str, reason: str, message: str) -> None:
    """End a trial without a result."""
    _ended(client.study(study_id).attach(number, token).fail(reason, message))


@click.command()
@study_argument
@parameters_argument
@label_option
@pass_client
def enqueue(client: Client, study_id: str, parameters: Pairs, labels: Pairs) -> None:
    """Queue a configuration, to be handed out before any suggestion."""
    study = client.study(study_id)
    _ended(study.enqueue(study.definition.space.parse(dict(parameters)), dict(labels)))


@click.command()
@study_argument
@trial_argument
@click.option("--reason", default="", help="For people.")
@pass_client
def stop(client: Client, study_id: str, number: int, reason: str) -> None:
    """End a queued trial; ask the worker of a running one to end it."""
    trial = client.study(study_id).stop_trial(number, reason)
    click.echo(f"trial {number} {'is asked to stop' if not trial.state.is_ended else trial.state}")


@click.command()
@study_argument
@pass_client
def pause(client: Client, study_id: str) -> None:
    """Give out no more trials; those that run go on."""
    _set_state(client, study_id, StudyState.PAUSED)


@click.command()
@study_argument
@click.option("--max-trials", type=click.IntRange(min=1), help="Also change the number of trials of the study in all.")
@pass_client
def resume(client: Client, study_id: str, max_trials: int | None) -> None:
    """Give out trials again, where the study is paused or completed."""
    study = client.study(study_id)
    click.echo(f"study {study_id} is {study.update(state=StudyState.ACTIVE, max_trials=max_trials).state}")


@click.command()
@study_argument
@pass_client
def finish(client: Client, study_id: str) -> None:
    """Declare a study completed: its workers go home."""
    _set_state(client, study_id, StudyState.COMPLETED)


@click.command()
@study_argument
@click.option("--trial", "number", type=click.IntRange(min=1), help="Delete this trial alone.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_client
def delete(client: Client, study_id: str, number: int | None, yes: bool) -> None:
    """Delete a study with all of its trials, or one trial."""
    what = f"trial {number} of {study_id}" if number else f"{study_id} with all of its trials"
    if not yes:
        click.confirm(f"delete {what}?", abort=True, err=True)
    if number:
        client.study(study_id).delete_trial(number)
    else:
        client.delete_study(study_id)
    click.echo(f"deleted {what}")


def _set_state(client: Client, study_id: str, state: StudyState) -> None:
    click.echo(f"study {study_id} is {client.study(study_id).update(state=state).state}")


def _ended(trial: Trial) -> None:
    click.echo(f"trial {trial.number} {trial.state}")


WRITING = (create, suggest, complete, fail, enqueue, stop, pause, resume, finish, delete)
