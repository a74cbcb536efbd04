"""Where a watched study stands: pure values, made from changes one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bo_client.finite import is_exhausted, to_repeat
from bo_client.ranking import best_of, is_defaults
from bo_client.values import Change, StudyInfo, StudyState, Trial, TrialState
from bo_client.wording import duration


@dataclass(frozen=True)
class Progress:
    """A study and its trials by number, as last told."""

    study: StudyInfo
    trials: Mapping[int, Trial] = field(default_factory=dict)

    def after(self, change: Change) -> "Progress":
        """With a change taken in. Where another study has taken the name, nothing of the old one stays."""
        known = self.trials if change.study.create_time == self.study.create_time else {}
        trials = {**known, **{trial.number: trial for trial in change.trials}}
        return Progress(change.study, {n: t for n, t in trials.items() if n not in change.deleted_trials})

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return (self.study.state is StudyState.COMPLETED and not self.running) or self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration of a finite space has been tried, and none is to be repeated: nothing is
        suggested any more."""
        trials = self.trials.values()
        if any(not t.state.is_ended for t in trials):
            return False
        return is_exhausted(self.study.space, [t.parameters for t in trials]) and not self._may_repeat

    @property
    def _may_repeat(self) -> bool:
        names = [metric.name for metric in self.study.objectives]
        tried = [
            (t.parameters, tuple(t.final_measurement.metrics[n] for n in names) if t.final_measurement else None)
            for t in self.trials.values()
            if not t.is_cut_short
        ]
        return self.study.settings.get("algorithm") != "quasi_random" and bool(to_repeat(tried))

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(trial.state.is_ended for trial in self.trials.values())

    @property
    def running(self) -> list[Trial]:
        """Those that a worker holds."""
        return [t for _, t in sorted(self.trials.items()) if t.state is TrialState.RUNNING]

    @property
    def best(self) -> list[Trial]:
        """The best trial with a result; with several objectives the Pareto set."""
        return best_of(self.study, [trial for _, trial in sorted(self.trials.items())])

    @property
    def defaults(self) -> Trial | None:
        """The trial that others are compared with."""
        return next((t for _, t in sorted(self.trials.items()) if is_defaults(t)), None)

    def elapsed(self, now: datetime) -> float:
        """Seconds since the first trial began, until now or until the last one ended."""
        starts = [t.start_time for t in self.trials.values() if t.start_time]
        ends = [t.end_time for t in self.trials.values() if t.end_time]
        if not starts:
            return 0.0
        return max(0.0, ((max(ends) if self.is_done and ends else now) - min(starts)).total_seconds())

    def left(self, now: datetime) -> float | None:
        """Seconds until all trials have ended, if they go on as they went; None where nobody can say.

        Mean duration of the trials that ended, times the trials left, less what the running ones have behind them, over
        the number that run at once: on average until now, or at this moment where that is more.
        """
        took = [s for t in self.trials.values() if (s := duration(t)) is not None]
        if self.study.max_trials is None or not took:
            return None
        mean = sum(took) / len(took)
        begun = [max(0.0, (now - t.start_time).total_seconds()) for t in self.running if t.start_time]
        work = max(0, self.study.max_trials - self.ended) * mean - sum(min(seconds, mean) for seconds in begun)
        average = (sum(took) + sum(begun)) / max(self.elapsed(now), 1e-3)
        return max(0.0, work) / max(1.0, float(len(begun)), average)
