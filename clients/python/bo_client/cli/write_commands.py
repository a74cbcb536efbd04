"""Commands of `bo` that change studies."""

from typing import Literal

import click

from bo_client.cli.arguments import (
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
from bo_client.cli.records import as_json
from bo_client.client import Client
from bo_client.formatting import goals, in_order
from bo_client.models import FailureReason, Shortfall, StudyState, Trial
from bo_client.running import RunningTrial
from bo_client.settings import ACQUISITIONS

Pairs = tuple[tuple[str, str], ...]


@click.command()
@study_argument
@click.option(
    "--space",
    "path",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="YAML or JSON file with the study; see below.",
)
@click.option("--max-trials", type=click.IntRange(min=1), help="Total number of trials; overrides the file.")
@click.option("--seed", type=int, help="Seed that makes suggestions reproducible; overrides the file.")
@click.option(
    "--acquisition",
    type=click.Choice(ACQUISITIONS),
    help="Acquisition function, with one objective; overrides the file.",
)
@click.option(
    "--per-cost/--no-per-cost",
    default=None,
    help="Whether to divide the improvement by the duration of a trial; overrides the file.",
)
@click.option(
    "--stopping",
    type=click.Choice(["none", "median", "successive_halving", "curve"]),
    help="Rule that stops unpromising trials early; overrides the file.",
)
@click.option(
    "--warm-start",
    "sources",
    multiple=True,
    metavar="STUDY",
    help="Earlier study whose observations are reused; repeatable; overrides the file.",
)
@click.option("--display-name", default="", help="Name for display.")
@label_option
@pass_client
def create(
    client: Client,
    study_id: str,
    path: str,
    max_trials: int | None,
    seed: int | None,
    acquisition: str | None,
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

    Up to three metrics may be minimized or maximized, and others bounded:

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
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 100), help="Number of trials.")
@click.option("--worker-id", help="Name of the worker; by default host and process.")
@click.option(
    "--can-resume", is_flag=True, help="Train in parts: accept paused trials, and pause with `bo pause STUDY TRIAL`."
)
@json_option
@pass_client
def suggest(client: Client, study_id: str, count: int, worker_id: str | None, can_resume: bool, as_json_: bool) -> None:
    """Request trials to run; exit code 1 if there are none.

    Report to a trial before its lease expires, or another worker gets it.
    """
    study = client.study(study_id)
    trials = study._suggestions(count, worker_id, can_resume=can_resume)
    if not trials:
        raise click.ClickException(_shortfall_message(study_id, trials.shortfall, trials.retry_delay))
    if as_json_:
        click.echo(as_json([_suggestion(trial) for trial in trials]))
        return
    for trial in trials:
        click.echo(f"trial {trial.number}, leased for {trial.lease_seconds:g} s")
        for name, value in in_order(trial.parameters, study.definition.space).items():
            click.echo(f"  {name} = {value}")
        if trial.checkpoint_uri:
            click.echo(f"  resume from {trial.checkpoint_uri}")
        if trial.until_step is not None:
            click.echo(f"  run until step {trial.until_step}")
        results = " ".join(f"{metric.name}=VALUE" for metric in study.definition.modelled_metrics)
        click.echo(f"  bo complete {study_id} {trial.number} --lease {trial.lease_token} {results}")


def _shortfall_message(study_id: str, shortfall: Shortfall | None, retry_delay: float | None) -> str:
    reasons = {
        Shortfall.ALL_IN_PROGRESS: "max_trials is reached, and some trials still run",
        Shortfall.PAUSED: f"it is paused; run `bo resume {study_id}`",
        Shortfall.COMPLETED: "it is completed",
        Shortfall.SPACE_EXHAUSTED: "every configuration of its space has been tried",
        Shortfall.NEEDS_RESUME: "only paused trials are left; resume them with --can-resume, or end them by `bo stop`",
    }
    why = reasons[shortfall] if shortfall else "the server gives no reason"
    again = f"; retry in {retry_delay:g} s" if retry_delay else ""
    return f"study {study_id!r} has no trial to run: {why}{again}"


