"""Selection of trials for a table: by state and condition, sorted, and limited in number."""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

import click

from bo_client import trial_filter
from bo_client.cli.completion import column_names
from bo_client.errors import InvalidRequest, NotSupported
from bo_client.models import StudyInfo, Trial, TrialState
from bo_client.study import Study
from bo_client.trial_columns import column_named, columns_of, in_order

F = TypeVar("F", bound=Callable[..., Any])

TERMINAL_LIMIT = 30
"""Default number of trials on a terminal."""


class TrialListing(NamedTuple):
    """Trials to show, the number of all that match, and the number of all."""

    shown: list[Trial]
    matching: int
    total: int


@dataclass(frozen=True)
class Selection:
    """The trials that the options of a command select."""

    states: tuple[TrialState, ...] = ()
    conditions: tuple[str, ...] = ()
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    """Maximum number of trials; 0 for all, None for the default."""

    def of(self, info: StudyInfo, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that match all conditions, sorted; all of them, regardless of the limit.

        Raises:
            click.BadParameter: a column does not exist, or has no order.
        """
        columns = columns_of(info, trials)
        wanted = [trial for trial in trials if not self.states or trial.state in self.states]
        for text in self.conditions:
            with _parameter_error("--where"):
                matches = trial_filter.parse(text, columns, has_words=False)
            wanted = [trial for trial in wanted if matches(trial)]
        if self.sort is None:
            return wanted[::-1] if self.reverse else wanted
        with _parameter_error("--sort"):
            column = column_named(self.sort, columns, "sort")
        return in_order(wanted, column, self.reverse)

    def read(self, study: Study, full: bool, for_people: bool = True) -> TrialListing:
        """Read the trials to show. Without conditions the server sorts them, and only these are read.

        Args:
            study: the study.
            full: whether to include learning curves.
            for_people: whether the default limit applies on a terminal.

        Raises:
            click.BadParameter: a column does not exist, or has no order.
        """
        info, limit, order = study.definition, self._limit(for_people), self._server_order(study.definition)
        if limit and order:
            with suppress(NotSupported):  # the server is of an older version
                trials = list(islice(study.trials(self.states, full, order), limit))
                matching = sum(info.counts.get(state, 0) for state in self.states or info.counts)
                is_by_number = self.sort is None and not self.reverse
                return TrialListing(trials[::-1] if is_by_number else trials, matching, sum(info.counts.values()))
        trials = list(study.trials(full=full))
        selected = self.of(info, trials)
        return TrialListing(self.limited(selected, for_people), len(selected), len(trials))

    def _server_order(self, info: StudyInfo) -> str:
        """Return the order in which the server lists the trials; empty if it cannot."""
        if self.conditions:
            return ""
        if self.sort is None:
            return "number desc"
        with suppress(InvalidRequest):  # such as a label, which only trials have
            order = column_named(self.sort, columns_of(info, ()), "sort").order
            return f"{order} desc" if order and self.reverse else order
        return ""

    def _limit(self, for_people: bool) -> int:
        default = TERMINAL_LIMIT if for_people and sys.stdout.isatty() else 0
        return default if self.limit is None else self.limit

    def limited(self, selected: list[Trial], for_people: bool = True) -> list[Trial]:
        """Return as many as the limit allows: the last ones by number, or the first ones of a given order.

        Args:
            selected: the trials, as `of` returns them.
            for_people: whether the default limit applies on a terminal.
        """
        limit = self._limit(for_people)
        if not limit or limit >= len(selected):
            return selected
        return selected[:limit] if self.sort or self.reverse else selected[-limit:]


def selection_options(command: F) -> F:
    """Add the options that select trials; the command gets them as `selection`."""

    @functools.wraps(command)
    def gathered(
        *args: Any,
        states: tuple[TrialState, ...],
        conditions: tuple[str, ...],
        sort: str | None,
        reverse: bool,
        limit: int | None,
        **kwargs: Any,
    ) -> Any:
        return command(*args, selection=Selection(states, conditions, sort, reverse, limit), **kwargs)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return cast(F, gathered)


@contextmanager
def _parameter_error(option: str) -> Iterator[None]:
    """Raise what has no meaning as a fault of an option."""
    try:
        yield
    except InvalidRequest as error:
        raise click.BadParameter(error.violations[0].description, param_hint=option) from None


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
        metavar="FILTER",
        help="Only trials that match, such as 'loss<0.3 optimizer=adam,sgd', as on the dashboard; repeatable.",
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
