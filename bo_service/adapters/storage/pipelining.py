"""Statements to PostgreSQL that don't wait for each other's answers: libpq's pipeline mode.

A transaction waits for the network where it reads and where it ends, and hears then what went wrong with a write.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from bo_service.adapters.storage.prepared import Prepared, told_by_driver

KEY = "pipeline"
_BEGIN = Prepared(text("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"))
_COMMIT = Prepared(text("COMMIT"))


def leave_when_needed(engine: Engine) -> None:
    """SQLAlchemy's own statements need their answers at once, and so end a pipeline."""
    event.listen(engine, "before_cursor_execute", lambda connection, *_: _leave(connection))


@contextmanager
def pipelined(connection: Connection) -> Iterator[Callable[[], None]]:
    """A transaction whose statements go straight to the driver, at best; yields what commits it.

    The connection commits each statement by itself, but for this: BEGIN and COMMIT needn't be waited for then.
    """
    pipeline = connection.info[KEY] = ExitStack()
    sent = told_by_driver(connection, lambda driver: pipeline.enter_context(driver.pipeline()))

    def commit() -> None:
        _COMMIT.run(connection)
        _leave(connection)

    with pipeline:
        try:
            _BEGIN.run(connection)
            yield commit
        except BaseException:
            _undo(connection, sent.sync)
            raise
        finally:
            if not connection.invalidated:
                connection.info.pop(KEY, None)


def _undo(connection: Connection, sync: Callable[[], None]) -> None:
    if not connection.invalidated:
        with suppress(DBAPIError):  # the caller already has the error
            told_by_driver(connection, lambda _: sync())
    if not connection.invalidated:
        try:
            told_by_driver(connection, lambda driver: driver.rollback())
        except DBAPIError as error:
            connection.invalidate(error)


def _leave(connection: Connection) -> None:
    pipeline = connection.info.pop(KEY, None)
    if pipeline is not None:
        told_by_driver(connection, lambda _: pipeline.close())
