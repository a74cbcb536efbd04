"""What this machine's SQLite library can't be trusted with."""

import logging
import sqlite3
from pathlib import Path

logger = logging.getLogger("bo_service.storage")

AFFECTED = (3, 7, 0), (3, 51, 2)
"""Versions that can, in a rare race, damage a database in WAL mode when two connections make a checkpoint at once."""
DEAD_MAN_SWITCH = 128
"""The byte of the shared-memory file that every connection in WAL mode holds locked."""


def warn_of_others(file: Path) -> bool:
    """Logs a warning where another program has the file open and the library is affected; whether it did.

    To be called before this process opens the file. The server alone is safe: one connection makes all checkpoints.
    """
    first, last = AFFECTED
    if not first <= sqlite3.sqlite_version_info <= last or not _is_open_elsewhere(file):
        return False
    logger.warning(
        "another program has %s open, and SQLite %s can damage a database that two programs write: close the other one "
        "(reading is safe), or give Python a SQLite later than %s",
        file,
        sqlite3.sqlite_version,
        ".".join(map(str, last)),
    )
    return True


def _is_open_elsewhere(file: Path) -> bool:
    shared = file.with_name(f"{file.name}-shm")
    try:
        import fcntl  # not on Windows

        with shared.open("r+b") as memory:
            try:
                fcntl.lockf(memory, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, DEAD_MAN_SWITCH)
            except BlockingIOError:
                return True
    except (ImportError, OSError):  # nobody has it open
        return False
    return False
