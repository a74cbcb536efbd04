"""Define `bo-service token`, which manages tokens in the database without a server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from bo_service.cli.errors import loading
from bo_service.cli.storage import storage_option

if TYPE_CHECKING:
    from bo_service.application.ports import Clock, Store
    from bo_service.domain.access import Token


@click.group()
def token() -> None:
    """Create, list and revoke tokens on the machine that has the database.

    Use it for the first token, or if an administrator has lost theirs. While a server has a SQLite database open, use
    `bo token create` with an administrator's token instead.
    """


@token.command("create")
@storage_option
@click.option("--role", type=click.Choice(["reader", "worker", "admin"]), required=True, help="Role of the token.")
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="ID",
    help="Study id, or PREFIX*, that the token gives access to; repeatable.  [default: all]",
)
@click.option("--days", type=float, help="Days until the token expires.  [default: never]")
@click.option("--description", default="", show_default=False, help="Note that `list` shows.")
def create(storage: str, role: str, studies: tuple[str, ...], days: float | None, description: str) -> None:
    """Create a token. The token is printed once, alone on standard output."""
    with _opened(storage) as (store, clock):
        from bo_service.application.tokens import NewToken, create_token
        from bo_service.domain.access import Role

        lifetime = None if days is None else timedelta(days=days)
        issued = create_token(store, clock, NewToken(Role(role), studies, description, lifetime))
        click.echo(issued.text)
        click.echo(f"{issued.token.name}: keep it secret; it is not shown again", err=True)


@token.command("list")
@storage_option
def list_command(storage: str) -> None:
    """List the tokens, without their secrets."""
    with _opened(storage) as (store, clock):
        from bo_service.application.tokens import list_tokens

        for stored in list_tokens(store):
            click.echo(_line(stored, clock.now()))


@token.command("revoke")
@storage_option
@click.argument("token_id", metavar="ID")
def revoke(storage: str, token_id: str) -> None:
    """Revoke a token."""
    with _opened(storage) as (store, clock):
        from bo_service.application.tokens import revoke_token

        click.echo(f"revoked {revoke_token(store, clock, token_id.removeprefix('tokens/')).name}")


@contextmanager
def _opened(storage: str) -> "Iterator[tuple[Store, Clock]]":
    """Open the database; report an error as one line on standard error and exit."""
    with loading():
        from bo_service.domain.errors import BoError
        from bo_service.storage.factory import open_store
    try:
        store = open_store(storage)
        try:
            yield store, store.clock
        finally:
            store.close()
    except BoError as error:
        hint = "; or ask that server: bo --server HOST:PORT token --help" if "in_use" in error.metadata else ""
        sys.exit(f"bo-service: {error.message}{hint}")


def _line(token: "Token", now: datetime) -> str:
    state = "revoked" if token.revoke_time else "valid" if token.is_valid(now) else "expired"
    used = f"{token.last_use_time:%Y-%m-%d %H:%M}" if token.last_use_time else "never"
    studies = ",".join(token.studies) or "all studies"
    return f"{token.token_id}  {token.role.value:7} {state:8} used {used:16}  {studies}  {token.description}".rstrip()
