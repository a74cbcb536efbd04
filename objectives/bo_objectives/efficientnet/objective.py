"""The objective `efficientnet`. Keras is imported when the first trial is evaluated."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bo_client import Value

from bo_objectives.base import Definition, Run
from bo_objectives.efficientnet import devices, runtime
from bo_objectives.efficientnet.data import FOLDS
from bo_objectives.efficientnet.settings import FULL, ON, TrainingSettings
from bo_objectives.efficientnet.space import (
    BASELINE,
    default_space,
    for_task,
    full_space,
    metrics_of,
    whole_space,
)
from bo_objectives.efficientnet.trial_config import TrialConfig

if TYPE_CHECKING:
    from bo_objectives.efficientnet.training_context import TrainingContext
    from bo_objectives.efficientnet.training_run import TrainingRun


class EfficientNetObjective:
    """The validation loss of an EfficientNet fine-tuned with the given parameters.

    Options are those of `TrainingSettings`, as texts.

    Raises:
        SetupError: an option is unknown or invalid, or the data is missing.
    """

    def __init__(self, **options: str) -> None:
        self.settings = TrainingSettings.from_options(options)
        self._options = options
        self._context: TrainingContext | None = None
        self._repeat: tuple[int, EfficientNetObjective] | None = None

    def define(self) -> Definition:
        """Return the search space, the metrics and the textbook configuration.

        Raises:
            SetupError: the data or the weights are missing.
        """
        self.settings.check()
        width, side, task = self.settings.head_width, self.settings.image_size, self.settings.task
        whole = whole_space(width, self.settings.sizes, side)
        is_full = self.settings.space == FULL
        space = full_space(width, self.settings.sizes, side) if is_full else default_space(width, side)
        options = self.settings.compared()
        return Definition(
            for_task(space, task),
            metrics_of(task),
            BASELINE,
            step="epoch",
            steps=self.settings.epochs,
            whole=for_task(whole, task),
            options=options,
            can_resume=self.settings.checkpoints == "on",
        )

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Train once, report after each epoch, and return the metrics of the epoch with the least validation loss.

        Raises:
            TrialFailed: DIVERGED, OUT_OF_MEMORY or INVALID_CONFIGURATION.
        """
        with self.context() as context:
            return _training_run(context, parameters, run).train().metrics

    def repeat(self, parameters: Mapping[str, Value], run: Run, index: int) -> Mapping[str, float]:
        """Evaluate with another seed and another validation fold; the test images stay the same."""
        if self._repeat is None or self._repeat[0] != index:
            fold = (self.settings.fold + index) % FOLDS
            seed = (self.settings.seed + index) % 2**31
            other = EfficientNetObjective(**{**self._options, "fold": str(fold), "seed": str(seed)})
            self._repeat = (index, other)
        return self._repeat[1].evaluate(parameters, run)

    def evaluate_test(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Evaluate the test images once: test_loss, and test_accuracy or the figures of another task.

        A finished trial is loaded from its checkpoint; otherwise it is trained again with the same seed.
        """
        with self.context() as context:
            trial = _training_run(context, parameters, run)
            trained = trial.train()
            return {**trained.metrics, **trial.test(trained).metrics}

    def export(self, parameters: Mapping[str, Value], run: Run, directory: Path) -> Mapping[str, float]:
        """Evaluate as `evaluate_test` does, and write the model, its metrics, confusion matrix and card."""
        with self.context() as context:
            from bo_objectives.efficientnet import export

            trial = _training_run(context, parameters, run)
            return export.export(trial, trial.train(), directory)

    def look(self, pictures: Path | None = None) -> str:
        """Read every image, describe the data, and write examples of each class into a PNG file.

        Raises:
            SetupError: the data cannot be used, or the file cannot be written.
        """
        from bo_objectives.efficientnet import look

        return look.look(self.settings, pictures)

    @contextmanager
    def context(self) -> Iterator["TrainingContext"]:
        """Yield the training context while Keras runs on the requested backend and devices; import Keras only inside.

        Raises:
            TrialFailed: OUT_OF_MEMORY, for a backend's own error inside the block.
            SetupError: the backend is not installed, or does not support the options.
        """
        with runtime.out_of_memory_as_failure(), runtime.started(self.settings.backend, self.settings.precision):
            runtime.check_steps(self.settings.steps_per_execution)
            runtime.check_jit(self.settings.jit_compile == ON)
            with devices.scope(self.settings.strategy):
                from bo_objectives.efficientnet.training_context import TrainingContext

                self._context = self._context or TrainingContext(self.settings)
                yield self._context


def _training_run(context: "TrainingContext", parameters: Mapping[str, Value], run: Run) -> "TrainingRun":
    from bo_objectives.efficientnet.training_run import TrainingRun

    config = TrialConfig.of(parameters, allows_others=bool(context.user_functions))
    return TrainingRun(context, config, run)
