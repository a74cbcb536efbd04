"""What the callbacks of XGBoost and LightGBM share: names of metrics, rounds, and a model as the checkpoint."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bo_client.errors import InvalidRequest
from bo_client.integrations.training import Metrics, TrainingCallback, existing, unreadable
from bo_client.running import RunningTrial


class BoostingCallback(TrainingCallback):
    """A callback that reports a trial's rounds of boosting, counted from step 1.

    Each report renews the lease. The program completes the trial, as it knows the result.
    """

    _ending = ""
    """Ending of the model's file."""

    def __init__(
        self,
        trial: RunningTrial,
        metric: Metrics | None = None,
        *,
        every: int = 1,
        checkpoint_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Create the callback for one training.

        Args:
            trial: from `Study.suggest`, or the argument that `Study.optimize` passes to the objective.
            metric: the library's name of the study's objective, such as "valid-auc", or "auc" for the last data set
                that has it; by default the name in the study. For several metrics, a dictionary of the library's names
                by the study's.
            every: number of rounds between two reports, for trainings of many quick rounds.
            checkpoint_dir: folder for the models of paused trials, which all workers of the study can read.

        Raises:
            InvalidRequest: `every` is invalid; the trial is trained in parts, and has no checkpoints; the model of an
                earlier attempt cannot be read.
        """
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InvalidRequest.of("every", f"is {every!r}; give a number of rounds from 1")
        super().__init__(trial, metric, checkpoint_dir)
        self.model: str | None = None
        """File with the model of an earlier attempt, from which the training continues; None to begin anew."""
        self.value = math.nan
        """The objective in the last round."""
        self._every = every
        self._metric_of: dict[str, str] = {}
        self._rounds_before = 0
        if self._folder is not None and (file := existing(trial)) is not None:
            try:
                self._rounds_before = self._rounds_of(file)
            except Exception as error:  # of the library: a class of its own in XGBoost and in LightGBM
                raise unreadable(file, error) from error
            self.model = file
            self._recall()

    def rounds_left(self, rounds: int) -> int:
        """Return how many rounds to train now, of `rounds` for the whole trial."""
        return rounds - self._rounds_before

    def _rounds_of(self, file: str) -> int:
        """Return the number of rounds of the model in a file."""
        raise NotImplementedError

    def _round(self, scores: Sequence[tuple[str, str, float]], step: int, save: Callable[[str], Any]) -> bool:
        """Report a round, and return whether boosting should end.

        Args:
            scores: data set, metric and value.
            step: number of rounds of the model, with those of earlier attempts.
            save: writes the model to a file.

        Raises:
            InvalidRequest: the study's objective is not among the metrics.
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        self._metric_of = {f"{data}-{metric}": metric for data, metric, _ in scores}
        measured = {f"{data}-{metric}": value for data, metric, value in scores}
        self.value = self._named(measured)[self._objectives[0]]
        if step % self._every and step != self.trial.until_step:
            return self._should_end
        should_end = self._take(measured, step)
        if self.pause_reason is not None and self._folder is not None:
            file = str(self._folder.of(step, "round", self._ending))
            save(file)
            self.trial.checkpoint(file)
            self._folder.keep(file)
        self._finish()
        return should_end

    def _library_name(self, name: str, measured: Mapping[str, float]) -> str:
        full = [full for full, metric in self._metric_of.items() if metric == name]
        return name if name in measured or not full else full[-1]
