"""Commands of `bo study` that change studies."""

import click

from bo_client.cli.arguments import Pairs, label_option, pass_client, study_argument
from bo_client.cli.setting_options import given_settings, setting_options
from bo_client.cli.transfer import without_result
from bo_client.client import Client
from bo_client.formatting import goals
from bo_client.models import StudyState
from bo_client.outcomes import completed
from bo_client.settings import StudySettings


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
@setting_options
@click.option("--display-name", default="", help="Name for display.")
@label_option
@pass_client
def create(
    client: Client,
    /,
    study_id: str,
    path: str,
    display_name: str,
    labels: Pairs,
    **given: object,
) -> None:
    """Create a study from a file, or find the one created from it.

    Options override the settings in the file.

    \b
    parameters:
      lr: {type: float, low: 1e-5, high: 0.1, scale: log}
      layers: {type: int, low: 1, high: 4}
      optimizer: {type: categorical, values: [adam, sgd]}
      batch_size: {type: discrete, values: [16, 32, 64]}
      momentum: {type: float, low: 0, high: 0.99, when: {optimizer: sgd}}
    metrics: {loss: minimize}
    settings: {max_trials: 30}

    With `settings: {fidelity: {metric: epoch, max: 27}, max_steps: 540, max_seconds: 36000}` trials are trained in
    parts, and 540 epochs or 36,000 seconds of training end the study.

    Up to three metrics may be minimized or maximized, and others bounded:

    \b
    metrics: {loss: minimize, size: minimize, latency: {at_most: 50}}
    """
    from bo_client import specfile  # YAML is loaded by those who read it

    file = specfile.load(path)
    settings: StudySettings = {**file.settings, **given_settings(**given)}
    study = client.create_study(
        study_id, file.space, file.metrics, display_name=display_name, labels=dict(labels), **settings
    )
    info = study.definition
    click.echo(f"{info.name}: {len(info.space.parameters)} parameters, {goals(info)}")


@click.command()
@study_argument
@pass_client
def pause(client: Client, study_id: str) -> None:
    """Pause a study. Running trials finish, and no new ones start."""
    _set_state(client, study_id, StudyState.PAUSED)


@click.command()
@study_argument
@click.option("--max-trials", type=click.IntRange(min=1), help="New total number of trials.")
@click.option("--max-steps", type=click.IntRange(min=1), help="New total number of epochs, or steps, of all trials.")
@click.option(
    "--max-seconds", type=click.FloatRange(min=0, min_open=True), help="New total of training seconds of all trials."
)
@pass_client
def resume(
    client: Client, study_id: str, max_trials: int | None, max_steps: int | None, max_seconds: float | None
) -> None:
    """Resume a study that was paused or completed."""
    info = client.study(study_id).resume(max_trials, max_steps, max_seconds)
    why = f": {completed(info)}" if info.state is StudyState.COMPLETED else ""
    click.echo(f"study {study_id} is {info.state}{why}")


@click.command()
@study_argument
@pass_client
def finish(client: Client, study_id: str) -> None:
    """Mark a study as completed. Workers exit after their current trial."""
    _set_state(client, study_id, StudyState.COMPLETED)


@click.command()
@study_argument
@click.argument("display_name", metavar="NAME")
@pass_client
def rename(client: Client, study_id: str, display_name: str) -> None:
    """Change the name of a study for display; its id never changes."""
    click.echo(f"study {study_id} is displayed as {client.study(study_id).rename(display_name).display_name!r}")


@click.command()
@study_argument
@setting_options
@pass_client
def update(client: Client, /, study_id: str, **given: object) -> None:
    """Change settings of a study. Those that are not given stay as they are."""
    settings = given_settings(**given)
    if not settings:
        raise click.UsageError("nothing to change; give an option, such as --max-trials 50")
    info = client.study(study_id).update(settings=settings)
    click.echo(f"study {study_id}: {', '.join(f'{name} is {info.settings.get(name)}' for name in settings)}")


@click.command("copy")
@study_argument
@click.argument("new_id", metavar="NEW")
@click.option("--trials/--no-trials", default=True, show_default=True, help="Whether to copy the results.")
@pass_client
def copy_command(client: Client, study_id: str, new_id: str, trials: bool) -> None:
    """Copy a study and its results into a new one.

    Results, also of stopped trials, and failures that the parameters caused, are copied with their learning curves and
    notes. Trials without a result, artifacts, and when trials were evaluated are not copied.
    """
    study = client.study(study_id)
    info = study.copy(new_id, trials).info()
    left_out = sum(study.info().counts.values()) - info.ended if trials else 0
    summary = f"{info.name}: {len(info.space.parameters)} parameters, {info.ended} trials, {goals(info)}"
    click.echo(f"{summary}{without_result(left_out)}")


@click.command()
@study_argument
@click.option("--trial", "number", type=click.IntRange(min=1), hidden=True, help="Delete only this trial.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@pass_client
def delete(client: Client, study_id: str, number: int | None, yes: bool) -> None:
    """Delete a study with all its trials."""
    if number is not None:  # an earlier form of `bo trial delete`
        delete_trial(client, study_id, number, yes)
        return
    if not yes:
        count = sum(client.study_info(study_id).counts.values())
        click.confirm(f"delete {study_id} with all of its {count} trials?", abort=True, err=True)
    client.delete_study(study_id)
    click.echo(f"deleted {study_id} with all of its trials")


def delete_trial(client: Client, study_id: str, number: int, yes: bool) -> None:
    """Delete a trial, after a confirmation unless it was given."""
    study = client.study(study_id)
    if not yes:
        click.confirm(f"delete trial {number} of {study_id}?", abort=True, err=True)
    study.delete_trial(number)
    click.echo(f"deleted trial {number} of {study_id}")


def _set_state(client: Client, study_id: str, state: StudyState) -> None:
    click.echo(f"study {study_id} is {client.study(study_id).update(state=state).state}")
