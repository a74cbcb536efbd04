"""The objective as a worker sees it. Keras is loaded when the first trial is evaluated, not before."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bo_client import Value

from bo_objectives.base import Definition, Run
from bo_objectives.efficientnet import devices, runtime
from bo_objectives.efficientnet.choice import Choice
from bo_objectives.efficientnet.data import FOLDS
from bo_objectives.efficientnet.settings import FULL, Settings
from bo_objectives.efficientnet.space import METRICS, TEXTBOOK, default_space, full_space

if TYPE_CHECKING:
    from bo_objectives.efficientnet.bench import Bench
    from bo_objectives.efficientnet.trial import Trial


class EfficientNetObjective:
    """The validation loss of an EfficientNet fine-tuned with the given parameters.

    Options are those of `Settings`, as texts.

    Raises:
        SetupError: an unknown option, a value that isn't allowed, or data that isn't there.
    """

    def __init__(self, **options: str) -> None:
        self.settings = Settings.from_options(options)
        self._options = options
        self._bench: Bench | None = None
        self._repeat: tuple[int, EfficientNetObjective] | None = None

    def define(self) -> Definition:
        """The search space, the metrics and the textbook configuration.

        Raises:
            SetupError: the data or the weights that the options name aren't there.
        """
        self.settings.check()
        width, side = self.settings.head_width, self.settings.image_size
        whole = full_space(width, self.settings.sizes, side)
        space = whole if self.settings.space == FULL else default_space(width, side)
        told = self.settings.compared()
        return Definition(space, METRICS, TEXTBOOK, step="epoch", steps=self.settings.epochs, whole=whole, options=told)

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Trains once, reporting after each epoch; the metrics of the epoch with the least validation loss.

        Raises:
            TrialFailed: DIVERGED, OUT_OF_MEMORY or INVALID_CONFIGURATION.
        """
        with self.bench() as bench:
            return _trial(bench, parameters, run).train().metrics

    def repeat(self, parameters: Mapping[str, Value], run: Run, index: int) -> Mapping[str, float]:
        """As `evaluate`, with a seed of its own and another part of the images for validation; the test images stay."""
        if self._repeat is None or self._repeat[0] != index:
            fold = (self.settings.fold + index) % FOLDS
            seed = (self.settings.seed + index) % 2**31
            other = EfficientNetObjective(**{**self._options, "fold": str(fold), "seed": str(seed)})
            self._repeat = (index, other)
        return self._repeat[1].evaluate(parameters, run)

    def examine(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Looks at the test images once: test_loss and test_accuracy.

        A finished trial is taken from its checkpoint; else it is trained once more, with the same seed.
        """
        with self.bench() as bench:
            trial = _trial(bench, parameters, run)
            trained = trial.train()
            return {**trained.metrics, **trial.test(trained).metrics}

    def export(self, parameters: Mapping[str, Value], run: Run, directory: Path) -> Mapping[str, float]:
        """As `examine`, and writes model.keras, metrics.json, the confusion matrix and a model card."""
        with self.bench() as bench:
            from bo_objectives.efficientnet import export

            trial = _trial(bench, parameters, run)
            return export.export(trial, trial.train(), directory)

    @contextmanager
    def bench(self) -> Iterator["Bench"]:
        """What trials run on, while Keras is on its backend and devices; what imports Keras is imported within.

        Raises:
            TrialFailed: OUT_OF_MEMORY, for the backends' own errors within.
            SetupError: the backend isn't installed, or can't do what the options say.
        """
        with runtime.failures_told():
            runtime.start(self.settings.backend, self.settings.precision)
            runtime.check_steps(self.settings.steps_per_execution)
            with devices.scope(self.settings.strategy):
                from bo_objectives.efficientnet.bench import Bench

                self._bench = self._bench or Bench(self.settings)
                yield self._bench


def _trial(bench: "Bench", parameters: Mapping[str, Value], run: Run) -> "Trial":
    from bo_objectives.efficientnet.trial import Trial

    return Trial(bench, Choice.of(parameters), run)
