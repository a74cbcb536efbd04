"""Commands of `bo trial` that request, report, change and end trials."""

import click

from bo_client.cli.arguments import (
    Pairs,
    json_option,
    label_option,
    lease_option,
    metrics_argument,
    number_argument,
    numbers,
    parameters_argument,
    pass_client,
    running_argument,
    study_argument,
    trial_argument,
)
from bo_client.cli.records import as_json
from bo_client.cli.study_changes import delete_trial
from bo_client.client import Client
from bo_client.formatting import in_order
from bo_client.models import FailureReason, Shortfall, Trial, TrialState
from bo_client.running import RunningTrial, Suggestions

checkpoint_option = click.option(
    "--checkpoint", metavar="URI", help="URI from which another attempt can resume; by default the last reported."
)


@click.command()
@study_argument
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 100), help="Number of trials.")
@click.option("--worker-id", help="Name of the worker; by default host and process.")
@click.option(
    "--can-resume", is_flag=True, help="Train in parts: accept paused trials, and pause with `bo trial pause`."
)
@json_option
@pass_client
def suggest(client: Client, study_id: str, count: int, worker_id: str | None, can_resume: bool, as_json_: bool) -> None:
    """Request trials to run.

    Report on a trial before its lease expires, or another worker gets it. The exit code is 1 if there is no trial.
    """
    study = client.study(study_id)
    trials = study._suggestions(count, worker_id, can_resume=can_resume)
    if not trials:
        raise click.ClickException(_shortfall_message(study_id, trials))
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
        click.echo(f"  bo trial complete {study_id} {trial.number} --lease {trial.lease_token} {results}")


def _shortfall_message(study_id: str, suggestions: Suggestions) -> str:
    shortfall, retry_delay, limit = suggestions.shortfall, suggestions.retry_delay, suggestions.reached_limit
    more = f"; {limit.setting} is reached: `bo study resume {study_id} {limit.option} …` raises it" if limit else ""
    reasons = {
        Shortfall.ALL_IN_PROGRESS: f"{limit.setting if limit else 'max_trials'} is reached, and some trials still run",
        Shortfall.PAUSED: f"it is paused; run `bo study resume {study_id}`",
        Shortfall.COMPLETED: f"it is completed{more}",
        Shortfall.SPACE_EXHAUSTED: "every configuration of its space has been tried",
        Shortfall.NEEDS_RESUME: "only paused trials are left; resume them with --can-resume, or end them with "
        "`bo trial stop`",
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
@running_argument
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
@running_argument
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
    """Queue a configuration, which is tried before any suggestion."""
    study = client.study(study_id)
    _ended(study.enqueue(study.definition.space.parse(dict(parameters)), dict(labels)))


@click.command()
@study_argument
@number_argument(TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED)
@click.option("--reason", default="", help="Reason that the worker and other users see.")
@pass_client
def stop(client: Client, study_id: str, number: int, reason: str) -> None:
    """Stop a trial.

    A queued or paused trial ends at once. The worker of a running trial ends it at its next report.
    """
    trial = client.study(study_id).stop_trial(number, reason)
    click.echo(f"trial {number} {'is asked to stop' if not trial.state.is_ended else trial.state}")


@click.command()
@study_argument
@running_argument
@lease_option
@click.option("--step", type=click.IntRange(min=0), required=True, help="Step of the learning curve.")
@click.option("--checkpoint", metavar="URI", help="URI from which another attempt can resume.")
@metrics_argument
@pass_client
def report(
    client: Client, study_id: str, number: int, token: str, step: int, checkpoint: str | None, metrics: Pairs
) -> None:
    """Report progress of a trial, and renew its lease.

    It prints `go on`, or `stop` or `pause` with the reason.
    """
    report_progress(client, study_id, number, token, step, checkpoint or "", metrics)


def report_progress(
    client: Client, study_id: str, number: int, token: str, step: int, checkpoint: str, metrics: Pairs
) -> None:
    """Report progress of a trial, and print what its worker should do."""
    values = numbers(metrics)
    heartbeat = client.study(study_id).attach(number, token).report(values, step, checkpoint_uri=checkpoint)
    if heartbeat.should_stop or not heartbeat.lease_valid:
        click.echo(f"stop: {heartbeat.reason}")
    elif heartbeat.should_pause:
        click.echo(f"pause: {heartbeat.reason}")
    else:
        until = "" if heartbeat.until_step is None else f" until step {heartbeat.until_step}"
        click.echo(f"go on{until}, leased for {heartbeat.lease_remaining:g} s")


@click.command()
@study_argument
@running_argument
@lease_option
@checkpoint_option
@pass_client
def pause(client: Client, study_id: str, number: int, token: str, checkpoint: str | None) -> None:
    """Give back a trial at its checkpoint.

    Use it after `bo trial report` has printed `pause`; a worker that can resume continues the trial later.
    """
    _ended(client.study(study_id).attach(number, token).pause(checkpoint or ""))


@click.command()
@study_argument
@trial_argument
@click.argument("text", metavar="TEXT")
@pass_client
def note(client: Client, study_id: str, number: int, text: str) -> None:
    """Write the note of a trial; an empty TEXT removes it."""
    written = client.study(study_id).set_note(number, text)
    click.echo(f"trial {number} has {'a' if written.note else 'no'} note")


@click.command()
@study_argument
@trial_argument
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@pass_client
def delete(client: Client, study_id: str, number: int, yes: bool) -> None:
    """Delete a trial that is not running. The model no longer uses it."""
    delete_trial(client, study_id, number, yes)


def _ended(trial: Trial) -> None:
    click.echo(f"trial {trial.number} {trial.state}")
