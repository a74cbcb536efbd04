"""A PostgreSQL connection that never waits for an answer beyond the call's deadline, or without end.

libpq itself waits for as long as the socket is open. A server that is paused, a network that drops packets, or a socket
that was closed and whose number another thread has reused would hold a thread, and the study's lock, forever.
"""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.pq import ConnStatus

from bo_service.application.waiting import within

T = TypeVar("T")

ANSWER_TIMEOUT_S = 45.0
"""Longest wait where no call waits. It exceeds `statement_timeout`, by which the server ends a statement first."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which each wait ends at the call's deadline, or as soon as the connection is known to be lost.

    A connection whose wait was given up is closed: what it would have answered belongs to nobody.
    """

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return bounded(super()._connect_gen(*args, **kwargs), lambda: False, lambda: None)

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Run the generator to its end.

        Raises:
            psycopg.OperationalError: No answer came in time, or the connection is lost.
        """
        return super().wait(
            bounded(gen, lambda: self.pgconn.status == ConnStatus.BAD, self.pgconn.finish), *args, **kwargs
        )


def bounded(
    gen: Generator[Any, Any, T], is_lost: Callable[[], bool], close: Callable[[], None]
) -> Generator[Any, Any, T]:
    """Run a generator of waits to its end.

    Args:
        gen: the generator.
        is_lost: whether the connection is known to be lost.
        close: closes the connection.

    Raises:
        psycopg.OperationalError: The call's deadline has passed, or the connection is lost; it is closed then.
    """
    end = time.monotonic() + within(ANSWER_TIMEOUT_S)
    try:
        awaited = next(gen)
        while True:
            ready = yield awaited  # falsy where the interval has passed and nothing has come
            if (not ready and is_lost()) or time.monotonic() > end:
                close()
                raise psycopg.OperationalError("the database server doesn't answer; the connection was closed")
            awaited = gen.send(ready)
    except StopIteration as last:
        return last.value  # type: ignore[no-any-return]
    finally:
        gen.close()
