"""What watches a server at work: metrics, traces, or several at once."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc

from bo_service.application.desks import Finding


@dataclass
class Computation:
    """A task of the optimizer; `outcome` is known once it has ended."""

    task: str
    observations: int
    outcome: str = "ready"


class Instrument(Protocol):
    """Puts context managers around what is watched. Exceptions pass through them."""

    def call(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """Around a call, or the whole of a stream; afterwards the context knows its code."""

    def transaction(self, kind: str) -> AbstractContextManager[None]:
        """Around a transaction, `read` or `write`, with the wait for its turn."""

    def computation(self, computation: Computation) -> AbstractContextManager[None]:
        """Around a task of the optimizer; afterwards its outcome is known."""

    def replayed(self, method: str) -> None:
        """A request was answered as it was before."""

    def leases_expired(self, count: int) -> None:
        """So many trials were taken from silent workers."""

    def suggestions_found(self, finding: Finding) -> None:
        """How a call came by the surrogate's suggestions, or that some were prepared in vain."""


class Instruments:
    """Several as one, the first outermost."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._all = tuple(instruments)

    @contextmanager
    def call(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        with ExitStack() as stack:
            for instrument in self._all:
                stack.enter_context(instrument.call(method, context))
            yield

    @contextmanager
    def transaction(self, kind: str) -> Iterator[None]:
        with ExitStack() as stack:
            for instrument in self._all:
                stack.enter_context(instrument.transaction(kind))
            yield

    @contextmanager
    def computation(self, computation: Computation) -> Iterator[None]:
        with ExitStack() as stack:
            for instrument in self._all:
                stack.enter_context(instrument.computation(computation))
            yield

    def replayed(self, method: str) -> None:
        for instrument in self._all:
            instrument.replayed(method)

    def leases_expired(self, count: int) -> None:
        for instrument in self._all:
            instrument.leases_expired(count)

    def suggestions_found(self, finding: Finding) -> None:
        for instrument in self._all:
            instrument.suggestions_found(finding)
