"""KerasTuner: an oracle that uses the service, and a tuner with it that also reports epochs.

    tuner = BoTuner(build_model, objective="val_loss", max_trials=30, server="127.0.0.1:50051", study_id="first")
    tuner.search(x, y, validation_data=(x_val, y_val), epochs=10)

`BoOracle` serves other tuners: keras_tuner.Tuner(BoOracle(…), build_model), or keras_tuner.SklearnTuner.
"""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from bo_client.client import Client
from bo_client.errors import FailedPrecondition, InvalidRequest, LimitExceeded, NotFound
from bo_client.failures import failure_in, failure_of
from bo_client.integrations.external_trial import ExternalTrial, ask_for, divergence, ending
from bo_client.integrations.hyperparameters import Hyperparameters
from bo_client.integrations.studies import StudyConnection
from bo_client.models import Failure, FailureReason, Metric, Shortfall
from bo_client.outcomes import Waiting
from bo_client.settings import StudySettings
from bo_client.study import Study
from bo_client.trial_loop import PAUSE_S

logger = logging.getLogger("bo_client.keras_tuner")

LABEL = "keras-tuner-trial"
"""Label with the id and score of a trial that was added."""


class BoOracle(keras_tuner.Oracle):
    """An oracle that suggests the service's suggestions. `max_trials` and retries are KerasTuner's."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int = 10,
        *,
        server: str | Client | None = None,
        study_id: str,
        settings: StudySettings | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        """Create the oracle.

        Args:
            objective: as for other oracles; several are summed, as in KerasTuner.
            max_trials: as for other oracles.
            server: HOST:PORT, or a client with tokens and TLS; by default BO_SERVER, else 127.0.0.1:50051.
            study_id: id of the service's study; ID.2, ID.3 … follow if the hypermodel adds hyperparameters.
            settings: settings of the service's study, such as {"stopping": "median"}.
            seed: seed of KerasTuner and of the service's suggestions.
            options: `hyperparameters`, `max_retries_per_trial` and other arguments of an Oracle.
        """
        super().__init__(objective=objective, max_trials=max_trials, seed=seed, **options)
        default_settings: StudySettings = {} if seed is None else {"seed": seed}
        self._studies = StudyConnection(server, study_id, {**default_settings, **(settings or {})})
        self._runs: dict[str, ExternalTrial] = {}
        self._study_ids: dict[str, str] = {}
        """The study that has each trial as its own, by trial id."""
        self._raised: dict[str, Failure] = {}
        """The failure of each trial's last exception, if a BoTuner caught it."""
        self._study: Study | None = None
        self._added: set[str | None] = set()
        self._waiting: Waiting | None = None
        self._is_end_logged = False
        self.is_anew = False
        """Whether the tuner overwrites an earlier project."""

    @property
    def metric(self) -> Metric:
        """The metric that the service optimizes."""
        return Metric(self.objective.name, "maximize" if self.objective.direction == "max" else "minimize")

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the service's suggestion; KerasTuner's defaults while no hyperparameter is known.

        Raises:
            BoClientError: the call failed.
        """
        space = Hyperparameters(self.hyperparameters.space)
        if not space.translation.domains:
            if not self.trials:
                return {"status": TrialStatus.RUNNING, "values": space.from_service({})}
            logger.warning("the search ends after %d trials: no hyperparameter has two values", len(self.trials))
            return {"status": TrialStatus.STOPPED, "values": None}
        study = self._study_of(space)
        suggestions = ask_for(study, 1, waiting=())
        if suggestions:
            self._waiting = None
            self._runs[trial_id] = ExternalTrial(suggestions[0])
            return {"status": TrialStatus.RUNNING, "values": space.from_service(suggestions[0].parameters)}
        reason = suggestions.shortfall or Shortfall.COMPLETED
        if reason.is_final:
            self._log_end(study, reason)
            return {"status": TrialStatus.STOPPED, "values": None}
        self._waiting = self._waiting or Waiting(study)
        self._waiting.tell(reason)
        time.sleep(min(suggestions.retry_delay or PAUSE_S, PAUSE_S))  # KerasTuner asks again at once
        return {"status": TrialStatus.IDLE, "values": None}

    def report_epoch(self, trial_id: str, epoch: int, logs: Mapping[str, float]) -> str | None:
        """Add an epoch to the trial's learning curve.

        Returns:
            The reason to end the trial now, or None.

        Raises:
            BoClientError: the call failed.
        """
        external_trial = self._runs.get(trial_id)
        if external_trial is None or not self.objective.has_value(logs) or epoch + 1 <= (external_trial.last_step or 0):
            return None  # of the second execution of a trial, the first has told
        return external_trial.report({self.objective.name: float(self.objective.get_value(logs))}, epoch + 1)

    def raised(self, trial_id: str, error: Exception) -> None:
        """Store the failure of an exception, of which KerasTuner keeps only the text."""
        self._raised[trial_id] = failure_of(error)

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def end_trial(self, trial: Trial) -> None:
        """Report the outcome of the trial, unless KerasTuner retries it.

        Raises:
            BoClientError: the call failed.
        """
        try:
            super().end_trial(trial)
        finally:
            if trial.trial_id not in self._retry_queue:
                self._report_outcome(self.trials[trial.trial_id])

    def get_state(self) -> dict[str, Any]:
        """Return the state with running trials and their leases."""
        external_trials = {i: [h.trial.study.id, h.trial.number, h.trial.lease_token] for i, h in self._runs.items()}
        return {**super().get_state(), "held": external_trials, "told": self._study_ids}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state with the trials that ran.

        Raises:
            BoClientError: the call failed.
        """
        super().set_state(state)
        self._study_ids = dict(state.get("told", {}))
        for trial_id, (study_id, number, token) in state.get("held", {}).items():
            try:
                self._runs[trial_id] = ExternalTrial(self._studies.client.study(study_id).attach(number, token))
            except NotFound:
                continue

    def _study_of(self, space: Hyperparameters) -> Study:
        """Return the service's study for these hyperparameters, with all existing results."""
        if self._study is None or self._study.definition.space != space.translation.space:
            self._study = self._studies.for_space(space.translation.space, [self.metric])
            self._added = {trial.labels.get(LABEL) for trial in self._study.trials()}
            if self.is_anew and self._study.definition.ended:
                count, what = self._study.definition.ended, "take another study_id to begin without them"
                logger.warning(
                    "%s: overwrite=True leaves its %d trials, which count; %s", self._study.name, count, what
                )
            self.is_anew = False
            for trial in self.trials.values():
                if trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED):
                    self._add(self._study, space, trial)
        return self._study

    def _add(self, study: Study, space: Hyperparameters, trial: Trial) -> None:
        """Add a result that the service lacks, once; of failures, only those that the parameters caused."""
        outcome = self._outcome(trial)
        score = None if trial.score is None else float(trial.score)  # a reloaded trial has no NumPy scalar
        label = f"{trial.trial_id}/{score!r}"
        if label in self._added or self._study_ids.get(trial.trial_id) == study.id:
            return
        if isinstance(outcome, Failure) and outcome.reason in (FailureReason.CRASHED, FailureReason.PREEMPTED):
            return
        configuration = space.to_service(trial.hyperparameters.values)
        if study.definition.space.configuration_faults(configuration):
            return
        metrics = None if isinstance(outcome, Failure) else {self.objective.name: outcome}
        failure = outcome.reason if isinstance(outcome, Failure) else None
        try:
            study.add(configuration, metrics, failure, {LABEL: label})
        except (InvalidRequest, FailedPrecondition, LimitExceeded) as refusal:
            logger.warning("trial %s is not added to the service: %s", trial.trial_id, refusal)

    def _report_outcome(self, trial: Trial) -> None:
        external_trial = self._runs.pop(trial.trial_id, None)
        if external_trial is None:
            return
        self._study_ids[trial.trial_id] = external_trial.trial.study.id
        outcome = self._outcome(trial)
        if isinstance(outcome, Failure):
            external_trial.fail(outcome.reason, outcome.message)
        else:
            external_trial.succeed({self.objective.name: outcome})

    def _outcome(self, trial: Trial) -> float | Failure:
        """Return the score, or the failure: KerasTuner stores a traceback, or none for a NaN."""
        if trial.status == TrialStatus.COMPLETED:
            if trial.score is None:
                return Failure(FailureReason.CRASHED, "KerasTuner raised an error before it had scored the trial")
            score = float(trial.score)
            return score if math.isfinite(score) else Failure(FailureReason.DIVERGED, f"the objective is {score!r}")
        if not trial.message:
            return Failure(FailureReason.DIVERGED, "the objective is NaN")
        if trial.trial_id in self._raised and "FailedTrialError" not in trial.message:
            return self._raised[trial.trial_id]
        is_blamed = "FailedTrialError" in trial.message
        reason = FailureReason.INVALID_CONFIGURATION if is_blamed else FailureReason.CRASHED
        return failure_in(trial.message) or Failure(reason, trial.message[-1000:])

    def _log_end(self, study: Study, why: Shortfall) -> None:
        if not self._is_end_logged:
            self._is_end_logged = True
            ended = [self.trials[trial_id].status for trial_id in self.end_order]
            failed = sum(status != TrialStatus.COMPLETED for status in ended)
            logger.warning("%s", ending(study, why, len(ended), self.max_trials, failed))


