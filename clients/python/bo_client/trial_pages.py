"""The trials of a study as a sequence that is read page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from bo_client.models import Trial, Trials


class TrialPages(Sequence[Trial]):
    """The trials by number. `for`, `next`, `[0]`, `[-1]`, slices and `len` work as on a list.

    A loop reads page by page and keeps nothing. `len` and indexes read all trials once and keep them: call
    `Study.trials` again for the present state.
    """

    def __init__(self, read: Callable[[], Iterator[Trial]]) -> None:
        """Create the sequence; `read` begins to read the trials, again at each call."""
        self._read = read
        self._kept: Trials | None = None
        self._cursor: Iterator[Trial] | None = None

    def __reduce__(self) -> tuple[type[Trials], tuple[list[Trial]]]:
        """Pickle the trials as a list, which needs no server."""
        return Trials, (list(self._all),)

    def __iter__(self) -> Iterator[Trial]:
        """Return an iterator of the trials; after `next`, of those that it has not taken."""
        if self._cursor is not None:
            return self._cursor
        return iter(self._kept) if self._kept is not None else self._read()

    def __next__(self) -> Trial:
        """Return the first trial, and with each further call the next one."""
        if self._cursor is None:
            self._cursor = iter(self)
        return next(self._cursor)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> Trials: ...
    def __getitem__(self, index: int | slice) -> "Trial | Trials":
        """Return the trial at an index, or those of a slice. The first index is 0, the first trial's number is 1."""
        if isinstance(index, slice):
            return Trials(self._all[index])
        if index == 0 and self._kept is None:  # one page is enough
            for trial in self._read():
                return trial
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def _repr_html_(self) -> str:
        return self._all._repr_html_()

    @property
    def _all(self) -> Trials:
        if self._kept is None:
            self._kept = Trials(self._read())
        return self._kept
