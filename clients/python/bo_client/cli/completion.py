"""Shell completion: the command `bo completion`, and the completion of studies, trials, names, files and objectives."""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from itertools import islice
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from bo_client.cli.connection import NAMES, connected
from bo_client.client import Client
from bo_client.errors import BoClientError
from bo_client.models import TrialState

if TYPE_CHECKING:
    from bo_client.study import Study

PROGRAMS = ("bo", "bo-worker", "bo-service")
MAX_ITEMS, TIMEOUT_S = 500, 1.0
"""Maximum number of studies or trials offered, and maximum seconds to wait for the server."""
OBJECTIVES_GROUP = "bo_objectives"

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It completes the commands, options, studies, trials, names of parameters and metrics, and objectives of `bo`,
    `bo-worker` and `bo-service`.

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


def study_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of studies with a prefix, each with its state; empty if the server does not respond."""
    try:
        infos = (info for info in _client(ctx).studies() if info.id.startswith(incomplete))
        return [CompletionItem(info.id, help=info.state.lower()) for info in islice(infos, MAX_ITEMS)]
    except BoClientError:
        return []


def trial_numbers(*states: TrialState) -> Completer:
    """Return a completion of the numbers of the study's trials in some states; of all without states."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        study = _study(ctx)
        try:
            trials = study.trials(states or None) if study else ()
            matching = islice((t for t in trials if str(t.number).startswith(incomplete)), MAX_ITEMS)
            return [CompletionItem(str(trial.number), help=trial.state.lower()) for trial in matching]
        except BoClientError:
            return []

    return complete


def parameter_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the study's parameters with a prefix."""
    study = _study(ctx)
    return _items(study.definition.space.names if study else (), incomplete)


def metric_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the study's metrics with a prefix."""
    study = _study(ctx)
    return _items((metric.name for metric in study.definition.metrics) if study else (), incomplete)


def column_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the study's metrics and parameters with a prefix, and other columns of its trials."""
    from bo_client.trial_columns import columns_of

    study = _study(ctx)
    return _items((column.key for column in columns_of(study.definition, ())) if study else (), incomplete)


def assigned(names: Completer) -> Completer:
    """Return a completion of NAME=, for the names of another completion that are not given yet."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(f"{item.value}=", help=item.help) for item in names(ctx, parameter, incomplete)]

    return complete


def artifact_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the trial's artifacts with a prefix."""
    study, number = _study(ctx), ctx.params.get("number")
    try:
        artifacts = study.artifacts(number) if study and number else ()
        return _items((artifact.artifact_id for artifact in artifacts), incomplete)
    except BoClientError:
        return []


def token_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of valid tokens with a prefix, each with its description."""
    try:
        tokens = [token for token in _client(ctx).tokens if token.is_valid and token.id.startswith(incomplete)]
    except BoClientError:
        return []
    return [CompletionItem(token.id, help=f"{token.role} {token.description}".rstrip()) for token in tokens]


def objective_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of installed objectives with a prefix, without loading one."""
    return _items(sorted({point.name for point in entry_points(group=OBJECTIVES_GROUP)}), incomplete)


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _study(ctx: click.Context) -> "Study | None":
    """Return the study that the arguments name; None if there is none, or no server responds."""
    study_id = ctx.params.get("study_id") or next(iter(ctx.args), None)  # click assigns none if an option lacks a value
    try:
        return _client(ctx).study(study_id) if study_id else None
    except BoClientError:
        return None


def _client(ctx: click.Context) -> Client:
    """Return a client for the connection options of the command, or of one of its groups."""
    client = ctx.find_object(Client)
    if client is not None:
        return client
    options = next(each.params for each in _upwards(ctx) if "server" in each.params)
    return connected(options["server"], TIMEOUT_S, 0.0, {name: options.get(name) for name in NAMES})


def _upwards(ctx: click.Context | None) -> Iterable[click.Context]:
    while ctx is not None:
        yield ctx
        ctx = ctx.parent
