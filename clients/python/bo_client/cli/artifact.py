"""The command `bo artifact`."""

import sys
from pathlib import Path

import click

from bo_client.cli.arguments import json_option, pass_client, study_argument, trial_argument
from bo_client.cli.completion import artifact_names
from bo_client.cli.records import artifact_record, as_json
from bo_client.client import Client
from bo_client.formatting import artifact_line

SOURCE = click.Path(exists=False)
name_argument = click.argument("name", metavar="NAME", shell_complete=artifact_names)


@click.group()
def artifact() -> None:
    """Add, list and get the files of a trial.

    An artifact is a file of at most 1 MiB, such as an image, or the URI of a larger one.
    """


@artifact.command("add")
@study_argument
@trial_argument
@click.argument("source", metavar="FILE", type=SOURCE)
@click.option("--name", help="Name of the artifact.  [default: the file's]")
@click.option(
    "--media-type", metavar="TYPE", help="Media type, such as image/png.  [default: by the ending of the name]"
)
@click.option(
    "--lease", "token", default="", metavar="TOKEN", help="Lease token of the trial; required until it has ended."
)
@pass_client
def add(
    client: Client, study_id: str, number: int, source: str, name: str | None, media_type: str | None, token: str
) -> None:
    """Add a file to a trial; one with the same name is replaced.

    FILE is a file of at most 1 MiB, or a URI such as gs://bucket/model.keras, which is stored as it is.
    """
    study = client.study(study_id)
    added = study.add_artifact(number, source, name=name, media_type=media_type, lease_token=token)
    click.echo(f"added {artifact_line(added)}")


@artifact.command("list")
@study_argument
@trial_argument
@json_option
@pass_client
def list_command(client: Client, study_id: str, number: int, as_json_: bool) -> None:
    """List the files of a trial."""
    artifacts = client.study(study_id).artifacts(number)
    if as_json_:
        click.echo(as_json([artifact_record(each) for each in artifacts]))
        return
    if not artifacts:
        click.echo(f"trial {number} has no artifacts", err=True)
    for each in artifacts:
        click.echo(artifact_line(each))


@artifact.command("get")
@study_argument
@trial_argument
@name_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Output file, or - for standard output.  [default: NAME in the current folder]",
)
@pass_client
def get(client: Client, study_id: str, number: int, name: str, output: str | None) -> None:
    """Save a file of a trial.

    A file that exists is overwritten only if --output names it.
    """
    target = name if output is None else output
    if output is None and Path(target).exists():
        raise click.ClickException(f"{target}: exists; choose another file with --output")
    content = client.study(study_id).read_artifact(number, name)
    if target == "-":
        if sys.stdout.isatty():
            raise click.ClickException("standard output is a terminal; choose a file with --output")
        sys.stdout.buffer.write(content)
        return
    try:
        Path(target).write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"{target}: cannot be written: {error.strerror}") from None
    click.echo(f"wrote {target}, {len(content):,} bytes")
