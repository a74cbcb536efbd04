"""Quick suggestions made ahead: one costs as much as many, and that grows with the study's trials."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace

from bo_service.application.known import Known
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

    def give_back(self, suggestions: Sequence[Suggestion]) -> None:
        """Takes in those again that nobody has met in a trial meanwhile: they come first."""
        given = {_key(s.configuration): s for s in suggestions}
        back = {key: s for key, s in given.items() if self.taken.pop(key, None) is not None}
        self.left = {**back, **self.left}


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
        stock = self._stock(known)
        with stock.guard:
            stock.learn(known)
            if len(stock.left) < count:
                pending = (*known.evidence.pending, *stock.taken.values())
                ahead = max(count, AHEAD, min(MOST_AHEAD, len(known.outlines) // SHARE))
                made = make(replace(known.evidence, pending=pending), ahead)
                stock.left = {_key(s.configuration): s for s in made}
                stock.last_number = study.last_number  # others may have known of more
            return stock.take(count)

    def settle(self, known: Known, taken: Sequence[Suggestion], used: Collection[Configuration]) -> None:
        """Of those taken for a study, the ones that were not used are for others."""
        left = [suggestion for suggestion in taken if suggestion.configuration not in used]
        if left:
            stock = self._stock(known)
            with stock.guard:
                stock.give_back(left)

    def forget(self, known: Known) -> None:
        """Whether what was taken is used isn't known: everything is made again."""
        with self._guard:
            self._stocks.pop(_name(known), None)

    def _stock(self, known: Known) -> _Stock:
        key = _name(known)
        with self._guard:
            stock = self._stocks.setdefault(key, _Stock())
            self._stocks.move_to_end(key)
            if len(self._stocks) > STUDIES:
                self._stocks.popitem(last=False)
            return stock


def _name(known: Known) -> Hashable:
    """Of the study and what its sequence depends on."""
    return known.study.study_id, known.study.create_time, known.study.spec.suggestion


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