def _suggestion(trial: RunningTrial) -> dict[str, object]:
    return {
        "number": trial.number,
        "parameters": in_order(trial.parameters, trial.study.definition.space),
        "lease_token": trial.lease_token,
        "lease_seconds": trial.lease_seconds,
        "attempt": trial.attempt,
        "checkpoint_uri": trial.checkpoint_uri,
        **({} if trial.until_step is None else {"until_step": trial.until_step}),
    }


@click.command()
@study_argument
@trial_argument
@lease_option
@click.option("--step", type=click.IntRange(min=0), help="Step of the learning curve; by default the last.")
@metrics_argument
@pass_client
def complete(client: Client, study_id: str, number: int, token: str, step: int | None, metrics: Pairs) -> None:
    """Complete a trial with its final metrics."""
    values = numbers(metrics)
    _ended(client.study(study_id).attach(number, token).complete(values, step))


@click.command()
@study_argument
@trial_argument
@lease_option
@click.option(
    "--reason",
    required=True,
    metavar="REASON",
    type=click.Choice(list(FailureReason), case_sensitive=False),
    help="OUT_OF_MEMORY, DIVERGED and INVALID_CONFIGURATION: caused by the parameters; CRASHED, PREEMPTED and TIMEOUT: "
    "caused by the machine, so the trial is retried.",
)
@click.option("--message", default="", help="Description of the failure.")
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
    """Queue a configuration, which is assigned before any suggestion."""
    study = client.study(study_id)
    _ended(study.enqueue(study.definition.space.parse(dict(parameters)), dict(labels)))


@click.command()
@study_argument
@trial_argument
@click.option("--reason", default="", help="Reason that the worker and other users see.")
@pass_client
def stop(client: Client, study_id: str, number: int, reason: str) -> None:
    """End a queued or paused trial, or ask the worker of a running one to end it."""
    trial = client.study(study_id).stop_trial(number, reason)
    click.echo(f"trial {number} {'is asked to stop' if not trial.state.is_ended else trial.state}")


@click.command()
@study_argument
@click.argument("number", required=False, metavar="[TRIAL]", type=click.IntRange(min=1))
@click.option("--lease", "token", metavar="TOKEN", help="Lease token of the trial, as printed by `bo suggest`.")
@click.option("--checkpoint", metavar="URI", help="URI from which the trial can resume; by default the last reported.")
@pass_client
def pause(client: Client, study_id: str, number: int | None, token: str | None, checkpoint: str | None) -> None:
    """Pause a study, or give back a trial at its checkpoint.

    `bo pause STUDY` assigns no more trials; running trials continue.

    `bo pause STUDY TRIAL --lease TOKEN --checkpoint URI` is for a trial whose `bo report` has printed `pause`.
    """
    if number is not None and token is not None:
        _ended(client.study(study_id).attach(number, token).pause(checkpoint or ""))
    elif number is not None or token is not None or checkpoint is not None:
        raise click.UsageError("to give back a trial, give TRIAL and --lease; to pause the study, give STUDY alone")
    else:
        _set_state(client, study_id, StudyState.PAUSED)


@click.command()
@study_argument
@click.option("--max-trials", type=click.IntRange(min=1), help="New total number of trials.")
@pass_client
def resume(client: Client, study_id: str, max_trials: int | None) -> None:
    """Assign trials again, after the study was paused or completed."""
    study = client.study(study_id)
    click.echo(f"study {study_id} is {study.update(state=StudyState.ACTIVE, max_trials=max_trials).state}")


@click.command()
@study_argument
@pass_client
def finish(client: Client, study_id: str) -> None:
    """Complete a study, so that its workers exit."""
    _set_state(client, study_id, StudyState.COMPLETED)


@click.command()
@study_argument
@click.option("--trial", "number", type=click.IntRange(min=1), help="Delete only this trial.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@pass_client
def delete(client: Client, study_id: str, number: int | None, yes: bool) -> None:
    """Delete a study with all its trials, or one trial."""
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
