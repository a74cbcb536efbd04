"""The files in the folder `artifacts` of a trial's directory, which are added to the trial before it ends."""

import logging
from itertools import count
from pathlib import Path

from bo_client import BoClientError, DeadlineExceeded, FailedPrecondition, NotFound, RunningTrial, ServerUnavailable
from bo_objectives.base import ARTIFACTS

logger = logging.getLogger("bo_objectives")

MAX_FILES = 32
ENDS_ALL = (ServerUnavailable, DeadlineExceeded, NotFound, FailedPrecondition)
"""Errors after which the other files would fail as well."""


def set_aside_artifacts(trial: RunningTrial, directory: Path) -> None:
    """Rename a folder of artifacts that is there before a trial's first attempt: it is of another study's trial.

    Args:
        trial: the trial.
        directory: the trial's directory, which studies with the same `--directory` share.
    """
    folder = directory / ARTIFACTS
    if trial.attempt > 1 or not folder.exists():
        return
    free = next(path for n in count(1) if not (path := directory / f"{ARTIFACTS}.{n}").exists())
    try:
        folder.rename(free)
    except OSError as error:
        logger.warning("trial %d: %s is of another study, and stays: %s", trial.number, folder, error.strerror)
    else:
        logger.info("trial %d: %s was of another study, and is %s now", trial.number, folder, free.name)


def add_artifacts(trial: RunningTrial, directory: Path) -> None:
    """Add the files that the objective has left; what cannot be added is logged, and never fails the trial.

    Args:
        trial: the trial, whose client must not be patient.
        directory: the trial's directory.
    """
    files = _files(directory / ARTIFACTS)
    if len(files) > MAX_FILES:
        logger.warning("trial %d: %d files in %s; %d are added", trial.number, len(files), ARTIFACTS, MAX_FILES)
    for file in files[:MAX_FILES]:
        try:
            trial.add_artifact(file)
        except ENDS_ALL as error:
            logger.warning("trial %d: no more artifacts are added: %s", trial.number, error)
            return
        except (BoClientError, ValueError) as error:  # a name that UTF-8 cannot hold is a ValueError
            logger.warning("trial %d: an artifact was not added: %s", trial.number, error)


def _files(folder: Path) -> list[Path]:
    """Return the regular files directly in a folder by name; none if it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("%s cannot be read: %s", folder, error.strerror)
        return []