class BoTuner(keras_tuner.Tuner):
    """A tuner with a BoOracle: existing hypermodels run unchanged, epochs are reported, and trials stop early."""

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int = 10,
        *,
        server: str | Client | None = None,
        study_id: str,
        settings: StudySettings | None = None,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **options: Any,
    ) -> None:
        """Create the tuner, with arguments as in keras_tuner.BayesianOptimization and BoOracle.

        Raises:
            InvalidRequest: names a hyperparameter that cannot be expressed.
        """
        oracle = BoOracle(
            objective,
            max_trials,
            server=server,
            study_id=study_id,
            settings=settings,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        oracle.is_anew = bool(options.get("overwrite", False))
        super().__init__(oracle, hypermodel, **options)

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train as KerasTuner does; the oracle stores the failure of an exception of the hypermodel."""
        try:
            return super().run_trial(trial, *args, **kwargs)
        except Exception as error:
            if isinstance(self.oracle, BoOracle):
                self.oracle.raised(trial.trial_id, error)
            raise

    def on_epoch_end(self, trial: Trial, model: Any, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report the epoch, and stop training if the service requests it or the loss is NaN or infinite."""
        super().on_epoch_end(trial, model, epoch, logs)
        measured = {name: float(value) for name, value in (logs or {}).items()}
        why = divergence(measured, [], has_rule=False)
        if isinstance(self.oracle, BoOracle):
            why = self.oracle.report_epoch(trial.trial_id, epoch, measured) or why
        if why is not None:
            model.stop_training = True
