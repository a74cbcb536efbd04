"""Commands under earlier names that do what several commands do today."""

import click

from bo_client.cli.arguments import study_argument
from bo_client.cli.study_changes import pause as pause_study
from bo_client.cli.trial_changes import checkpoint_option
from bo_client.cli.trial_changes import pause as pause_trial


@click.command(epilog="`bo study pause` and `bo trial pause` are the current names of this command.", hidden=True)
@study_argument
@click.argument("number", required=False, metavar="[TRIAL]", type=click.IntRange(min=1))
@click.option("--lease", "token", metavar="TOKEN", help="Lease token of the trial, as printed by `bo trial suggest`.")
@checkpoint_option
@click.pass_context
def pause(ctx: click.Context, study_id: str, number: int | None, token: str | None, checkpoint: str | None) -> None:
    """Pause a study, or give back a trial at its checkpoint."""
    if number is not None and token is not None:
        ctx.invoke(pause_trial, study_id=study_id, number=number, token=token, checkpoint=checkpoint)
    elif number is not None or token is not None or checkpoint is not None:
        raise click.UsageError("to give back a trial, give TRIAL and --lease; to pause the study, give STUDY alone")
    else:
        ctx.invoke(pause_study, study_id=study_id)
