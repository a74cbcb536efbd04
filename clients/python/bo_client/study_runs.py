"""The part of a study that runs trials in this process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from bo_client.errors import FailedPrecondition
from bo_client.models import Trial
from bo_client.optimize import Callback, Catch, RunOptions, optimize
from bo_client.study_shortcuts import StudyShortcuts
from bo_client.trial_loop import RunLimit

if TYPE_CHECKING:
    from bo_client.study import Study


class StudyRuns(StudyShortcuts):
    """The methods of `Study` that evaluate an objective, and end such a run."""

    _limits: list[RunLimit]

    def optimize(
        self,
        objective: Callable[..., Any],
        n_trials: int | None = None,
        worker_id: str | None = None,
        raise_errors: bool = False,
        *,
        n_jobs: int = 1,
        timeout: float | None = None,
        callbacks: Sequence[Callback] | None = (),
        catch: Catch = (),
        progress: bool | None = None,
        can_resume: bool = False,
    ) -> Trial | list[Trial] | None:
        """Run trials until the study is completed, or a number of them; return the best trial, or None.

        With several objectives it returns the Pareto set, ordered by the first objective.

        A thread sends heartbeats. A trial whose result is not finite fails as DIVERGED. A trial whose objective raises
        an exception fails with the reason of `bo_client.failures.failure_of`: OUT_OF_MEMORY, DIVERGED, the reason of a
        TrialFailed, or CRASHED. The third crash in a row is raised, and with `raise_errors` every exception except
        TrialFailed.

        The logger `bo_client` logs each trial and, at the end, how many ran and why there are no more. Failures, the
        first of each kind with its traceback, and an end before `n_trials` are warnings.

        Ctrl-C ends the program and returns the running trials. SIGTERM does so only after
        `signal.signal(signal.SIGTERM, signal.default_int_handler)`; otherwise they wait until their leases expire.

        Args:
            objective: called with the parameters, or with the parameters and the trial, whose `report` raises StopTrial
                if the trial should stop. It returns metrics by name, or a single number if the study has no other
                objective or constraint metric.
            n_trials: number of trials to run here, each resumption counted; may be omitted if the study has
                `max_trials`, `max_steps` or `max_seconds`, or with a timeout.
            worker_id: by default host and process.
            raise_errors: whether to raise every exception of the objective except TrialFailed.
            n_jobs: number of trials to run at once, each on a thread; -1 for one per CPU. Threads run in parallel while
                the objective computes outside of Python's lock, as numeric libraries and other programs do; for
                objectives in pure Python, start several processes instead.
            timeout: seconds after which no more trials begin; those that run are finished.
            callbacks: functions of this study and each trial that has ended, called one at a time; they may call
                `stop`. What they raise ends the run.
            catch: classes of exceptions that fail their trial and never end the run.
            progress: whether to show a progress bar on standard error; by default after a few seconds on a terminal.
                It is tqdm's where that is installed.
            can_resume: whether the objective resumes from `trial.checkpoint_uri` and reports its checkpoints. If the
                study has a fidelity, `trial.report` then raises PauseTrial where a trial should pause.

        Raises:
            InvalidRequest: an argument is invalid; no trial was taken.
            BoClientError: the server refuses a call or does not respond.
        """
        study = cast("Study", self)
        optimize(
            study,
            objective,
            RunOptions(n_trials, worker_id, raise_errors, n_jobs, timeout, callbacks, catch, progress, can_resume),
        )
        return self.best() if len(self.definition.objectives) == 1 else self.best_trials(1)

    def stop(self) -> None:
        """Let the `optimize` that runs on this object begin no more trials, as from a callback.

        Raises:
            FailedPrecondition: none runs.
        """
        if not self._limits:
            raise FailedPrecondition(
                f"no optimize of this object runs; to end {self.name} for all workers, call finish()", "NOT_RUNNING"
            )
        for limit in list(self._limits):
            limit.stop("stop() was called")

    @contextmanager
    def running(self, limit: RunLimit) -> Iterator[None]:
        """Let `stop` end a run inside the block."""
        self._limits.append(limit)
        try:
            yield
        finally:
            self._limits.remove(limit)
