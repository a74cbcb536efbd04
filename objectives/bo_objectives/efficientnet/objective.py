"""The objective as a worker sees it. Keras is loaded when the first trial is evaluated, not before."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bo_client import Value

from bo_objectives.base import Definition, Run
from bo_objectives.efficientnet import runtime
from bo_objectives.efficientnet.choice import Choice
from bo_objectives.efficientnet.settings import FULL, Settings
from bo_objectives.efficientnet.space import METRICS, TEXTBOOK, default_space, full_space

if TYPE_CHECKING:
    from bo_objectives.efficientnet.bench import Bench
    from bo_objectives.efficientnet.trial import Trial


class EfficientNetObjective:
    """The validation loss of an EfficientNet fine-tuned with the given parameters.

    Options are those of `Settings`, as texts: data, backbone, weights, image_size, epochs, head_width, cache,
    cache_dir, seed, backend.

    Raises:
        SetupError: an unknown option, a value that isn't allowed, or data that isn't there.
    """

    def __init__(self, **options: str) -> None:
        self.settings = Settings.from_options(options)
        self._bench: Bench | None = None

    def define(self) -> Definition:
        """The search space, the metrics and the textbook configuration.

        Raises:
            SetupError: the data or the weights that the options name aren't there.
        """
        self.settings.check()
        whole = full_space(self.settings.head_width, self.settings.sizes)
        space = whole if self.settings.space == FULL else default_space(self.settings.head_width)
        return Definition(space, METRICS, TEXTBOOK, step="epoch", steps=self.settings.epochs, whole=whole)

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Trains once, reporting after each epoch; the metrics of the epoch with the least validation loss.

        Raises:
            TrialFailed: DIVERGED, OUT_OF_MEMORY or INVALID_CONFIGURATION.
        """
        with runtime.failures_told():
            return self._trial(parameters, run).train().metrics

    def examine(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Trains once more with the same seed, and looks at the test images once: test_loss and test_accuracy."""
        with runtime.failures_told():
            trial = self._trial(parameters, run)
            trained = trial.train()
            return {**trained.metrics, **trial.test(trained).metrics}

    def _trial(self, parameters: Mapping[str, Value], run: Run) -> "Trial":
        choice = Choice.of(parameters)
        bench = self._ready()
        from bo_objectives.efficientnet.trial import Trial

        return Trial(bench, choice, run)

    def _ready(self) -> "Bench":
        """The bench, made at the first call. What imports Keras is imported after its backend was chosen."""
        runtime.start(self.settings.backend, self.settings.precision)
        runtime.check_steps(self.settings.steps_per_execution)
        if self._bench is None:
            from bo_objectives.efficientnet.bench import Bench

            self._bench = Bench(self.settings)
        return self._bench
