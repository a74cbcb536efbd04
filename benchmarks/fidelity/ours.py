"""This service with its rules for stopping and pausing: the server's own use cases on a store of their own."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from benchmarks.curves.table import Table
from benchmarks.early_stopping import Clock, LocalOptimizer
from benchmarks.fidelity.replay import Answer, Ending, Part, Snap
from bo_service.application import studies, suggest_trials, trial_lifecycle
from bo_service.application.context import AppContext
from bo_service.application.ports import ComputationHandle, Optimizer
from bo_service.application.views import PauseOutcome
from bo_service.domain.constraints import Configuration
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.failures import Failure, FailureReason
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.study import Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Measurement, Trial
from bo_service.optimizer.inputs import OptimizerInput, Suggestion, SuggestionBatch
from bo_service.storage.memory import MemoryStore

STUDY = "replayed"
DIVERGED = Failure(FailureReason.DIVERGED, "the loss is not finite")


class Ours:
    """A study whose suggestions become recorded configurations before they become trials.

    Args:
        table: The recorded curves.
        seed: Seed of the study.
        stopping: The study's stopping rule, as the contract names it.
        promotion: Which paused trials go on, as the contract names it; empty to train no trial in parts.
    """

    def __init__(self, table: Table, seed: int, stopping: str = "none", promotion: str = "") -> None:
        self._optimizer = _Snapping()
        self._services = AppContext.of(MemoryStore(), Clock(), cast(Optimizer, self._optimizer))
        fidelity = FidelitySettings(table.epochs, 1, "epoch", Promotion(promotion)) if promotion else None
        settings, rule = SuggestionSettings(seed=seed), StoppingSettings(StoppingRule(stopping))
        metrics = (Metric("loss", Goal.MINIMIZE),)
        spec = StudySpec(table.space, metrics, settings, stopping=rule, fidelity=fidelity)
        studies.create_study(self._services, studies.NewStudy(STUDY, spec, "", {}), None)
        self._can_resume = fidelity is not None
        self._held: dict[int, Trial] = {}
        self._last: dict[int, Measurement] = {}

    def begin(self, snap: Snap) -> Part | None:
        """Ask for a trial."""
        self._optimizer.snap = snap
        request = suggest_trials.SuggestRequest(STUDY, 1, "worker", 60.0, can_resume=self._can_resume)
        for trial in suggest_trials.suggest_trials(self._services, request, None).trials:
            self._held[trial.number] = trial
            return Part(trial.number, trial.parameters)
        return None

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Report a measurement."""
        self._last[number] = Measurement({"loss": loss}, epoch)
        heartbeat = trial_lifecycle.report_measurements(*self._call(number), [self._last[number]])
        if heartbeat.should_stop:
            return Answer.STOP
        return Answer.PAUSE if heartbeat.should_pause else Answer.GO_ON

    def end(self, number: int, ending: Ending) -> None:
        """Complete the trial, give it back, or fail it."""
        outcome: Measurement | Failure | PauseOutcome = DIVERGED
        if ending is Ending.PAUSED:
            outcome = PauseOutcome(f"checkpoint-{number}")
        elif ending is not Ending.FAILED:
            outcome = self._last[number]
        trial_lifecycle.complete_trial(*self._call(number), outcome, None)
        del self._held[number]

    def _call(self, number: int) -> tuple[AppContext, str, int, str]:
        lease = self._held[number].lease
        assert lease is not None
        return self._services, STUDY, number, lease.token


class _Snapping(LocalOptimizer):
    """The core's suggestions, each replaced by the recorded configuration that is nearest."""

    snap: Callable[[Configuration], Configuration]

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        """Suggest what is recorded."""
        batch = super().suggest(inputs, count, timeout, handle)
        return batch and replace(batch, suggestions=self._snapped(batch.suggestions))

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        """Suggest what is recorded."""
        return self._snapped(super().suggest_quasi_random(inputs, count))

    def _snapped(self, suggestions: list[Suggestion]) -> list[Suggestion]:
        return [s if s.continues else replace(s, configuration=dict(self.snap(s.configuration))) for s in suggestions]
