"""The commands `bo artifact` and `bo note`."""

import sys
from pathlib import Path

import click

from bo_client.cli.arguments import json_option, pass_client, study_argument, trial_argument
from bo_client.cli.records import artifact_record, as_json
from bo_client.client import Client
from bo_client.formatting import artifact_line

name_argument = click.argument("name", metavar="NAME")


@click.group()
def artifact() -> None:
    """Add, list and get the files of a trial, such as images of its results."""


@artifact.command("add")
@study_argument
@trial_argument
@click.argument("source", metavar="FILE")
@click.option("--name", help="Name of the artifact; by default that of the file.")
@click.option("--media-type", metavar="TYPE", help="Such as image/png; by default what the name's ending says.")
@click.option("--lease", "token", default="", metavar="TOKEN", help="Lease token of the trial, while it has not ended.")
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
    found = client.study(study_id).artifacts(number)
    if as_json_:
        click.echo(as_json([artifact_record(each) for each in found]))
        return
    for each in found:
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
    help="Output file, which is overwritten; by default NAME in the current folder, and - for standard output.",
)
@pass_client
def get(client: Client, study_id: str, number: int, name: str, output: str | None) -> None:
    """Write the bytes of a file of a trial. A file that exists is overwritten only if --output names it."""
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


@click.command()
@study_argument
@trial_argument
@click.argument("text", metavar="TEXT")
@pass_client
def note(client: Client, study_id: str, number: int, text: str) -> None:
    """Write the note of a trial, in whichever state it is; an empty TEXT removes it."""
    written = client.study(study_id).set_note(number, text)
    click.echo(f"trial {number} has {'a' if written.note else 'no'} note")


ADDING = (artifact, note)
