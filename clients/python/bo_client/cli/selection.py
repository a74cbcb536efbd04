"""Selection of trials for a table: by state and condition, sorted, and limited in number."""

import functools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click

from bo_client.cli.completion import column_names
from bo_client.formatting import duration
from bo_client.models import StudyInfo, Trial, TrialState

F = TypeVar("F", bound=Callable[..., Any])
Cell = str | float | None

CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*")
TERMINAL_LIMIT = 30
"""Default number of trials on a terminal."""
COLUMNS: dict[str, Callable[[Trial], Cell]] = {
    "trial": lambda trial: trial.number,
    "state": lambda trial: trial.state.value,
    "time": duration,
    "from": lambda trial: (trial.origin or "").lower(),
    "worker": lambda trial: trial.worker_id,
    "attempt": lambda trial: trial.attempt,
    "failure": lambda trial: trial.failure.reason.value if trial.failure else None,
}
"""Columns besides the metrics, parameters and labels."""
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@dataclass(frozen=True)
class Selection:
    """What the options of a command select."""

    states: tuple[TrialState, ...] = ()
    conditions: tuple[tuple[str, str, str], ...] = ()
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    """Maximum number of trials; 0 for all, None for the default."""

    def of(self, info: StudyInfo, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that match all conditions, sorted; all of them, regardless of the limit.

        Raises:
            click.BadParameter: a column does not exist, or has no order.
        """
        wanted = [trial for trial in trials if not self.states or trial.state in self.states]
        for name, sign, text in self.conditions:
            read = column(info, trials, name, "--where")
            wanted = [trial for trial in wanted if _matches(name, read(trial), sign, text)]
        if self.sort is None:
            return wanted[::-1] if self.reverse else wanted
        read = column(info, trials, self.sort, "--sort")
        with_value = sorted((t for t in wanted if read(t) is not None), key=lambda t: _order(read(t)))
        return [*(with_value[::-1] if self.reverse else with_value), *(t for t in wanted if read(t) is None)]

    def limited(self, selected: list[Trial], for_people: bool = True) -> list[Trial]:
        """Return as many as the limit allows: the last ones by number, or the first ones of a given order.

        Args:
            selected: the trials, as `of` returns them.
            for_people: whether the default limit applies on a terminal.
        """
        default = TERMINAL_LIMIT if for_people and sys.stdout.isatty() else 0
        limit = default if self.limit is None else self.limit
        if not limit or limit >= len(selected):
            return selected
        return selected[:limit] if self.sort or self.reverse else selected[-limit:]


def selection_options(command: F) -> F:
    """Add the options that select trials; the command gets them as `selection`."""

    @functools.wraps(command)
    def gathered(
        *args: Any,
        states: tuple[TrialState, ...],
        conditions: tuple[tuple[str, str, str], ...],
        sort: str | None,
        reverse: bool,
        limit: int | None,
        **kwargs: Any,
    ) -> Any:
        return command(*args, selection=Selection(states, conditions, sort, reverse, limit), **kwargs)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return cast(F, gathered)


def column(info: StudyInfo, trials: Sequence[Trial], name: str, option: str) -> Callable[[Trial], Cell]:
    """Return the function that reads a column of a trial.

    Raises:
        click.BadParameter: there is no such column.
    """
    if name in (metric.name for metric in info.metrics):
        return lambda trial: trial.value(name)
    if name in info.space.names:
        return lambda trial: trial.parameters.get(name)
    if name in COLUMNS:
        return COLUMNS[name]
    if any(name in trial.labels for trial in trials):
        return lambda trial: trial.labels.get(name)
    known = ", ".join([*(metric.name for metric in info.metrics), *info.space.names, *COLUMNS])
    raise click.BadParameter(f"there is no column {name!r}; choose one of {known}, or a label", param_hint=option)


def _condition(
    _: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, str, str], ...]:
    found = []
    for text in given:
        match = CONDITION.fullmatch(text)
        if match is None or not match[3]:
            raise click.BadParameter(f"{text!r} is not a condition such as 'loss<0.3'", param=parameter)
        found.append((match[1], match[2], match[3]))
    return tuple(found)


def _matches(name: str, value: Cell, sign: str, text: str) -> bool:
    """Return whether a value fulfills a condition; an absent value fulfills none."""
    if value is None:
        return False
    if not isinstance(value, str):
        try:
            return COMPARISONS[sign](value, float(text))
        except ValueError:
            raise click.BadParameter(f"{name} is a number, and {text!r} is not", param_hint="--where") from None
    if sign not in ("=", "==", "!="):
        raise click.BadParameter(f"{name} is text; compare it with = or !=", param_hint="--where")
    return COMPARISONS[sign](value.lower(), text.lower())


def _order(value: Cell) -> tuple[bool, Any]:
    return isinstance(value, str), value


_OPTIONS = [
    click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(list(TrialState), case_sensitive=False),
        metavar="STATE",
        help="Only trials in this state, such as running; repeatable.",
    ),
    click.option(
        "--where",
        "conditions",
        multiple=True,
        callback=_condition,
        metavar="CONDITION",
        help="Only trials that match, such as 'loss<0.3' or 'optimizer=adam'; repeatable.",
    ),
    click.option(
        "--sort",
        metavar="COLUMN",
        shell_complete=column_names,
        help="Sort by a metric, a parameter, time, state, worker or label, ascending.",
    ),
    click.option("--reverse", is_flag=True, help="Reverse the order."),
    click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        help="Number of trials to list: the latest, or with --sort or --reverse the first; 0 for all. By default "
        f"{TERMINAL_LIMIT} on a terminal, else all.",
    ),
]
