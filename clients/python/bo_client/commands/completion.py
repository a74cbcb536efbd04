"""`bo completion`, and what is completed: commands and options by click, studies by asking the server."""

from itertools import islice
from typing import Any

import click
from click.shell_completion import get_completion_class

from bo_client.client import Client
from bo_client.commands.connection import NAMES, connected
from bo_client.errors import BoClientError

PROGRAMS = ("bo", "bo-worker", "bo-service")
MOST, TIMEOUT = 500, 1.0
"""Studies that are offered, and seconds for which somebody who types waits for them."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete `bo`, `bo-worker` and `bo-service`.

    \b
    bash:  bo completion bash > ~/.local/share/bash-completion/completions/bo
           and likewise, or by links, for bo-worker and bo-service
    zsh:   source <(bo completion zsh), in ~/.zshrc after compinit
    fish:  bo completion fish > ~/.config/fish/conf.d/bo.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # click has all three
    for program in PROGRAMS:
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        click.echo(made(click.Command(program), {}, program, variable).source())


def study_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Those that begin so. Silent where the server can't be asked: nobody wants an error while they type."""
    try:
        client = ctx.find_object(Client) or _client(ctx.find_root().params)
        return [info.id for info in islice(client.studies(), MOST) if info.id.startswith(incomplete)]
    except BoClientError:
        return []


def _client(options: dict[str, Any]) -> Client:
    return connected(options["server"], TIMEOUT, 0.0, {name: options.get(name) for name in NAMES})
