"""Writes docs/commands.md out of click's commands: `scripts/commands`."""

import inspect
from collections.abc import Iterator

import bo_client.cli.main
import bo_worker.cli
import click
from bo_client.cli.main import ALIASES

import bo_service.cli.main

PROGRAMS = {"bo": bo_client.cli.main.main, "bo-worker": bo_worker.cli.main, "bo-service": bo_service.cli.main.main}

OTHER_PROGRAMS = {"bo serve": "`bo-service serve`", "bo worker": "`bo-worker`"}
HEAD = """# Commands

What `--help` says, in one page. It is written by `scripts/commands`.

| exit code | |
|---|---|
| 0 | done; `bo-service serve` also after a graceful end |
| 1 | refused or failed, in one line on standard error; nothing to show or to hand out |
| 2 | wrong usage |
| 130 | Ctrl-C cut something off; 143: SIGTERM did |

`bo completion bash`, `zsh` or `fish` prints what completes all three in a shell: also studies, trials, names of
parameters and metrics, and objectives.

Earlier names of commands still work, with the same options, output and exit codes:

| earlier | current |
|---|---|
"""


def page() -> Iterator[str]:
    """The lines."""
    yield HEAD + "".join(f"| `bo {name}` | {current(path)} |\n" for name, path in ALIASES.items())
    for name, command in PROGRAMS.items():
        yield from section(command, click.Context(command, info_name=name, **command.context_settings), 2)


def current(path: str) -> str:
    """The current names of a command."""
    return "`bo study pause`, `bo trial pause`" if ":" in path else f"`bo {path}`"


def section(command: click.Command, ctx: click.Context, level: int) -> Iterator[str]:
    """A command, and those within it."""
    yield f"{'#' * level} {ctx.command_path}\n"
    if ctx.command_path in OTHER_PROGRAMS:
        yield f"The same as {OTHER_PROGRAMS[ctx.command_path]}, below.\n"
        return
    yield f"```text\n{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    yield text(command.help or "") + "\n"
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record and isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            yield f"- `{record[0]}`: {record[1]}".rstrip(": ")
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            assert child is not None
            yield from section(child, click.Context(child, parent=ctx, info_name=name), min(level + 1, 4))


def text(help_text: str) -> str:
    """Paragraphs; those that click leaves as they are become blocks."""
    parts = inspect.cleandoc(help_text).split("\n\n")
    return "\n\n".join(f"```text\n{part[2:].strip()}\n```" if part.startswith("\b\n") else part for part in parts)


if __name__ == "__main__":
    print("\n".join(page()).rstrip())
