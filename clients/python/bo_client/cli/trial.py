"""The group `bo trial`."""

import click

from bo_client.cli import study_views, trial_changes
from bo_client.cli.family import OrderedGroup


@click.group(cls=OrderedGroup)
def trial() -> None:
    """List trials, and run them from a shell.

    `bo trial suggest` prints the parameters and the lease token of a trial; `report`, `complete`, `fail` and `pause`
    take both its number and the token.
    """


for _command in (
    study_views.list_trials,
    study_views.show_trial,
    trial_changes.suggest,
    trial_changes.report,
    trial_changes.complete,
    trial_changes.fail,
    trial_changes.pause,
    trial_changes.stop,
    trial_changes.enqueue,
    trial_changes.note,
    trial_changes.delete,
):
    trial.add_command(_command)
