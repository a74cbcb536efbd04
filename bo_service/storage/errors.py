"""The database's errors, turned into the service's."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from bo_service.application.deadlines import has_passed
from bo_service.domain.errors import StorageUnavailable, TransactionConflict

CONFLICT_CODES = {"40001", "40P01"}
"""PostgreSQL's codes for a transaction broken off in favor of another: serialization_failure, deadlock_detected."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the database's errors into the service's.

    Raises:
        TransactionConflict: The transaction lost against another; done again, it may succeed.
        StorageUnavailable: Anything else.
    """
    try:
        yield
    except SQLAlchemyError as error:
        if _is_conflict(error):
            raise TransactionConflict(
                f"another transaction was in the way ({cause(error)}); nothing was changed"
            ) from error
        raise StorageUnavailable(
            f"the database doesn't answer ({cause(error)}); nothing was changed: try again, and see the server's log"
        ) from error


def no_turn(cause: str) -> StorageUnavailable:
    """Return the error for a transaction that could not begin within its call's deadline, or at all."""
    if has_passed():
        error = StorageUnavailable(
            f"{cause}, and this call's deadline has passed; nothing was changed: try again, with a longer deadline"
        )
    else:
        error = StorageUnavailable(f"{cause}; nothing was changed: try again")
    error.has_begun = False
    return error


def indeterminate_commit(error: Exception) -> StorageUnavailable:
    """Return the error for a connection that broke while the transaction was being committed."""
    return StorageUnavailable(
        f"the database went away while it was saving ({cause(error)}), and may have saved it: "
        "repeat the call with the same request_id, which is safe either way"
    )


def is_refused(error: DBAPIError) -> bool:
    """Return whether PostgreSQL itself said that it has undone the transaction; it may also go away meanwhile."""
    return getattr(getattr(error.orig, "diag", None), "severity_nonlocalized", None) == "ERROR"


def cause(error: BaseException) -> str:
    """Return the database's own words in one line, without statement and parameters."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _is_conflict(error: SQLAlchemyError) -> bool:
    if isinstance(error, IntegrityError):  # two answers to one request id, of different studies
        return True
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) in CONFLICT_CODES
