"""The progress of a watched study, as immutable values that changes update."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bo_client.constraints import Configuration
from bo_client.enumeration import is_exhausted, to_repeat
from bo_client.formatting import duration
from bo_client.models import Change, StudyInfo, StudyState, Trial, TrialState
from bo_client.ranking import best_of, is_defaults


@dataclass(frozen=True)
class Progress:
    """A study and its trials by number, as last received."""

    study: StudyInfo
    trials: Mapping[int, Trial] = field(default_factory=dict)

    def after(self, change: Change) -> "Progress":
        """Return the progress after a change.

        If the study was deleted and created again, the old trials are dropped.
        """
        previous = self.trials if change.study.create_time == self.study.create_time else {}
        trials = {**previous, **{trial.number: trial for trial in change.trials}}
        return Progress(change.study, {n: t for n, t in trials.items() if n not in change.deleted_trials})

    @property
    def is_done(self) -> bool:
        """Whether no more changes are expected."""
        return (self.study.state is StudyState.COMPLETED and not self.running) or self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration of a finite space was tried, none will be repeated, and none will go on."""
        trials = self.trials.values()
        if self.study.resumable_count or any(t.state in (TrialState.QUEUED, TrialState.RUNNING) for t in trials):
            return False
        return is_exhausted(self.study.space, [t.parameters for t in trials]) and not self._may_repeat

    @property
    def _may_repeat(self) -> bool:
        if self.study.settings.get("algorithm", "gaussian_process") != "gaussian_process":
            return False
        names = [metric.name for metric in self.study.objectives]
        tried = [
            (t.parameters, tuple(t.final_measurement.metrics[n] for n in names) if t.final_measurement else None)
            for t in self.trials.values()
            if t.state.is_ended and not t.is_cut_short
        ]
        short = self._short([values for _, values in tried if values])
        return bool(to_repeat(tried, short, self.best[0].parameters if self.best else None))

    def _short(self, results: list[tuple[float, ...]]) -> list[tuple[Configuration, tuple[float, ...]]]:
        """Return the trials that were paused or cut short, with what is expected of them.

        As on the server, that is no better than the best result. A study in which trials end early has one objective.
        """
        name, sign = self.study.objective.name, self.study.objective.sign
        most = max((sign * value for value, *_ in results), default=math.inf)
        ranked: list[tuple[Configuration, tuple[float, ...]]] = []
        for trial in self.trials.values():
            forecast = trial.expected or (trial.pause.expected if trial.pause else None)
            value = forecast.mean if forecast else trial.value(name)
            if value is not None and (trial.is_cut_short or not trial.state.is_ended):
                ranked.append((trial.parameters, (sign * min(sign * value, most),)))
        return ranked

    @property
    def ended(self) -> int:
        """Number of ended trials."""
        return sum(trial.state.is_ended for trial in self.trials.values())

    @property
    def running(self) -> list[Trial]:
        """Trials held by a worker."""
        return [t for _, t in sorted(self.trials.items()) if t.state is TrialState.RUNNING]

    @property
    def best(self) -> list[Trial]:
        """The best trial with a result; with several objectives the Pareto set."""
        return best_of(self.study, [trial for _, trial in sorted(self.trials.items())])

    @property
    def defaults(self) -> Trial | None:
        """The trial of the textbook defaults."""
        return next((t for _, t in sorted(self.trials.items()) if is_defaults(t)), None)

    def elapsed(self, now: datetime) -> float:
        """Return the seconds from the start of the first trial until now, or until the end of the last trial."""
        starts = [t.start_time for t in self.trials.values() if t.start_time]
        ends = [t.end_time for t in self.trials.values() if t.end_time]
        if not starts:
            return 0.0
        return max(0.0, ((max(ends) if self.is_done and ends else now) - min(starts)).total_seconds())

    def left(self, now: datetime) -> float | None:
        """Return the estimated seconds until all trials have ended; None if that cannot be estimated.

        It is the mean duration of ended trials, times the remaining trials, minus the time that running ones have used,
        divided by the number that run in parallel: the average until now, or the current number if that is larger.
        """
        took = [s for t in self.trials.values() if (s := duration(t)) is not None]
        if self.study.max_trials is None or not took:
            return None
        mean = sum(took) / len(took)
        begun = [max(0.0, (now - t.start_time).total_seconds()) for t in self.running if t.start_time]
        work = max(0, self.study.max_trials - self.ended) * mean - sum(min(seconds, mean) for seconds in begun)
        average = (sum(took) + sum(begun)) / max(self.elapsed(now), 1e-3)
        return max(0.0, work) / max(1.0, float(len(begun)), average)
