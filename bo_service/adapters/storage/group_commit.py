"""Many transactions, one sync: those that wait while another is made are committed together with it.

To sync takes longer than all the rest. Whoever ends a transaction while others wait leaves the commit to the next of
them, and is answered when that is done; alone, nobody waits for anything.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from bo_service.adapters.storage.failures import unsure
from bo_service.adapters.storage.prepared import Prepared
from bo_service.adapters.storage.records import SqlRecords
from bo_service.adapters.storage.stored import Stored

LONGEST_S = 0.02
"""After this a group takes in no more: its first transaction waits for the last one's commit."""
_BEGIN_PART, _END_PART = Prepared(text("SAVEPOINT part")), Prepared(text("RELEASE part"))
_UNDO_PART = Prepared(text("ROLLBACK TO part"))
_VERSION = Prepared(text("PRAGMA data_version"))
"""Another one whenever another connection has written."""


class _Group:
    """Transactions that are committed together or not at all."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._driver: Any = connection.connection.driver_connection
        self.transaction = connection.begin()
        self.began = time.monotonic()
        self.is_empty = True
        self.acts: list[Callable[[], None]] = []
        self._going_on = threading.Lock()
        """Those who wait for the end pass it one after the other: all at once would be in each other's way."""
        self._going_on.acquire()
        self.error: Exception | None = None

    def begin_part(self) -> None:
        """Another transaction begins, which can be undone alone."""
        _BEGIN_PART.run(self.connection)

    def end_part(self) -> None:
        """That transaction belongs to the group."""
        _END_PART.run(self.connection)

    def undo_part(self) -> SQLAlchemyError | None:
        """What keeps it from being undone alone: SQLite has undone everything, as it does where the disk is full."""
        try:
            _UNDO_PART.run(self.connection)
            _END_PART.run(self.connection)
        except SQLAlchemyError as error:
            return error
        return None

    def end(self) -> None:
        """Commits what there is."""
        try:
            self.transaction.commit()
        except Exception as error:
            self.error = error  # told to everybody, by `settle`
            self._driver.rollback()  # SQLite may have kept the transaction open
            self.connection.close()
        else:
            for act in self.acts:
                act()
        finally:
            self._going_on.release()

    def settle(self, refusal: BaseException | None) -> None:
        """Waits for the end: what a transaction has done, or seen and refused, is durable before anybody hears of it.

        Raises:
            StorageUnavailable: the end was bad, and not by the fault of this transaction, which would tell it itself.
        """
        with self._going_on:
            pass
        if self.error is not None and self.error is not refusal:
            raise unsure(self.error) from self.error

    def undo(self, error: Exception | None) -> None:
        """Gives everything up, because of an error."""
        self.error = error
        try:
            self.transaction.rollback()
        finally:
            self.connection.close()
            self._going_on.release()


class GroupCommit:
    """The transactions of one connection, which are made one at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._group: _Group | None = None
        self._connection: Connection | None = None
        self._stored = Stored()
        self._version: object = None

    def close(self) -> None:
        """Gives the connection back."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[SqlRecords]:
        """All of the block or, after an exception, nothing. Durable once the block has been left."""
        group = None
        try:
            with self._in_turn():
                group = self._group = self._group or _Group(self._connected())
                yield from self._member(group)
        finally:
            if group is not None:
                group.settle(sys.exception())

    def _connected(self) -> Connection:
        """The connection, kept from group to group until something goes wrong."""
        if self._connection is None or self._connection.closed:
            self._connection = self._engine.connect()
        return self._connection

    def _member(self, group: _Group) -> Iterator[SqlRecords]:
        records = SqlRecords(group.connection, self._stored)
        try:
            if group.is_empty:
                self._notice_others(group.connection)
                yield records
            else:
                group.begin_part()
                yield records
                group.end_part()
        except BaseException as error:
            self._stored.clear()
            failure = error if isinstance(error, SQLAlchemyError) else None
            obstacle = None if group.is_empty else group.undo_part()
            if group.is_empty or obstacle is not None:
                self._group = None
                group.undo(failure or obstacle)  # those before it in the group are told
            else:
                self._leave(group)
            raise
        group.is_empty = False
        group.acts += records.acts
        self._leave(group)

    def _notice_others(self, connection: Connection) -> None:
        """Forgets what is stored where another program has written."""
        version = _VERSION.first(connection)
        if version != self._version:
            self._stored.clear()
            self._version = version

    def _leave(self, group: _Group) -> None:
        """Leaves the commit to the next who waits, if there is one and time for them."""
        with self._counting:
            is_followed = self._waiting > 0
        if not is_followed or time.monotonic() - group.began > LONGEST_S:
            self._group = None
            group.end()
            if group.error is not None:
                self._stored.clear()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        with self._counting:
            self._waiting += 1
        self._turn.acquire()
        with self._counting:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()
