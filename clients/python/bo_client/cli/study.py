"""The group `bo study`."""

import click

from bo_client.cli import study_changes, study_views, transfer
from bo_client.cli.family import OrderedGroup


@click.group(cls=OrderedGroup)
def study() -> None:
    """Create, list, show and change studies."""


for _command in (
    study_changes.create,
    study_views.list_studies,
    study_views.show,
    study_views.workers,
    study_changes.pause,
    study_changes.resume,
    study_changes.finish,
    study_changes.update,
    study_changes.rename,
    study_changes.copy_command,
    study_changes.delete,
    transfer.export,
    transfer.import_command,
):
    study.add_command(_command)
