"""KerasTuner: an oracle that asks the service, and a tuner with it that also reports epochs.

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
from bo_client.integrations.held import HeldTrial, ask_for, divergence, ending
from bo_client.integrations.hyperparameters import Hyperparameters
from bo_client.integrations.studies import Studies
from bo_client.optimize import PAUSE
from bo_client.outcomes import Waiting
from bo_client.settings import StudySettings
from bo_client.study import Study
from bo_client.values import Failure, FailureReason, Metric, Shortfall

logger = logging.getLogger("bo_client.keras_tuner")

LABEL = "keras-tuner-trial"
"""What the service keeps of a trial that was added: its id and score."""


class BoOracle(keras_tuner.Oracle):
    """Suggests what the service suggests. `max_trials` and retries are KerasTuner's."""

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
        """
        Args:
            objective: as for other oracles; several are one sum, as KerasTuner has it.
            server: HOST:PORT, or a client that knows about tokens and TLS; by default BO_SERVER, else 127.0.0.1:50051.
            study_id: of the service's study; ID.2, ID.3 … follow where the hypermodel brings new hyperparameters.
            settings: of the service's study, such as {"stopping": "median"}.
            seed: of the service's suggestions too.
            options: `hyperparameters`, `max_retries_per_trial` and whatever else an Oracle takes.
        """
        super().__init__(objective=objective, max_trials=max_trials, seed=seed, **options)
        given: StudySettings = {} if seed is None else {"seed": seed}
        self._studies = Studies(server, study_id, {**given, **(settings or {})})
        self._runs: dict[str, HeldTrial] = {}
        self._told: dict[str, str] = {}
        """By trial, the study that has it as one of its own."""
        self._raised: dict[str, Failure] = {}
        """By trial, what the last exception says, where a BoTuner has seen it."""
        self._study: Study | None = None
        self._added: set[str | None] = set()
        self._waiting: Waiting | None = None
        self._is_told = False
        self.is_anew = False
        """Whether the tuner was told to overwrite an earlier project."""

    @property
    def metric(self) -> Metric:
        """What the service optimizes."""
        return Metric(self.objective.name, "maximize" if self.objective.direction == "max" else "minimize")

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The service's suggestion; KerasTuner's defaults while no hyperparameter is known. Raises BoClientError."""
        space = Hyperparameters(self.hyperparameters.space)
        if not space.translation.domains:
            if not self.trials:
                return {"status": TrialStatus.RUNNING, "values": space.inward({})}
            logger.warning("the search ends after %d trials: no hyperparameter has two values", len(self.trials))
            return {"status": TrialStatus.STOPPED, "values": None}
        study = self._study_of(space)
        suggestions = ask_for(study, 1, waiting=())
        if suggestions:
            self._waiting = None
            self._runs[trial_id] = HeldTrial(suggestions[0])
            return {"status": TrialStatus.RUNNING, "values": space.inward(suggestions[0].parameters)}
        why = suggestions.shortfall or Shortfall.COMPLETED
        if why.is_final:
            self._tell_end(study, why)
            return {"status": TrialStatus.STOPPED, "values": None}
        self._waiting = self._waiting or Waiting(study)
        self._waiting.tell(why)
        time.sleep(min(suggestions.retry_delay or PAUSE, PAUSE))  # KerasTuner asks again at once
        return {"status": TrialStatus.IDLE, "values": None}

    def report_epoch(self, trial_id: str, epoch: int, logs: Mapping[str, float]) -> str | None:
        """Adds to the trial's learning curve. Returns why it should end now, or None. Raises BoClientError."""
        held = self._runs.get(trial_id)
        if held is None or not self.objective.has_value(logs) or epoch + 1 <= (held.last_step or 0):
            return None  # of the second execution of a trial, the first has told
        return held.report({self.objective.name: float(self.objective.get_value(logs))}, epoch + 1)

    def raised(self, trial_id: str, error: Exception) -> None:
        """Keeps what an exception says of the trial; without it there is only its text."""
        self._raised[trial_id] = failure_of(error)

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def end_trial(self, trial: Trial) -> None:
        """Tells the service what came of the trial, unless KerasTuner tries it again. Raises BoClientError."""
        try:
            super().end_trial(trial)
        finally:
            if trial.trial_id not in self._retry_queue:
                self._tell(self.trials[trial.trial_id])

    def get_state(self) -> dict[str, Any]:
        """With the trials that run, and their leases."""
        held = {i: [h.trial.study.id, h.trial.number, h.trial.lease_token] for i, h in self._runs.items()}
        return {**super().get_state(), "held": held, "told": self._told}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the trials that ran. Raises BoClientError."""
        super().set_state(state)
        self._told = dict(state.get("told", {}))
        for trial_id, (study_id, number, token) in state.get("held", {}).items():
            try:
                self._runs[trial_id] = HeldTrial(self._studies.client.study(study_id).attach(number, token))
            except NotFound:
                continue

    def _study_of(self, space: Hyperparameters) -> Study:
        """The service's study of these hyperparameters, with the results that there are."""
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
        """A result that the service lacks, once; of failures, those that blame the parameters."""
        outcome = self._outcome(trial)
        label = f"{trial.trial_id}/{trial.score!r}"
        if label in self._added or self._told.get(trial.trial_id) == study.id:
            return
        if isinstance(outcome, Failure) and outcome.reason in (FailureReason.CRASHED, FailureReason.PREEMPTED):
            return
        configuration = space.outward(trial.hyperparameters.values)
        if study.definition.space.configuration_faults(configuration):
            return
        metrics = None if isinstance(outcome, Failure) else {self.objective.name: outcome}
        failure = outcome.reason if isinstance(outcome, Failure) else None
        try:
            study.add(configuration, metrics, failure, {LABEL: label})
        except (InvalidRequest, FailedPrecondition, LimitExceeded) as refusal:
            logger.warning("trial %s is not told to the service: %s", trial.trial_id, refusal)

    def _tell(self, trial: Trial) -> None:
        held = self._runs.pop(trial.trial_id, None)
        if held is None:
            return
        self._told[trial.trial_id] = held.trial.study.id
        outcome = self._outcome(trial)
        if isinstance(outcome, Failure):
            held.fail(outcome.reason, outcome.message)
        else:
            held.succeed({self.objective.name: outcome})

    def _outcome(self, trial: Trial) -> float | Failure:
        """The score; or why there is none: what KerasTuner knows is a traceback, and without one it was NaN."""
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

    def _tell_end(self, study: Study, why: Shortfall) -> None:
        if not self._is_told:
            self._is_told = True
            ended = [self.trials[trial_id].status for trial_id in self.end_order]
            failed = sum(status != TrialStatus.COMPLETED for status in ended)
            logger.warning("%s", ending(study, why, len(ended), self.max_trials, failed))


class BoTuner(keras_tuner.Tuner):
    """A tuner with a BoOracle: existing hypermodels run unchanged. Epochs are reported, and trials stopped early."""

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
        """As keras_tuner.BayesianOptimization, and as BoOracle. Raises InvalidRequest, naming the hyperparameter."""
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
        """Trains as KerasTuner does. Raises what the hypermodel raises; the oracle keeps what that says."""
        try:
            return super().run_trial(trial, *args, **kwargs)
        except Exception as error:
            if isinstance(self.oracle, BoOracle):
                self.oracle.raised(trial.trial_id, error)
            raise

    def on_epoch_end(self, trial: Trial, model: Any, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Reports the epoch, and ends the training where the service says so or the loss is NaN or infinite."""
        super().on_epoch_end(trial, model, epoch, logs)
        measured = {name: float(value) for name, value in (logs or {}).items()}
        why = divergence(measured, [], has_rule=False)
        if isinstance(self.oracle, BoOracle):
            why = self.oracle.report_epoch(trial.trial_id, epoch, measured) or why
        if why is not None:
            model.stop_training = True
