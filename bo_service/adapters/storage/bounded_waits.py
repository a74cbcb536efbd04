"""A PostgreSQL connection that never waits for an answer without end.

libpq itself waits for as long as the socket is open. A server that is paused, a network that drops packets, or a socket
that was closed and whose number another thread has reused would hold a thread, and the study's lock, forever.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.pq import ConnStatus

T = TypeVar("T")

ANSWER_TIMEOUT_S = 45.0
"""Longest wait for one answer. It exceeds `statement_timeout`, by which the server ends a statement first."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which each wait ends after `ANSWER_TIMEOUT_S`, or as soon as the connection is known to be lost.

    A connection whose wait was given up is closed: what it would have answered belongs to nobody.
    """

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Run the generator to its end.

        Raises:
            psycopg.OperationalError: No answer came in time, or the connection is lost.
        """
        return super().wait(self._bounded(gen, time.monotonic() + ANSWER_TIMEOUT_S), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited  # falsy where the interval has passed and nothing has come
                is_lost = not ready and self.pgconn.status == ConnStatus.BAD
                if is_lost or time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the database server doesn't answer; the connection was closed")
                awaited = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            gen.close()
