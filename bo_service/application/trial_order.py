"""The order in which trials are listed, and where a page of them begins."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from bo_service.application.ports import TrialSummary
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.parameter_types import Value
from bo_service.domain.study import Study

COLUMNS = ("number", "state", "start_time", "end_time", "duration")
"""Columns besides `metrics.NAME` and `parameters.NAME`."""


class Rank(NamedTuple):
    """A value to sort by: numbers come before texts."""

    is_text: bool
    number: float
    text: str


class Position(NamedTuple):
    """The place after a trial. It stays the same while other trials change."""

    rank: Rank | None
    """None for a trial without a value."""
    number: int


@dataclass(frozen=True)
class TrialOrder:
    """An order by one column; trials without a value come last, and trials with the same value by number."""

    column: str = "number"
    is_descending: bool = False

    @classmethod
    def parse(cls, text: str) -> "TrialOrder":
        """Return the order of a text such as `metrics.loss desc`; by number if it is empty.

        Raises:
            InvalidArgument: there is no such order.
        """
        column, direction, *rest = [*(text.split() or ["number"]), "asc"][:3]
        kind, _, name = column.partition(".")
        is_column = column in COLUMNS or (kind in ("metrics", "parameters") and name)
        if not is_column or direction not in ("asc", "desc") or rest not in ([], ["asc"]):
            allowed = ", ".join([*COLUMNS, "metrics.NAME", "parameters.NAME"])
            raise InvalidArgument.of("order_by", f"is {text[:200]!r}; give one of {allowed}, and desc to descend")
        return cls(column, direction == "desc")

    @property
    def text(self) -> str:
        """The order as text."""
        return f"{self.column} desc" if self.is_descending else self.column

    @property
    def is_by_number(self) -> bool:
        """Whether trials are sorted by their numbers, ascending, which is the order in which they are stored."""
        return self.column == "number" and not self.is_descending

    def check(self, study: Study) -> None:
        """Refuse a parameter or metric that the study does not have.

        Raises:
            InvalidArgument: there is none of this name.
        """
        kind, _, name = self.column.partition(".")
        names = {
            "metrics": [metric.name for metric in study.spec.metrics],
            "parameters": [parameter.name for parameter in study.spec.space.parameters],
        }.get(kind)
        if names is not None and name not in names:
            listed = ", ".join(names[:30])
            raise InvalidArgument.of("order_by", f"is {self.text!r}, and {study.name} has the {kind} {listed}")

    def position_of(self, trial: TrialSummary) -> Position:
        """Return the place after a trial."""
        return Position(self._rank(trial), trial.number)

    def first(self, trials: Iterable[TrialSummary], after: Position | None, limit: int) -> list[int]:
        """Return the numbers of the first `limit` trials after a position, or of all, in this order."""
        present, absent = [], []
        for trial in trials:
            rank = self._rank(trial)
            if after is not None and not self._follows(rank, trial.number, after):
                continue
            if rank is None:
                absent.append(trial.number)
            else:
                present.append((rank, -trial.number if self.is_descending else trial.number))
        select = heapq.nlargest if self.is_descending else heapq.nsmallest
        numbers = [abs(number) for _, number in select(limit, present)]
        return numbers + heapq.nsmallest(limit - len(numbers), absent)

    def _follows(self, rank: Rank | None, number: int, after: Position) -> bool:
        if rank is None or after.rank is None or rank == after.rank:
            return number > after.number if rank == after.rank else rank is None
        return rank < after.rank if self.is_descending else rank > after.rank

    def _rank(self, trial: TrialSummary) -> Rank | None:
        """Return what a trial is sorted by; None if it has no value, or NaN."""
        value = self._value(trial)
        if value is None or (isinstance(value, float) and isnan(value)):
            return None
        if isinstance(value, bool | str):
            return Rank(True, 0.0, str(value).lower())
        return Rank(False, float(value), "")

    def _value(self, trial: TrialSummary) -> Value | None:
        kind, _, name = self.column.partition(".")
        match kind:
            case "metrics":
                return trial.final_measurement.metrics.get(name) if trial.final_measurement else None
            case "parameters":
                return trial.parameters.get(name)
            case "state":
                return trial.state.name
            case "start_time":
                return trial.start_time.timestamp() if trial.start_time else None
            case "end_time":
                return trial.end_time.timestamp() if trial.end_time else None
            case "duration":
                is_over = trial.start_time and trial.end_time
                return (trial.end_time - trial.start_time).total_seconds() if is_over else None  # type: ignore[operator]
            case _:
                return trial.number
