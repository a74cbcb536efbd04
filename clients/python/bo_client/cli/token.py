"""The command `bo token`, for administrators."""

from datetime import datetime
from typing import cast

import click

from bo_client.cli.arguments import json_option, pass_client
from bo_client.cli.completion import study_ids, token_ids
from bo_client.cli.records import as_json
from bo_client.client import Client
from bo_client.tokens import Role, TokenInfo


@click.group()
def token() -> None:
    """Create, list and revoke tokens of a running server.

    This needs an administrator's token. Create the first token with `bo-service token create` where the database is, or
    with this command on the server's machine while there are no tokens.
    """


@token.command("create")
@click.option("--role", type=click.Choice(["reader", "worker", "admin"]), required=True, help="Role of the token.")
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="ID",
    shell_complete=study_ids,
    help="Study id, or PREFIX*, that the token gives access to; repeatable.  [default: all]",
)
@click.option("--days", type=float, help="Days until the token expires.  [default: never]")
@click.option("--description", default="", help="Note that `list` shows.")
@pass_client
def create(client: Client, role: str, studies: tuple[str, ...], days: float | None, description: str) -> None:
    """Create a token. The token is printed once, alone on standard output."""
    lifetime = None if days is None else days * 86400
    created = client.tokens.create(cast(Role, role), studies, lifetime, description)
    click.echo(created.text)
    click.echo(f"token {created.info.id}: keep it secret; it is not shown again", err=True)


@token.command("list")
@json_option
@pass_client
def list_command(client: Client, as_json_: bool) -> None:
    """List the tokens, without their secrets."""
    tokens = list(client.tokens)
    if as_json_:
        click.echo(as_json([_record(info) for info in tokens]))
        return
    if not tokens:
        click.echo("there are no tokens, so the server requires none; see `bo token create --help`", err=True)
    for info in tokens:
        click.echo(_line(info))


@token.command("revoke")
@click.argument("token_id", metavar="ID", shell_complete=token_ids)
@pass_client
def revoke(client: Client, token_id: str) -> None:
    """Revoke a token. Every server rejects it within seconds."""
    click.echo(f"revoked token {client.tokens.revoke(token_id.removeprefix('tokens/')).id}")


def _record(info: TokenInfo) -> dict[str, object]:
    return {name: at.isoformat() if isinstance(at, datetime) else at for name, at in vars(info).items()}


def _line(info: TokenInfo) -> str:
    state = "revoked" if info.revoke_time else "valid" if info.is_valid else "expired"
    used = f"{info.last_use_time:%Y-%m-%d %H:%M}" if info.last_use_time else "never"
    studies = ",".join(info.studies) or "all studies"
    return f"{info.id}  {info.role:7} {state:8} used {used:16}  {studies}  {info.description}".rstrip()
