"""Studies and trials as they are stored, as far as that is certain.

Within one transaction that is what it has read and written. Where a single connection writes everything, as in SQLite,
it stays true from one transaction to the next, until something is undone.
"""

from typing import TypeVar

from bo_service.domain.study import Study
from bo_service.domain.trial import Trial

K = TypeVar("K")
V = TypeVar("V")
MAX_STUDIES, MAX_TRIALS = 1000, 5000


class _Recent(dict[K, V]):
    """A dictionary of bounded size: a further key replaces the oldest one."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._limit:
            del self[next(iter(self))]


class IdentityMap:
    """The studies and trials that were read or written last; what isn't certain has no entry."""

    def __init__(self) -> None:
        self.studies: dict[str, Study] = _Recent(MAX_STUDIES)
        self.trials: dict[tuple[str, int], Trial] = _Recent(MAX_TRIALS)

    def clear(self) -> None:
        """Note that nothing is certain any more."""
        self.studies.clear()
        self.trials.clear()
