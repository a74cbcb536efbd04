"""The table of trials: filtered, sorted and cut into pages here, so that a browser holds one page of them."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bo_client import trial_filter
from bo_client.errors import InvalidRequest
from bo_client.models import StudyInfo, Trial, TrialState
from bo_client.parameters import Value
from bo_client.trial_columns import TrialColumn, columns_of, in_order

MAX_ROWS = 500
DEFAULT_ROWS = 50
NEWEST_FIRST = "-number"


@dataclass(frozen=True)
class TableQuery:
    """What a page of the table shows.

    Raises:
        InvalidRequest: the state, the page or the number of rows does not exist.
    """

    filter: str = ""
    state: str = ""
    """A state of trials; empty for all."""
    order: str = NEWEST_FIRST
    """The key of a column, after `-` for descending."""
    page: int = 0
    """From 0; the last page is returned for a larger number."""
    rows: int = DEFAULT_ROWS

    def __post_init__(self) -> None:
        if self.state and self.state not in TrialState.__members__:
            raise InvalidRequest.of("state", f"is {self.state!r}; there are {', '.join(TrialState)}")
        if not 1 <= self.rows <= MAX_ROWS:
            raise InvalidRequest.of("rows", f"is {self.rows}; give 1 to {MAX_ROWS}")

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "TableQuery":
        """Return the query of a request.

        Raises:
            InvalidRequest: a value is invalid.
        """
        return cls(
            query.get("filter", ""),
            query.get("state", ""),
            query.get("order") or NEWEST_FIRST,
            _whole("page", query.get("page", "0")),
            _whole("rows", query.get("rows", str(DEFAULT_ROWS))),
        )

    def server_order(self, study: StudyInfo) -> str:
        """Return the server's name of the order; empty if the server cannot find the page, as with a filter."""
        key = self.order.removeprefix("-")
        order = next((column.order for column in columns_of(study, ()) if column.key == key), "")
        if self.filter.strip() or self.page or not order:
            return ""
        return f"{order} desc" if self.order.startswith("-") else order

    def count(self, study: StudyInfo) -> int:
        """Return how many trials are in the wanted state, or in all."""
        return study.counts.get(TrialState[self.state], 0) if self.state else sum(study.counts.values())


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest.of(name, f"is {text[:40]!r}; give a whole number")
    return int(text)


def select_trials(study: StudyInfo, trials: Sequence[Trial], query: TableQuery) -> list[Trial]:
    """Return the trials that the query asks for, in its order.

    Raises:
        InvalidRequest: the filter has a part without a meaning.
    """
    return _selected(trials, query, columns_of(study, trials))


def _selected(trials: Sequence[Trial], query: TableQuery, columns: Sequence[TrialColumn]) -> list[Trial]:
    condition = trial_filter.parse(query.filter, columns)
    kept = [t for t in trials if (not query.state or t.state == query.state) and condition(t)]
    is_descending, key = query.order.startswith("-"), query.order.removeprefix("-")
    column = next((c for c in columns if c.key == key), columns[0])
    return in_order(kept, column, is_descending)


def page_of(study: StudyInfo, trials: Sequence[Trial], query: TableQuery) -> dict[str, Any]:
    """Return a page of the table as JSON; a `fault` says what in the filter has no meaning, and there are no rows."""
    columns = columns_of(study, trials)
    content: dict[str, Any] = {"columns": [_head(column) for column in columns], "total": len(trials)}
    try:
        kept = _selected(trials, query, columns)
    except InvalidRequest as error:
        return {**content, "fault": str(error), "rows": [], "count": 0, "page": 0, "pages": 1}
    pages = max(1, math.ceil(len(kept) / query.rows))
    page = min(query.page, pages - 1)
    shown = kept[page * query.rows : (page + 1) * query.rows]
    names = [m.name for m in study.metrics]
    rows = [_row(trial, columns, names) for trial in shown]
    return {**content, "rows": rows, "count": len(kept), "page": page, "pages": pages}


def _head(column: TrialColumn) -> dict[str, Any]:
    return {"key": column.key, "title": column.title, "kind": column.kind, "isShown": column.is_shown}


def _row(trial: Trial, columns: Sequence[TrialColumn], metrics: Collection[str]) -> dict[str, Any]:
    cells = {column.key: _cell(value) for column in columns if (value := column.read(trial)) is not None}
    row: dict[str, Any] = {"number": trial.number, "state": trial.state.value, "cells": cells}
    latest = trial.latest_measurement
    if latest is not None and trial.final_measurement is None:
        values = {name: _cell(value) for name, value in latest.metrics.items() if name in metrics}
        row["latest"] = {"step": latest.step, "metrics": values}
    return row


def _cell(value: Value | Sequence[str]) -> object:
    """Return a value as JSON, which has no infinities."""
    if isinstance(value, tuple | list):
        return " ".join(f"#{tag}" for tag in value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
