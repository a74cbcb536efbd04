"""The vocabulary of the diagnosis: kinds of findings, thresholds, and what they are judged by.

H is the loss of guessing by the shares of the classes; see `diagnosis.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bo_objectives.efficientnet.names import HEAD_ONLY

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
"""Causes before what follows from them; diagnose() lists findings in this order."""
SYMPTOMS = {COLLAPSED, AT_CHANCE}
"""Facts that have a cause. Their remedy is that of the cause, where one was found."""

STILL_IMPROVING = "still_improving"
SMALL_VALIDATION = "small_validation"

LABEL = "diagnosis"
NOTE = "note"
MOST_IN_LABEL = 256  # characters
MOST_DEAD = 0.5
NEARLY_ALL = 0.9
"""Dead channels, in the body of a network from scratch that learned all the same: some die in a sound training too."""
VANISHED = 1e-4
"""Of the upper layers' gradient, the lower layers'."""
NO_SIGNAL = 1e-3
"""Root mean square of the outputs of the head's convolution."""
EXPLODED_LOSS = 5.0
"""In ln C, before the first step."""
EXPLODED_GRADIENT = 100.0
"""Norm of all gradients at the first step; a sound start has about 1."""
NOISY_BATCH = 0.45
"""Batches of five independent images."""
UNLEARNED = 0.6
"""Training loss in H above which a training has learned little."""
LEARNED_ACCURACY = 0.8
"""Balanced training accuracy from which a training has learned, whatever its loss."""
NARROW_RANGE = 64.0
"""Of 255."""
FEWEST_COPIES, LEAST_COPIED = 3, 0.02
SMALL_STEP = 2.5e-3
"""Change of a kernel by one step, relative to the kernel."""
SMALL_MOVE = 0.3
"""Change of a kernel by all steps together, likewise."""
LARGE_MOVE = 3.0
"""Change of a kernel in the first epoch, likewise."""
FEW = 60
"""Optimizer steps."""
RISEN, RISEN_SHARE = 0.02, 0.15
"""Rise of the validation loss, in H and of its best, that isn't noise."""
MEMORIZED = 0.1
"""Of the validation loss, the training loss."""
STRONG_DROPOUT, STRONG_SMOOTHING, STRONG_DECAY, STRONG_AUGMENTATION = 0.75, 0.4, 3.0, 0.75
LEAST_VALIDATION = 30
"""Validation images; with fewer, an accuracy of 0.8 has a standard error above 0.07."""


@dataclass(frozen=True)
class Setting:
    """What the diagnosis needs to know of the trial's parameters and images."""

    shares: Sequence[float]
    """How often each class occurs in training."""
    batch_size: int
    norm: str
    """The one whose statistics or scales are trained."""
    mode: str
    norm_scope: str = HEAD_ONLY
    dropout: float = 0.0
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    augmentation: float = 0.0
    validation_images: int = 0
    """0 where that isn't known."""
    copies: float = 0.0
    """Share of the validation images that have a copy among the training images."""
    left_out: int = 0
    """Images of a given split that a later part has too, and that were left out of theirs."""
    pixel_range: tuple[float, float] = (0.0, 255.0)

    @property
    def chance(self) -> float:
        """H."""
        return -sum(p * math.log(p) for p in self.shares if p > 0)

    @property
    def uniform(self) -> float:
        """ln C, the loss of guessing every class alike: about that of a sound start, however unbalanced the classes."""
        return math.log(max(2, len(self.shares)))

    @property
    def chance_accuracy(self) -> float:
        """The greatest accuracy of always guessing one class that is likely: two standard errors above its mean."""
        p = max(self.shares, default=1.0)
        return p + 2 * math.sqrt(p * (1 - p) / (self.validation_images or 100))


@dataclass(frozen=True)
class Finding:
    """A fault, with what shows it and what to change."""

    kind: str
    evidence: str
    remedy: str
    epoch: int | None = None
    """In which it began, where that can be told."""
