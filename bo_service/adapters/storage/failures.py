"""What the database refuses, in the service's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from bo_service.core.errors import StorageUnavailable, TransactionLost

LOST = {"40001", "40P01"}
"""PostgreSQL's codes for a transaction broken off in favor of another: serialization_failure, deadlock_detected."""


@contextmanager
def told() -> Iterator[None]:
    """Turns the database's errors into ours.

    Raises:
        TransactionLost: it lost against another transaction; done again, it may succeed.
        StorageUnavailable: anything else.
    """
    try:
        yield
    except SQLAlchemyError as error:
        if _is_lost(error):
            raise TransactionLost(
                f"another transaction was in the way ({cause(error)}); nothing was changed"
            ) from error
        raise StorageUnavailable(
            f"the database doesn't answer ({cause(error)}); nothing was changed: try again, and see the server's log"
        ) from error


def unsure(error: Exception) -> StorageUnavailable:
    """Where the connection broke while the transaction was being committed."""
    return StorageUnavailable(
        f"the database went away while it was saving ({cause(error)}), and may have saved it: "
        "repeat the call with the same request_id, which is safe either way"
    )


def is_refused(error: DBAPIError) -> bool:
    """Whether PostgreSQL itself said that it has undone the transaction; it may also go away in the middle of it."""
    return getattr(getattr(error.orig, "diag", None), "severity_nonlocalized", None) == "ERROR"


def cause(error: BaseException) -> str:
    """In one line, in the database's own words; no statement, no parameters."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _is_lost(error: SQLAlchemyError) -> bool:
    if isinstance(error, IntegrityError):  # two answers to one request id, of different studies
        return True
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) in LOST
