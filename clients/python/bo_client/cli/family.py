"""Groups of commands that load a command only when it is used, list commands in sections, and accept earlier names."""

import copy
import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

OTHER_SECTION = "Commands"
MAX_SUMMARY = 200
"""Maximum length of the first sentence of a help."""


@dataclass(frozen=True)
class Entry:
    """A command in the help of its group, without the command itself."""

    section: str
    target: str
    """`module:attribute`; of another program of this family `program command`, or the program alone."""
    summary: str
    """The first sentence of the command's help."""


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name, each loaded when it is looked up. Earlier names are found, but not listed."""

    def __init__(self, entries: Mapping[str, Entry], aliases: Mapping[str, str]) -> None:
        self.entries, self.aliases = dict(entries), dict(aliases)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            if name in self.aliases:
                self._loaded[name] = _renamed(self._find(self.aliases[name]), self.aliases[name])
            else:
                self._loaded[name] = load(name, self.entries[name].target)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self.entries[name] = Entry(OTHER_SECTION, "", command.get_short_help_str(limit=MAX_SUMMARY))
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self.entries[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _find(self, path: str) -> click.Command:
        """Return the command at a path such as `study create`, or the one at `module:attribute`."""
        if ":" in path:
            return load("", path)
        first, *rest = path.split()
        command = self[first]
        for name in rest:
            assert isinstance(command, click.Group)
            command = command.commands[name]
        return command


class FamilyGroup(click.Group):
    """A group of commands that are loaded one by one."""

    commands: LazyCommands

    def __init__(
        self, *args: Any, entries: Mapping[str, Entry], aliases: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.commands = LazyCommands(entries, aliases or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the help, without earlier names."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the sections, without loading a command."""
        sections: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.commands))
        for name, entry in self.commands.entries.items():
            sections.setdefault(entry.section, []).append((name.ljust(width), entry.summary))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that fit, or the earlier names if no other fits, and options."""
        entries, aliases = self.commands.entries.items(), self.commands.aliases.items()
        fits = [CompletionItem(name, help=entry.summary) for name, entry in entries if name.startswith(incomplete)]
        if not fits:
            fits = [
                CompletionItem(name, help=self.commands[name].get_short_help_str())
                for name, _ in aliases
                if name.startswith(incomplete)
            ]
        return [*fits, *click.Command.shell_complete(self, ctx, incomplete)]


class OrderedGroup(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which the commands were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the first sentence of each command's help, whole."""
        rows = [(name, command.get_short_help_str(limit=MAX_SUMMARY)) for name, command in self.commands.items()]
        with formatter.section(OTHER_SECTION):
            formatter.write_dl(rows)


def load(name: str, target: str) -> click.Command:
    """Return the command of an entry, with a name."""
    module, colon, attribute = target.partition(":")
    if not colon:
        from bo_client.cli.programs import command_of

        return command_of(name, target)
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def _renamed(command: click.Command, path: str) -> click.Command:
    """Return the command under an earlier name, which its help mentions."""
    alias = copy.copy(command)
    if ":" not in path:
        alias.epilog = f"`bo {path}` is the current name of this command."
    alias.hidden = True
    return alias
