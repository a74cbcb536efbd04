"""Group commit: transactions that wait while another is made are committed together with it, in one sync.

A sync takes longer than all the rest. Whoever ends a transaction while others wait leaves the commit to the next of
them, and returns when that is done; alone, nobody waits for anything.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, RootTransaction, text
from sqlalchemy.exc import SQLAlchemyError

from bo_service.application.waiting import FairLock, within
from bo_service.domain.errors import StorageUnavailable
from bo_service.storage.statements import CompiledStatement, indeterminate_commit, no_turn
from bo_service.storage.unit_of_work import IdentityMap, SqlUnitOfWork

WAIT_TIMEOUT_S = 60.0
"""For the transactions before, where no call waits."""
MIN_GROUP_S, MAX_GROUP_S = 0.005, 0.02
"""A group takes in transactions for as long as the last commit took, within these limits.

Its first transaction waits for the last one's commit, so this is at most half of the wait.
"""
MAX_STUDIES, MAX_TRIALS = 1000, 5000
"""Remembered at most; where there are more, all are read again."""
_SAVEPOINT, _RELEASE = CompiledStatement(text("SAVEPOINT part")), CompiledStatement(text("RELEASE part"))
_ROLL_BACK = CompiledStatement(text("ROLLBACK TO part"))
_VERSION = CompiledStatement(text("PRAGMA data_version"))
"""Changes whenever another connection has written."""


@dataclass
class _CommitGroup:
    """Transactions that are committed together or not at all. All but the first begin with a savepoint."""

    connection: Connection
    transaction: RootTransaction
    began: float
    done: threading.Lock
    """Held until the end. Those who wait for it pass it one after the other, so as not to wake all at once."""
    is_empty: bool = True
    on_commit: list[Callable[[], None]] = field(default_factory=list)
    error: Exception | None = None

    def roll_back_to_savepoint(self) -> SQLAlchemyError | None:
        """Undo one transaction alone, or return why it can't be: SQLite undoes everything where the disk is full."""
        try:
            _ROLL_BACK.execute(self.connection)
            _RELEASE.execute(self.connection)
        except SQLAlchemyError as error:
            return error
        return None

    def commit(self, check_written: Callable[[], None]) -> None:
        """Commit what there is, and check the file before anybody hears of it."""
        driver: Any = self.connection.connection.driver_connection
        try:
            self.transaction.commit()
        except Exception as error:
            self.error = error  # raised for every member by `wait_durable`
            driver.rollback()  # SQLite may have kept the transaction open
            self.connection.close()
        else:
            for act in self.on_commit:
                act()
            try:
                check_written()
            except StorageUnavailable as error:
                self.error = error
        finally:
            self.done.release()

    def wait_durable(self, own_error: BaseException | None) -> None:
        """Wait for the commit: what a transaction wrote, or read and refused, is durable before its caller hears of it.

        Raises:
            StorageUnavailable: The group commit failed for a reason other than `own_error`, this transaction's own, or
                the file was lost.
        """
        if not self.done.acquire(timeout=within(WAIT_TIMEOUT_S)):
            raise indeterminate_commit(TimeoutError("the disk doesn't answer"))
        self.done.release()
        if isinstance(self.error, StorageUnavailable):
            raise StorageUnavailable(self.error.message) from self.error
        if self.error is not None and self.error is not own_error:
            raise indeterminate_commit(self.error) from self.error

    def roll_back(self, error: Exception | None) -> None:
        """Undo everything, because of an error."""
        self.error = error
        try:
            self.transaction.rollback()
        finally:
            self.connection.close()
            self.done.release()


class Guard(Protocol):
    """A check of the file before and after each group, while no other thread of this process writes it."""

    def before(self) -> bool:
        """Return whether somebody else has written the file, so that nothing read before is certain any more.

        Raises:
            StorageUnavailable: It is no sound database any more, or can't be written.
        """

    def check_written(self) -> None:
        """Note that a group was committed, and make sure that it can be found again.

        Raises:
            StorageUnavailable: The file was deleted, moved or replaced.
        """

    def after(self) -> None:
        """Note that the group has failed."""


class GroupCommit:
    """The transactions of one connection, which are made one at a time."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        self._engine = engine
        self._guard = guard
        self._lock = FairLock()
        self._group: _CommitGroup | None = None
        self._connection: Connection | None = None
        self._stored = IdentityMap()
        self._version: object = None
        self._commit_s = 0.0
        """Seconds that the last commit took."""

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def transaction(self, study_id: str | None) -> Iterator[SqlUnitOfWork]:
        """Open a transaction: all of it is kept or, after an exception, nothing. It is durable once the block ends.

        Studies take turns: a study with a thousand transactions holds up another's by one, and by their commit.

        Args:
            study_id: whose turn it is; None for a transaction without a study.

        Raises:
            StorageUnavailable: The turn did not come in time, or the transaction is not certain to be durable.
        """
        if not self._lock.acquire(study_id or "", within(WAIT_TIMEOUT_S)):
            raise no_turn("other transactions are being written")
        group = None
        try:
            group = self._group = self._group or self._begin()
            work = SqlUnitOfWork(group.connection, self._stored)
            try:
                if group.is_empty:
                    version = _VERSION.execute(group.connection).fetchone()
                    if version != self._version:  # another program has written
                        self._stored.clear()
                        self._version = version
                else:
                    _SAVEPOINT.execute(group.connection)
                yield work
                if not group.is_empty:
                    _RELEASE.execute(group.connection)
            except BaseException as error:
                self._undo(group, error)
                raise
            group.is_empty = False
            group.on_commit += work.on_commit
            self._finish_or_hand_over(group)
        finally:
            self._lock.release()
            if group is not None:
                group.wait_durable(sys.exception())

    def _begin(self) -> _CommitGroup:
        """Begin a group on the connection, which is kept from group to group until something goes wrong."""
        if self._guard.before():  # nothing is remembered then
            self._stored.clear()
            self.close()
            self._engine.dispose()
            self._connection = None
        if len(self._stored.studies) > MAX_STUDIES or len(self._stored.trials) > MAX_TRIALS:
            self._stored.clear()
        if self._connection is None or self._connection.closed:
            self._connection = self._engine.connect()
        done = threading.Lock()
        done.acquire()
        return _CommitGroup(self._connection, self._connection.begin(), time.monotonic(), done)

    def _undo(self, group: _CommitGroup, error: BaseException) -> None:
        """Undo a transaction that has failed: alone, if that is possible."""
        self._stored.clear()
        failure = error if isinstance(error, SQLAlchemyError) else None
        obstacle = None if group.is_empty else group.roll_back_to_savepoint()
        if group.is_empty or obstacle is not None:
            self._group = None
            group.roll_back(failure or obstacle)  # raised for those before it in the group
            self._guard.after()
        else:
            self._finish_or_hand_over(group)

    def _finish_or_hand_over(self, group: _CommitGroup) -> None:
        """Leave the commit to the next transaction that waits, if there is one and time for it."""
        now = time.monotonic()
        longest_s = max(MIN_GROUP_S, min(MAX_GROUP_S, self._commit_s))
        if now - group.began > longest_s or not self._lock.reserve_next():
            self._group = None
            group.commit(self._guard.check_written)
            self._commit_s = time.monotonic() - now
            if group.error is not None:
                self._guard.after()
                self._stored.clear()
