"""The parts of a study that Optuna, scikit-learn and pandas have by the same names."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

from bo_client.errors import FailedPrecondition, InvalidRequest, NotFound
from bo_client.insight import Analysis, Recommendation
from bo_client.models import (
    Failure,
    FailureReason,
    ObjectiveSpec,
    StudyInfo,
    StudyState,
    Trial,
    Trials,
    TrialState,
)
from bo_client.parameters import Value
from bo_client.running import RunningTrial, Suggestions
from bo_client.settings import StudySettings
from bo_client.study_import import Result, add_results
from bo_client.trial_loop import final_metrics
from bo_client.trial_pages import TrialPages

if TYPE_CHECKING:
    import pandas as pd

    from bo_client.client import Client
    from bo_client.study import Study


class StudyShortcuts(ABC):
    """Properties and methods of `Study` that say in one word what the others say in general."""

    client: "Client"
    definition: StudyInfo
    _asked: dict[int, RunningTrial]

    @property
    @abstractmethod
    def id(self) -> str: ...
    @property
    @abstractmethod
    def name(self) -> str: ...
    @abstractmethod
    def info(self) -> StudyInfo: ...
    @abstractmethod
    def best(self) -> Trial | None: ...
    @abstractmethod
    def best_trials(self, count: int) -> Trials: ...
    @abstractmethod
    def trial(self, number: int, full: bool = True) -> Trial: ...
    @abstractmethod
    def analyze(self, timeout: float | None = None) -> Analysis: ...
    @abstractmethod
    def trials(
        self, states: Iterable[TrialState | str] | None = None, full: bool = False, order_by: str = ""
    ) -> TrialPages: ...
    @abstractmethod
    def metrics_of(self, metrics: float | Mapping[str, float]) -> Mapping[str, float]: ...
    @abstractmethod
    def suggest(
        self,
        count: int = 1,
        worker_id: str | None = None,
        timeout: float | None = None,
        objective: ObjectiveSpec | None = None,
    ) -> Suggestions: ...
    @abstractmethod
    def update(
        self,
        *,
        state: StudyState | str | None = None,
        display_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        settings: StudySettings | None = None,
        max_trials: int | None = None,
        objective: ObjectiveSpec | None = None,
    ) -> StudyInfo: ...

    @property
    def best_trial(self) -> Trial:
        """The best trial within all bounds, as `best` returns it.

        Raises:
            FailedPrecondition: there is no result yet (NO_RESULT).
            InvalidRequest: the study has several objectives; use `best_trials`.
        """
        names = [metric.name for metric in self.definition.objectives]
        if len(names) > 1:
            why = f"are {len(names)} ({', '.join(names)}), so no single trial is the best; use best_trials(1)"
            raise InvalidRequest.of("objectives", why)
        best = self.best()
        if best is None:
            bounds = " within all bounds" if self.definition.limits else ""
            raise FailedPrecondition(f"{self.name} has no result{bounds} yet; run trials first", "NO_RESULT")
        return best

    @property
    def best_params(self) -> Mapping[str, Value]:
        """The parameters of the best trial. Raises as `best_trial`."""
        return self.best_trial.parameters

    @property
    def best_value(self) -> float:
        """The objective of the best trial. Raises as `best_trial`."""
        value = self.best_trial.value(self.definition.objective.name)
        assert value is not None
        return value

    def recommend(self, timeout: float | None = None) -> Recommendation:
        """Return the configuration to take: of those tried, the one of the least expected regret, by all results.

        Where there is noise that need not be the one of the best value, which is partly luck.

        Args:
            timeout: seconds to wait; see `analyze`.

        Raises:
            FailedPrecondition: there are too few results.
            InvalidRequest: the study has several objectives; use `best_trials`.
        """
        names = [metric.name for metric in self.definition.objectives]
        if len(names) > 1:
            why = f"are {len(names)} ({', '.join(names)}), so no single configuration is the best; use best_trials(1)"
            raise InvalidRequest.of("objectives", why)
        best = self.analyze(timeout).best
        ordered = sorted(best.contenders, key=lambda c: (c.trial != best.recommended, c.expected_regret))
        leader, second = ordered[0], ordered[1] if len(ordered) > 1 else None
        return Recommendation(
            trial=self.trial(leader.trial),
            prediction=leader.prediction,
            probability=leader.probability,
            runner_up=None if second is None else second.trial,
            probability_over_runner_up=None if second is None else second.probability_behind,
        )

    def trials_dataframe(self) -> "pd.DataFrame":
        """Return the trials as a pandas DataFrame, a row for each trial.

        Columns, in order: `number`, `state`, `value` (the objective, if there is one alone), `metrics_NAME`,
        `params_NAME`, `labels_NAME`, `datetime_start`, `datetime_complete`, `duration` and `worker_id`.

        Raises:
            ImportError: pandas is missing.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(f"trials_dataframe needs pandas ({error}): pip install pandas") from error
        names = {
            "metrics": [metric.name for metric in self.definition.metrics],
            "params": list(self.definition.space.names),
        }
        trials = list(self.trials())
        names["labels"] = sorted({name for trial in trials for name in trial.labels})
        objective = self.definition.objective.name if len(self.definition.objectives) == 1 else None
        columns = ["number", "state", *(["value"] if objective else [])]
        columns += [f"{kind}_{name}" for kind, kinds in names.items() for name in kinds]
        columns += ["datetime_start", "datetime_complete", "duration", "worker_id"]
        return pd.DataFrame([_row(trial, objective) for trial in trials], columns=columns)

    def ask(self, worker_id: str | None = None) -> RunningTrial:
        """Return one trial to run, as `suggest` does; `tell` ends it.

        Raises:
            FailedPrecondition: there is none now; the message has the reason.
        """
        suggestions = self.suggest(1, worker_id)
        if not suggestions:
            raise FailedPrecondition(
                f"{self.name} gave no trial: {suggestions.explanation}", suggestions.shortfall or ""
            )
        self._asked[suggestions[0].number] = suggestions[0]
        return suggestions[0]

    def tell(
        self,
        trial: RunningTrial | int,
        metrics: float | Mapping[str, float] | None = None,
        *,
        failure: FailureReason | str | None = None,
    ) -> Trial:
        """End a trial with its metrics or its failure, and return it. A result that is not finite fails as DIVERGED.

        Args:
            trial: the trial, or its number if this object's `ask` returned it.
            metrics: by name, or the objective alone.
            failure: the reason why there is no result.

        Raises:
            InvalidRequest: a metric is missing, or both or neither of metrics and failure are given.
            NotFound: `ask` did not return a trial of this number.
            FailedPrecondition: the trial has ended.
        """
        if (metrics is None) == (failure is None):
            raise InvalidRequest.of("metrics", "and failure: give exactly one of them")
        running = trial if isinstance(trial, RunningTrial) else self._asked_for(trial)
        number = running.number
        if failure is not None:
            ended = running.fail(failure)
        else:
            assert metrics is not None
            final = final_metrics(self.definition, self.metrics_of(metrics))
            if isinstance(final, Failure):
                ended = running.fail(final.reason, final.message)
            else:
                ended = running.complete(final.metrics)
        self._asked.pop(number, None)
        return ended

    def _asked_for(self, number: object) -> RunningTrial:
        if not isinstance(number, Integral) or isinstance(number, bool):
            raise InvalidRequest.of("trial", f"is {number!r}; give the trial that ask() returned, or its number")
        if int(number) not in self._asked:
            why = "was not returned by this object's ask(), or has been ended by tell(); give the trial itself"
            raise NotFound(f"trial {number} {why}")
        return self._asked[int(number)]

    def pause(self) -> StudyInfo:
        """Pause the study: running trials finish, and no new ones start."""
        return self.update(state=StudyState.PAUSED)

    def resume(
        self, max_trials: int | None = None, max_steps: int | None = None, max_seconds: float | None = None
    ) -> StudyInfo:
        """Continue a study that was paused or completed; its new totals are given where they change."""
        limits = {"max_trials": max_trials, "max_steps": max_steps, "max_seconds": max_seconds}
        settings = {name: value for name, value in limits.items() if value is not None}
        return self.update(state=StudyState.ACTIVE, settings=cast(StudySettings, settings))

    def finish(self) -> StudyInfo:
        """Mark the study as completed: workers exit after their current trial."""
        return self.update(state=StudyState.COMPLETED)

    def rename(self, display_name: str) -> StudyInfo:
        """Change the name that is displayed; the id never changes."""
        return self.update(display_name=display_name)

    def delete(self) -> None:
        """Delete the study with all its trials. Raises NotFound if it does not exist."""
        self.client.delete_study(self.id)

    def copy(self, study_id: str, trials: bool = True) -> "Study":
        """Return a new study with the same search space, metrics and settings.

        Args:
            study_id: id of the new study.
            trials: whether to copy the results, also of stopped trials, and the failures that the parameters caused,
                with their learning curves and notes. Trials without a result, artifacts, and when trials were
                evaluated are not copied.

        Raises:
            AlreadyExists: the id belongs to another study.
        """
        info = self.info()
        settings: StudySettings = {**info.settings}
        new = self.client.create_study(
            study_id,
            info.space,
            info.metrics,
            display_name=info.display_name,
            labels=info.labels,
            objective=info.objective_spec,
            **settings,
        )
        if trials:
            add_results(new, filter(None, map(Result.of, self.trials(full=True))))
        return new


def _row(trial: Trial, objective: str | None) -> dict[str, Any]:
    metrics = trial.final_measurement.metrics if trial.final_measurement else {}
    is_over = trial.start_time is not None and trial.end_time is not None
    return {
        "number": trial.number,
        "state": trial.state.value,
        "value": None if objective is None else metrics.get(objective),
        **{f"metrics_{name}": value for name, value in metrics.items()},
        **{f"params_{name}": value for name, value in trial.parameters.items()},
        **{f"labels_{name}": value for name, value in trial.labels.items()},
        "datetime_start": trial.start_time,
        "datetime_complete": trial.end_time,
        "duration": trial.end_time - trial.start_time if is_over and trial.end_time and trial.start_time else None,
        "worker_id": trial.worker_id,
    }
