"""Instruments observe a running server: metrics, traces, or several at once."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc

from bo_service.application.prefetch import CacheOutcome


@dataclass
class Computation:
    """A task of the optimizer; `outcome` is set when it ends."""

    task: str
    observations: int
    outcome: str = "ready"


class Instrument(Protocol):
    """The interface of an instrument: context managers around what it observes. Exceptions pass through them."""

    def call(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """Observe a call, or a whole stream; the context has its status code afterwards."""

    def refused(self, method: str, code: str) -> None:
        """Count a call that was refused from its headers. The serving thread calls it, so it must not wait."""

    def transaction(self, kind: str) -> AbstractContextManager[None]:
        """Observe a transaction, `read` or `write`, including the wait for its lock."""

    def computation(self, computation: Computation) -> AbstractContextManager[None]:
        """Observe a task of the optimizer; its outcome is set afterwards."""

    def replayed(self, method: str) -> None:
        """Record that a repeated request got the stored response."""

    def leases_expired(self, count: int) -> None:
        """Record the number of trials whose lease expired."""

    def suggestions_found(self, finding: CacheOutcome) -> None:
        """Record how a call obtained the surrogate's suggestions, or that prefetched ones were evicted."""


class Instruments:
    """Several instruments as one; the first is outermost."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._all = tuple(instruments)

    @contextmanager
    def call(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        with ExitStack() as stack:
            for instrument in self._all:
                stack.enter_context(instrument.call(method, context))
            yield

    def refused(self, method: str, code: str) -> None:
        for instrument in self._all:
            instrument.refused(method, code)

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

    def suggestions_found(self, finding: CacheOutcome) -> None:
        for instrument in self._all:
            instrument.suggestions_found(finding)
