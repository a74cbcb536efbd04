"""Shell completion: the command `bo completion`, and the completion of study ids."""

from itertools import islice
from typing import Any

import click
from click.shell_completion import get_completion_class

from bo_client.cli.connection import NAMES, connected
from bo_client.client import Client
from bo_client.errors import BoClientError

PROGRAMS = ("bo", "bo-worker", "bo-service")
MAX_STUDIES, TIMEOUT_S = 500, 1.0
"""Maximum number of studies offered, and maximum seconds to wait for the server."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell for `bo`, `bo-worker` and `bo-service`.

    \b
    bash:  bo completion bash > ~/.local/share/bash-completion/completions/bo
           and the same, or links, for bo-worker and bo-service
    zsh:   source <(bo completion zsh), in ~/.zshrc after compinit
    fish:  bo completion fish > ~/.config/fish/conf.d/bo.fish
    """
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # click has all three
    for program in PROGRAMS:
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        click.echo(completion_class(click.Command(program), {}, program, variable).source())


def study_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of studies with a prefix; empty if the server does not respond."""
    try:
        client = ctx.find_object(Client) or _client(ctx.find_root().params)
        return [info.id for info in islice(client.studies(), MAX_STUDIES) if info.id.startswith(incomplete)]
    except BoClientError:
        return []


def _client(options: dict[str, Any]) -> Client:
    return connected(options["server"], TIMEOUT_S, 0.0, {name: options.get(name) for name in NAMES})
