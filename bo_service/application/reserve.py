"""Quick suggestions made ahead: one costs as much as many, and that grows with the study's trials."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from bo_service.application.memory import Known
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Suggestion

AHEAD = 32
STUDIES = 256
"""Whose suggestions are kept; those that were used longest ago are forgotten."""


@dataclass
class _Stock:
    guard: threading.Lock = field(default_factory=threading.Lock)
    last_number: int = 0
    left: list[Suggestion] = field(default_factory=list)
    taken: list[Configuration] = field(default_factory=list)


class Reserve:
    """The next points of studies' sequences, each of which is given to one call alone."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._stocks: OrderedDict[Hashable, _Stock] = OrderedDict()

    def take(
        self, known: Known, count: int, make: Callable[[Evidence, int], list[Suggestion]]
    ) -> tuple[int, list[Suggestion]]:
        """Up to `count` suggestions for a study, fewer only where there are none, and the last trial they know of.

        `make` makes quick suggestions from evidence, where too few are left.
        """
        study = known.study
        stock = self._stock((study.study_id, study.create_time, study.spec.suggestion))
        with stock.guard:
            if len(stock.left) < count:
                stock.last_number, evidence = known.last_number, known.evidence
                on_the_way = _unknown(stock.taken, evidence)
                all_known = replace(evidence, pending=(*evidence.pending, *on_the_way))
                stock.left, stock.taken = make(all_known, max(count, AHEAD)), on_the_way
            found, stock.left = stock.left[:count], stock.left[count:]
            stock.taken += [s.configuration for s in found]
            return stock.last_number, found

    def _stock(self, key: Hashable) -> _Stock:
        with self._guard:
            stock = self._stocks.setdefault(key, _Stock())
            self._stocks.move_to_end(key)
            if len(self._stocks) > STUDIES:
                self._stocks.popitem(last=False)
            return stock


def _unknown(taken: Sequence[Configuration], evidence: Evidence) -> list[Configuration]:
    """Those that are not stored yet, or never will be."""
    known = {_key(c) for c in (*evidence.pending, *(t.configuration for t in evidence.past))}
    return [c for c in taken if _key(c) not in known]


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
