"""This service with its rules for stopping: the server's own use cases on a database of their own, one worker."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from benchmarks.curves.table import Table
from benchmarks.early_stopping import RULES, Clock, LocalOptimizer
from bo_service.application import studies, suggest_trials, trial_lifecycle
from bo_service.application.context import AppContext
from bo_service.application.ports import ComputationHandle, Optimizer
from bo_service.domain.constraints import Configuration
from bo_service.domain.early_stopping import StoppingSettings
from bo_service.domain.failures import Failure, FailureReason
from bo_service.domain.study import Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Measurement, Trial
from bo_service.optimizer.inputs import OptimizerInput, Suggestion, SuggestionBatch
from bo_service.storage.sqlite import SqliteStore

Snap = Callable[[Configuration], Configuration]


class Ours:
    """A study whose suggestions become recorded configurations before they become trials."""

    def __init__(self, rule: str, table: Table, seed: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fidelity-")
        self._optimizer = _Snapping()
        store = SqliteStore(Path(self._folder.name) / "bo.db")
        self._services = AppContext.of(store, Clock(), cast(Optimizer, self._optimizer))
        settings = StoppingSettings(RULES[rule])
        spec = StudySpec(
            table.space, (Metric("loss", Goal.MINIMIZE),), SuggestionSettings(seed=seed), stopping=settings
        )
        studies.create_study(self._services, studies.NewStudy("s", spec, "", {}), None)
        self._trial: Trial | None = None
        self._last = Measurement({}, 0)

    def begin(self, snap: Snap) -> Configuration:
        """Ask for a trial."""
        self._optimizer.snap = snap
        (self._trial,) = suggest_trials.suggest_trials(
            self._services, suggest_trials.SuggestRequest("s", 1, "w", 60.0), None
        ).trials
        return self._trial.parameters

    def report(self, epoch: int, loss: float) -> bool:
        """Report a measurement."""
        self._last = Measurement({"loss": loss}, epoch)
        return trial_lifecycle.report_measurements(*self._call(), [self._last]).should_stop

    def end(self, is_failed: bool) -> None:
        """Complete the trial, or fail it."""
        if is_failed:
            trial_lifecycle.complete_trial(
                *self._call(), Failure(FailureReason.DIVERGED, "the loss is not finite"), None
            )
        else:
            trial_lifecycle.complete_trial(*self._call(), self._last, None)

    def _call(self) -> tuple[AppContext, str, int, str]:
        assert self._trial is not None
        assert self._trial.lease is not None
        return self._services, "s", self._trial.number, self._trial.lease.token


class _Snapping(LocalOptimizer):
    """The core's suggestions, each replaced by the recorded configuration that is nearest."""

    snap: Snap

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        """Suggest what is recorded."""
        found = super().suggest(inputs, count, timeout, handle)
        return found and replace(found, suggestions=self._snapped(found.suggestions))

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        """Suggest what is recorded."""
        return self._snapped(super().suggest_quasi_random(inputs, count))

    def _snapped(self, found: list[Suggestion]) -> list[Suggestion]:
        return [replace(s, configuration=dict(self.snap(s.configuration))) for s in found]
