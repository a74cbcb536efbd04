"""Follow a study, whoever runs its trials, and log each trial to TensorBoard or MLflow.

    follow(study, MlflowLog(), TensorBoardLog("logs"))     # until the study is completed
    with following(study, MlflowLog()): …                  # beside what is done in the block

A study can be followed again, or by another program after the first was interrupted: complete runs are kept.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from bo_client.errors import BoClientError
from bo_client.models import Measurement, StudyInfo, StudyState, Trial, TrialState
from bo_client.study import Study


class TrialRun(Protocol):
    """The interface of a trial's run in a log."""

    def measured(self, measurement: Measurement) -> None:
        """Log a new point of the learning curve."""

    def ended(self, trial: Trial) -> None:
        """Log the end of the trial."""


class Log(Protocol):
    """The interface of a log."""

    def start(self, trial: Trial) -> TrialRun | None:
        """Start the run of a trial that is running or has ended; None if the log already has the complete trial."""


class Follower:
    """The trials of a study that were logged so far. Threads may share it."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs
        self._runs: dict[int, list[TrialRun]] = {}
        self._steps: dict[int, set[int]] = {}
        self._whole: set[int] = set()
        self._lock = threading.Lock()

    def take(self, trial: Trial) -> None:
        """Log what is new of a trial, which must have its learning curve."""
        with self._lock:
            if trial.state is not TrialState.QUEUED and trial.number not in self._whole:
                self._log(trial)

    def _log(self, trial: Trial) -> None:
        if trial.number not in self._runs:
            started = [log.start(trial) for log in self._logs]
            self._runs[trial.number] = [run for run in started if run is not None]
        steps = self._steps.setdefault(trial.number, set())
        for measurement in trial.measurements:
            if measurement.step not in steps:
                steps.add(measurement.step)
                for run in self._runs[trial.number]:
                    run.measured(measurement)
        if trial.state.is_ended:
            for run in self._runs.pop(trial.number):
                run.ended(trial)
            self._steps.pop(trial.number)
            self._whole.add(trial.number)


def follow(study: Study, *logs: Log) -> None:
    """Log all trials, including earlier ones, until the study is completed and no trial runs or is queued.

    Raises:
        NotFound: the study was deleted.
        ServerUnavailable: the server does not respond within the client's patience.
    """
    follower = Follower(logs)
    for change in study.watch(full=True):
        for trial in change.trials:
            follower.take(trial)
        if _is_over(change.study) and all(t.state.is_ended or t.state is TrialState.PAUSED for t in study.trials()):
            for trial in study.trials(full=True):  # a message holds a part of them
                follower.take(trial)
            return


@contextmanager
def following(study: Study, *logs: Log) -> Iterator[None]:
    """Log trials while the block runs, and all trials at its end, even if the block raises.

    Raises:
        NotFound: the study was deleted.
        ServerUnavailable: the server does not respond within the client's patience.
    """
    follower, ended = Follower(logs), threading.Event()
    failures: list[Exception] = []

    def watch() -> None:
        try:
            for change in study.watch(full=True):
                for trial in change.trials:
                    if ended.is_set():
                        return
                    follower.take(trial)
        except BoClientError:
            return  # the end of the block asks again
        except Exception as error:  # of a log
            failures.append(error)

    threading.Thread(target=watch, name=f"follower of {study.name}", daemon=True).start()
    try:
        yield
    except BaseException:
        ended.set()
        with suppress(Exception):  # what ended the block is what counts
            _take_all(follower, study.hasty())
        raise
    ended.set()
    if failures:
        raise failures[0]
    _take_all(follower, study)


def _take_all(follower: Follower, study: Study) -> None:
    for trial in study.trials(full=True):
        follower.take(trial)


def _is_over(study: StudyInfo) -> bool:
    waiting = study.counts.get(TrialState.RUNNING, 0) + study.counts.get(TrialState.QUEUED, 0)
    return study.state is StudyState.COMPLETED and not waiting
