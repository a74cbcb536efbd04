"""The kinds of findings, their thresholds, and the settings that they depend on.

H is the loss of predicting the class frequencies; see `diagnosis.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bo_objectives.efficientnet.names import HEAD_ONLY, MULTI_LABEL, REGRESSION, SINGLE_LABEL

INPUT_SCALE = "input_scale"
LEAKAGE = "leakage"
SYMMETRIC = "symmetric_units"
EXPLODING = "exploding_gradients"
VANISHING = "vanishing_gradients"
BATCH_NORM_MODE = "batch_norm_in_training_mode"
RATE_TOO_HIGH = "learning_rate_too_high"
DEAD = "dead_units"
RATE_TOO_LOW = "learning_rate_too_low"
LABEL_NOISE = "label_noise"
IMBALANCE = "class_imbalance"
SMALL_BATCH = "batch_too_small_for_batch_norm"
STALE_STATISTICS = "stale_batch_norm_statistics"
OVER_REGULARIZED = "too_much_regularization"
FEW_STEPS = "too_few_steps"
OVERFITTING = "overfitting"
UNDERFITTING = "underfitting"
COLLAPSED = "collapsed_to_a_class"
AT_CHANCE = "at_chance"
KINDS = (
    INPUT_SCALE, LEAKAGE, SYMMETRIC, EXPLODING, VANISHING, BATCH_NORM_MODE, RATE_TOO_HIGH, DEAD, RATE_TOO_LOW,
    LABEL_NOISE, IMBALANCE, SMALL_BATCH, STALE_STATISTICS, OVER_REGULARIZED, FEW_STEPS, OVERFITTING, UNDERFITTING,
    COLLAPSED, AT_CHANCE,
)  # fmt: skip
"""Kinds of findings, causes before consequences; `diagnose` uses this order."""
SYMPTOMS = {COLLAPSED, AT_CHANCE}
"""Findings that have a cause, and get the remedy of that cause if it was found."""

STILL_IMPROVING = "still_improving"
SMALL_VALIDATION = "small_validation"

LABEL = "diagnosis"
NOTE = "note"
MAX_LABEL_LENGTH = 256  # characters
MAX_DEAD = 0.5
MAX_DEAD_IN_BODY = 0.9
"""Maximum share of dead channels in the body of a network from scratch that learned: some die in a sound training."""
MIN_GRADIENT_RATIO = 1e-4
"""Minimum ratio of the lower layers' gradient to the upper layers'."""
MIN_HEAD_RMS = 1e-3
"""Minimum root mean square of the outputs of the head's convolution."""
MAX_INITIAL_LOSS = 5.0
"""Maximum loss before the first step, in units of ln C."""
MAX_INITIAL_GRADIENT = 100.0
"""Maximum norm of all gradients at the first step; a sound start has about 1."""
MAX_BATCH_NOISE = 0.45
"""Noise of batches of five independent images."""
MAX_LEARNED_LOSS = 0.6
"""Training loss in H above which a training has learned little."""
MAX_CHANCE_LOSS = 0.98
"""Validation loss in H from which labels or numbers are predicted no better than by chance."""
LEARNED_ACCURACY = 0.8
"""Balanced training accuracy from which a training has learned, whatever its loss."""
MIN_PIXEL_RANGE = 64.0
"""In levels from 0 to 255."""
MIN_COPIES, MIN_COPIED_SHARE = 3, 0.02
MIN_STEP_CHANGE = 2.5e-3
"""Change of a kernel by one step, relative to the kernel."""
MIN_TOTAL_CHANGE = 0.3
"""Change of a kernel by all steps together, relative to the kernel."""
MAX_FIRST_EPOCH_CHANGE = 3.0
"""Change of a kernel in the first epoch, relative to the kernel."""
MIN_STEPS = 60
"""Number of optimizer steps."""
MIN_DOMINANCE = 3.0
"""Ratio of the largest class to the next one above which the largest dominates."""
MIN_RISE, MIN_RISE_SHARE = 0.02, 0.15
"""Significant rise of the validation loss, in H and relative to its best value."""
MAX_MEMORIZED_RATIO = 0.1
"""Ratio of the training loss to the validation loss."""
STRONG_DROPOUT, STRONG_SMOOTHING, STRONG_DECAY, STRONG_AUGMENTATION = 0.75, 0.4, 3.0, 0.75
MIN_VALIDATION = 30
"""Number of validation images; with fewer, an accuracy of 0.8 has a standard error above 0.07."""


@dataclass(frozen=True)
class Setting:
    """The trial's parameters and properties of its images that the diagnosis needs."""

    shares: Sequence[float]
    """Relative frequency of each class or label in training; of numbers, their mean."""
    batch_size: int
    norm: str
    """The norm whose statistics or scales are trained."""
    mode: str
    norm_scope: str = HEAD_ONLY
    dropout: float = 0.0
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    augmentation: float = 0.0
    validation_images: int = 0
    """0 if unknown."""
    copies: float = 0.0
    """Share of the validation images that have a copy among the training images."""
    left_out: int = 0
    """Number of images that were removed, as a later part of the given split contains them too."""
    pixel_range: tuple[float, float] = (0.0, 255.0)
    task: str = SINGLE_LABEL

    @property
    def chance(self) -> float:
        """H; for labels the mean over them, and for numbers the squared error of their mean, which is 1."""
        if self.task == REGRESSION:
            return 1.0
        if self.task == MULTI_LABEL:
            return fmean(-sum(q * math.log(q) for q in (p, 1 - p) if q > 0) for p in self.shares)
        return -sum(p * math.log(p) for p in self.shares if p > 0)

    @property
    def uniform(self) -> float:
        """Loss of a uniform prediction, ln C: about that of a sound start, however unbalanced the classes are.

        For labels it is ln 2. Numbers have none; a sound start has about the squared error of their mean.
        """
        if self.task != SINGLE_LABEL:
            return math.log(2) if self.task == MULTI_LABEL else 1.0
        return math.log(max(2, len(self.shares)))

    @property
    def chance_accuracy(self) -> float:
        """Upper bound on the accuracy of always predicting one class: two standard errors above its mean."""
        return max(self.shares, default=1.0) + 2 * self._accuracy_error

    @property
    def noise_accuracy(self) -> float:
        """Upper bound on the validation accuracy of a network that memorized labels without meaning.

        It is `chance_accuracy`, except where one class dominates. There a network that recognizes this class alone has
        the accuracy of always predicting it, and memorized random labels lower the accuracy, to Σ p²: the bound is two
        standard errors below the accuracy of always predicting one class.
        """
        return self.chance_accuracy - (4 * self._accuracy_error if self.is_dominated else 0.0)

    @property
    def is_dominated(self) -> bool:
        """Whether one class is much larger than each other one."""
        *_, second, largest = 0.0, 0.0, *sorted(self.shares)
        return second > 0 and largest >= MIN_DOMINANCE * second

    @property
    def _accuracy_error(self) -> float:
        """Standard error of the validation accuracy of always predicting the most common class."""
        p = max(self.shares, default=1.0)
        return math.sqrt(p * (1 - p) / (self.validation_images or 100))


@dataclass(frozen=True)
class Finding:
    """A fault with its evidence and remedy."""

    kind: str
    evidence: str
    remedy: str
    epoch: int | None = None
    """The epoch in which it began, if known."""
