"""The trials of a study as a sequence that is read page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from bo_api.v1 import optimization_service_pb2 as pb

from bo_client.errors import NotSupported
from bo_client.models import Trial, Trials
from bo_client.wire import codec

if TYPE_CHECKING:
    from bo_client.client import Client


def read_pages(client: "Client", first: pb.ListTrialsRequest) -> Iterator[Trial]:
    """Read page after page of trials, beginning with a request for the first.

    Raises:
        NotSupported: the server ignores the order of the request.
    """
    request = pb.ListTrialsRequest()
    request.CopyFrom(first)
    while True:
        page = client.ask(request, pb.ListTrialsResponse)
        if request.order_by and not page.order_by:
            raise NotSupported("the server is too old to sort trials; read them without order_by, and sort them here")
        yield from (codec.trial_from_wire(message) for message in page.trials)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


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
        return self._each()

    def _each(self) -> Iterator[Trial]:
        """Yield the trials. `list` asks for the length after it has the iterator, and that reads them all."""
        yield from self._read() if self._kept is None else self._kept

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
