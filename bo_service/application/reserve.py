"""Quick suggestions made ahead: one costs as much as many, and that grows with the study's trials."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from bo_service.application.memory import Known
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Suggestion

AHEAD, MOST_AHEAD = 32, 512
"""How many are made at once: the more, the more trials there are to look at."""
SHARE = 8
"""One for so many trials."""
STUDIES = 256
"""Whose suggestions are kept; those that were used longest ago are forgotten."""


@dataclass
class _Stock:
    guard: threading.Lock = field(default_factory=threading.Lock)
    last_number: int = 0
    """Of the trials that it knows of."""
    left: dict[Hashable, Suggestion] = field(default_factory=dict)
    """By their configurations."""
    taken: dict[Hashable, Configuration] = field(default_factory=dict)
    """Those that were given out, and are not known of yet."""

    def learn(self, known: Known) -> None:
        """Of the trials made since."""
        for number in range(self.last_number + 1, known.study.last_number + 1):
            if number in known.outlines:
                key = _key(known.outlines[number].parameters)
                self.left.pop(key, None)
                self.taken.pop(key, None)
        self.last_number = max(self.last_number, known.study.last_number)

    def take(self, count: int) -> list[Suggestion]:
        """The first of what is left."""
        keys = list(self.left)[:count]
        found = [self.left.pop(key) for key in keys]
        self.taken.update((key, s.configuration) for key, s in zip(keys, found, strict=True))
        return found


class Reserve:
    """The next points of studies' sequences, each of which is given to one call alone."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._stocks: OrderedDict[Hashable, _Stock] = OrderedDict()

    def take(self, known: Known, count: int, make: Callable[[Evidence, int], list[Suggestion]]) -> list[Suggestion]:
        """Up to `count` suggestions for a study, fewer only where there are none.

        `make` makes quick suggestions from evidence, where too few are left.
        """
        study = known.study
        stock = self._stock((study.study_id, study.create_time, study.spec.suggestion))
        with stock.guard:
            stock.learn(known)
            if len(stock.left) < count:
                pending = (*known.evidence.pending, *stock.taken.values())
                ahead = max(count, AHEAD, min(MOST_AHEAD, len(known.outlines) // SHARE))
                made = make(replace(known.evidence, pending=pending), ahead)
                stock.left = {_key(s.configuration): s for s in made}
                stock.last_number = study.last_number  # others may have known of more
            return stock.take(count)

    def _stock(self, key: Hashable) -> _Stock:
        with self._guard:
            stock = self._stocks.setdefault(key, _Stock())
            self._stocks.move_to_end(key)
            if len(self._stocks) > STUDIES:
                self._stocks.popitem(last=False)
            return stock


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
