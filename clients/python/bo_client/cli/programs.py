"""The commands of `bo` that belong to the server's and the worker's programs, found by their names when they are used.

The client imports neither program: it asks the installed distribution for the programs `bo-service` and `bo-worker`.
"""

import copy
from importlib.metadata import entry_points
from typing import Any

import click

from bo_client.cli.connection import CONNECTION_NAMES

MISSING = {
    "bo-service": 'the server is not installed here: pip install "bo-service[server]"',
    "bo-worker": "workers are not installed here: pip install bo-service",
}
SETTINGS: dict[str, dict[str, Any]] = {"bo-service": {"auto_envvar_prefix": "BO_SERVICE", "show_default": True}}
"""Settings that commands get from their program's group."""


def command_of(name: str, target: str) -> click.Command:
    """Return a program's command, or the whole program as a group, with a name.

    Args:
        name: name of the command below `bo`.
        target: `program command`, or the program alone.

    Returns:
        The command; if the program is not installed, one that fails with what to install.
    """
    program, _, wanted = target.partition(" ")
    try:
        (point,) = entry_points(group="console_scripts", name=program)
        group = point.load()
    except (ImportError, ValueError) as error:
        return _missing(name, f"{MISSING[program]} ({error})" if isinstance(error, ImportError) else MISSING[program])
    settings = SETTINGS.get(program, {})
    if wanted:
        prefix = f"{settings['auto_envvar_prefix']}_{wanted.upper()}"
        return _inside(group.commands[wanted], program, name, {**settings, "auto_envvar_prefix": prefix})
    whole = _inside(group, program, name, settings)
    assert isinstance(whole, click.Group)
    whole.commands = {
        each: _inside(command, program, name, command.context_settings) for each, command in group.commands.items()
    }
    return whole


def _inside(command: click.Command, program: str, name: str, settings: dict[str, Any]) -> click.Command:
    """Return a copy of a command for use below `bo`; its help names it so."""
    copied = copy.copy(command)
    copied.context_settings = {**command.context_settings, **settings}
    copied.help = command.help and command.help.replace(f"{program} ", f"bo {name} ")
    return copied


def _missing(name: str, message: str) -> click.Command:
    def fail(**_: object) -> None:
        raise click.ClickException(message)

    arguments = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True, "help_option_names": []}
    return click.Command(name, settings, fail, [arguments], help=f"Not available: {message}.")


def with_connection(ctx: click.Context, command: click.Command, arguments: list[str]) -> list[str]:
    """Return the arguments of a program's group, with the connection options that precede it on the command line.

    Args:
        ctx: context of `bo`.
        command: the group.
        arguments: its arguments; the first names one of its commands.
    """
    child = command.commands.get(arguments[0]) if isinstance(command, click.Group) and arguments else None
    if child is None or not any(parameter.name == "server" for parameter in child.params):
        return arguments
    return [arguments[0], *given_connection(ctx), *arguments[1:]]


def given_connection(ctx: click.Context) -> list[str]:
    """Return the connection options of the command line, as arguments."""
    given: list[str] = []
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if name not in CONNECTION_NAMES or source is not click.core.ParameterSource.COMMANDLINE:
            continue
        value = ctx.params[name]
        if isinstance(value, bool):
            given.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            given += [parameter.opts[0], str(value)]
    return given
