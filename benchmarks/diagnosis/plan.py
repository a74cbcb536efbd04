"""What is planted where, written down before anything is run: the faults, and the healthy controls beside them.

Thresholds are chosen on the development half. The test half has other images, other seeds, other strengths and mostly
other data sets for each fault; it is run once the thresholds stand. A plant is found where the first finding (causes
come before symptoms) is one of those expected. A control has no finding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bo_client import Value

from benchmarks.diagnosis.datasets import (
    DEVELOPMENT,
    DIGITS,
    DRAWN,
    EMOJI,
    TEST,
    Change,
    against_the_rest,
    copied,
    darkened,
    few,
    mislabeled,
    shuffled,
    shuffled_rest,
    unbalanced,
)

BATCH_NORM, DEAD_BIAS = "batch_norms_train", "dead_bias"

LOW, HIGH = {"learning_rate_too_low"}, {"learning_rate_too_high"}
SYMMETRIC, EXPLODING, VANISHING = {"symmetric_units"}, {"exploding_gradients"}, {"vanishing_gradients"}
OVERFITTING, UNDERFITTING, REGULARIZED = {"overfitting"}, {"underfitting"}, {"too_much_regularization"}
IMBALANCE, NOISE, LEAKAGE = {"class_imbalance"}, {"label_noise"}, {"leakage"}
SCALE, DEAD, MODE = {"input_scale"}, {"dead_units"}, {"batch_norm_in_training_mode"}
SMALL_BATCH, FEW, SMALL_VALIDATION = {"batch_too_small_for_batch_norm"}, {"too_few_steps"}, {"note.small_validation"}


@dataclass(frozen=True)
class StoppingContext:
    """A run. Without anything expected it is a healthy control."""

    name: str
    half: str
    data: str
    expected: frozenset[str]
    parameters: Mapping[str, Value]
    options: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None
    patch: str = ""

    @property
    def key(self) -> str:
        return f"{self.half}/{self.name}"


class _Plan:
    """Cases of both halves, in order."""

    def __init__(self) -> None:
        self.cases: list[StoppingContext] = []

    def add(
        self, half: str, name: str, data: str, expected: set[str], parameters: Mapping[str, Value], epochs: int = 6,
        change: Change | None = None, patch: str = "", **options: str,
    ) -> None:  # fmt: skip
        sound = {"lr_head": 1e-3, "dropout": 0.3, "batch_size": 32}
        given = {**sound, **parameters}
        self.cases.append(
            StoppingContext(
                name, half, data, frozenset(expected), given, {"epochs": str(epochs), **options}, change, patch
            )
        )


SCRATCH: Mapping[str, Value] = {"mode": "scratch", "norm_scope": "network", "norm": "none", "batch_size": 16}
TUNED: Mapping[str, Value] = {"mode": "fine_tune", "unfreeze_top": 1, "lr_backbone_ratio": 0.1}


def plants() -> list[StoppingContext]:
    """Return the faults, 37 of each half."""
    plan = _Plan()
    d, t = DEVELOPMENT, TEST
    add = plan.add
    # the learning rate
    add(d, "rate 1000 times too low, frozen", EMOJI, LOW, {"lr_head": 1e-6})
    add(t, "rate 1000 times too low, frozen", DIGITS, LOW, {"lr_head": 2e-6, "norm": "none"}, 8)
    add(d, "rate 1000 times too low, fine-tuned", DIGITS, LOW, {**TUNED, "lr_head": 1e-6}, 3)
    add(t, "rate 1000 times too low, fine-tuned", DRAWN, LOW, {**TUNED, "lr_head": 1e-6}, 4)
    add(d, "rate 300 times too low, layer norm", DRAWN, LOW, {"lr_head": 3e-6, "norm": "layer"}, 8)
    add(t, "rate 300 times too low, layer norm", EMOJI, LOW, {"lr_head": 3e-6, "norm": "layer"}, 5)
    add(d, "rate 100 times too high, no norm", DIGITS, HIGH, {"lr_head": 0.2, "norm": "none"})
    add(t, "rate 100 times too high, no norm", EMOJI, HIGH, {"lr_head": 0.1, "norm": "none"})
    add(d, "rate 1000 times too high, no norm", EMOJI, HIGH, {"lr_head": 1.0, "norm": "none"})
    add(t, "rate 1000 times too high, no norm", DRAWN, HIGH, {"lr_head": 1.0, "norm": "none"}, 8)
    add(d, "rate 3000 times too high, batch norm", DRAWN, HIGH, {"lr_head": 3.0})
    add(t, "rate 3000 times too high, batch norm", DIGITS, HIGH, {"lr_head": 3.0})
    add(d, "loss diverges", DRAWN, HIGH, {"lr_head": 1e30, "norm": "none"})
    add(t, "loss diverges", EMOJI, HIGH, {"lr_head": 1e25, "norm": "none"})
    # the start
    add(d, "zeros", EMOJI, SYMMETRIC, {"kernel_initializer": "zeros"})
    add(t, "zeros", DIGITS, SYMMETRIC, {"kernel_initializer": "zeros"}, 4)
    add(d, "zeros, layer norm", DRAWN, SYMMETRIC, {"kernel_initializer": "zeros", "norm": "layer", "lr_head": 1e-2})
    add(t, "zeros, layer norm", EMOJI, SYMMETRIC, {"kernel_initializer": "zeros", "norm": "layer", "lr_head": 3e-3})
    add(d, "N(0, 1), no norm", DIGITS, EXPLODING, {"kernel_initializer": "normal_1", "norm": "none"})
    add(t, "N(0, 1), no norm", DRAWN, EXPLODING, {"kernel_initializer": "normal_1", "norm": "none"}, 8)
    add(d, "N(0, 1), no norm, fine-tuned", DRAWN, EXPLODING, {
        **TUNED, "kernel_initializer": "normal_1", "norm": "none"}, 3)  # fmt: skip
    add(t, "N(0, 1), no norm, fine-tuned", EMOJI, EXPLODING, {
        **TUNED, "kernel_initializer": "normal_1", "norm": "none"}, 3)  # fmt: skip
    add(d, "scratch, narrow normals", DIGITS, VANISHING, {**SCRATCH, "kernel_initializer": "normal_0.01"}, 1)
    add(t, "scratch, narrow normals", DRAWN, VANISHING, {**SCRATCH, "kernel_initializer": "normal_0.01"}, 2)
    add(d, "scratch, N(0, 1)", DRAWN, EXPLODING, {**SCRATCH, "kernel_initializer": "normal_1"}, 1)
    add(t, "scratch, N(0, 1)", DIGITS, EXPLODING, {**SCRATCH, "kernel_initializer": "normal_1"}, 1)
    add(d, "dead units", DIGITS, DEAD, {"norm": "none"}, patch=DEAD_BIAS)
    add(t, "dead units", EMOJI, DEAD, {"norm": "none"}, 4, patch=DEAD_BIAS)
    # batch normalization
    add(d, "pretrained batch norms in training mode", EMOJI, MODE, {**TUNED, "batch_size": 16}, 3, patch=BATCH_NORM)
    add(t, "pretrained batch norms in training mode", DIGITS, MODE, {**TUNED, "batch_size": 16}, 3, patch=BATCH_NORM)
    add(d, "the same, three blocks", DRAWN, MODE, {**TUNED, "unfreeze_top": 3}, 3, patch=BATCH_NORM)
    add(t, "the same, three blocks", EMOJI, MODE, {**TUNED, "unfreeze_top": 3}, 3, patch=BATCH_NORM)
    add(d, "batches of two", EMOJI, SMALL_BATCH, {"batch_size": 2}, 3)
    add(t, "batches of two", DIGITS, SMALL_BATCH, {"batch_size": 2}, 3)
    # how much is learned
    add(d, "gap", EMOJI, OVERFITTING, {"lr_head": 3e-3, "dropout": 0.0}, 30)
    add(t, "gap", EMOJI, OVERFITTING, {**TUNED, "lr_head": 1e-3, "dropout": 0.0}, 12)
    add(d, "gap, few images", DIGITS, OVERFITTING, {"lr_head": 3e-3, "dropout": 0.0}, 40, change=few(12))
    add(t, "gap, few images", DIGITS, OVERFITTING, {"lr_head": 3e-3, "dropout": 0.0}, 50, change=few(10))
    add(d, "validation loss rises", DIGITS, OVERFITTING, {"lr_head": 3e-3, "dropout": 0.0}, 60, change=mislabeled(0.3))
    add(t, "validation loss rises", DRAWN, OVERFITTING, {"lr_head": 3e-3, "dropout": 0.0}, 60, change=mislabeled(0.3))
    add(d, "dropout 0.95", DIGITS, REGULARIZED, {"dropout": 0.95})
    add(t, "dropout 0.95", EMOJI, REGULARIZED, {"dropout": 0.97})
    add(d, "weight decay 100", EMOJI, REGULARIZED, {"weight_decay": 100.0}, 8)
    add(t, "weight decay 100", DIGITS, REGULARIZED, {"weight_decay": 100.0}, 8)
    add(d, "label smoothing 0.9", DRAWN, REGULARIZED, {"label_smoothing": 0.9})
    add(t, "label smoothing 0.9", DIGITS, REGULARIZED, {"label_smoothing": 0.85})
    add(d, "one channel", DIGITS, UNDERFITTING, {"lr_head": 1e-2}, 10, head_width="1")
    add(t, "one channel", EMOJI, UNDERFITTING, {"lr_head": 1e-2}, 10, head_width="1")
    add(d, "one epoch", EMOJI, FEW, {"lr_head": 3e-4}, 1)
    add(t, "one epoch", DRAWN, FEW, {"lr_head": 3e-4}, 1)
    add(d, "batches as large as the data", DRAWN, FEW, {"batch_size": 512, "lr_head": 3e-4}, 4)
    add(t, "batches as large as the data", DIGITS, FEW, {"batch_size": 512, "lr_head": 3e-4}, 4)
    # the data
    add(d, "one class of 95 %", EMOJI, IMBALANCE, {}, 4, change=against_the_rest(3, 20))
    add(t, "one class of 95 %", EMOJI, IMBALANCE, {}, 4, change=against_the_rest(5, 20))
    memorizing: Mapping[str, Value] = {"lr_head": 3e-3, "dropout": 0.0}
    add(d, "one class of 95 %, fine-tuned", EMOJI, IMBALANCE, TUNED, 5, change=against_the_rest(1, 20))
    add(t, "one class of 95 %, fine-tuned", EMOJI, IMBALANCE, TUNED, 5, change=against_the_rest(2, 20))
    add(d, "rare classes", DIGITS, IMBALANCE, {"lr_head": 3e-4}, 5, change=unbalanced((40, 40, 5, 5, 5, 40, 40)))
    add(t, "rare classes", DRAWN, IMBALANCE, {"lr_head": 3e-4}, 5, change=unbalanced((60, 60, 5, 5, 5)))
    add(d, "shuffled labels", DIGITS, NOISE, {"lr_head": 3e-3, "dropout": 0.0}, 25, change=shuffled)
    add(t, "shuffled labels", DRAWN, NOISE, {"lr_head": 3e-3, "dropout": 0.0}, 25, change=shuffled)
    add(d, "shuffled labels, fine-tuned", DRAWN, NOISE, {**TUNED, "lr_head": 2e-3}, 10, change=shuffled)
    add(t, "shuffled labels, fine-tuned", EMOJI, NOISE, {**TUNED, "lr_head": 2e-3}, 10, change=shuffled)
    add(d, "shuffled labels, one class of 90 %", DIGITS, NOISE, memorizing, 25, change=shuffled_rest(2, 40))
    add(t, "shuffled labels, one class of 90 %", DIGITS, NOISE, memorizing, 25, change=shuffled_rest(4, 40))
    add(d, "copies, compressed again", DRAWN, LEAKAGE, {}, 4, change=copied(0.5, True))
    add(t, "copies, compressed again", DIGITS, LEAKAGE, {}, 4, change=copied(0.4, True))
    add(d, "copies, brighter", DIGITS, LEAKAGE, {}, 4, change=copied(0.3, False))
    add(t, "copies, brighter", EMOJI, LEAKAGE, {}, 3, change=copied(0.3, False))
    add(d, "pixels from 0 to 16", DIGITS, SCALE, {}, 4, change=darkened(1 / 16))
    add(t, "pixels from 0 to 16", DRAWN, SCALE, {}, 4, change=darkened(1 / 12))
    add(d, "pixels from 0 to 1", EMOJI, SCALE, {}, 4, change=darkened(1 / 255))
    add(t, "pixels from 0 to 1", DIGITS, SCALE, {}, 4, change=darkened(1 / 255))
    add(d, "a handful of validation images", DRAWN, SMALL_VALIDATION, {}, 8, change=few(7))
    add(t, "a handful of validation images", DIGITS, SMALL_VALIDATION, {}, 8, change=few(6))
    return plan.cases


def controls() -> list[StoppingContext]:
    """Healthy trainings, 16 of each half: sensible parameters, ended before the images are memorized."""
    plan = _Plan()

    def add(half: str, name: str, data: str, parameters: Mapping[str, Value], epochs: int, **more: object) -> None:
        plan.add(half, name, data, set(), parameters, epochs, **more)  # type: ignore[arg-type]

    d, t = DEVELOPMENT, TEST
    add(d, "textbook", EMOJI, {"dropout": 0.5}, 4)
    add(t, "textbook", EMOJI, {"dropout": 0.4}, 4)
    add(d, "layer norm, cosine", EMOJI, {"norm": "layer", "schedule": "cosine", "lr_head": 2e-3}, 5)
    add(t, "group norm, cosine", EMOJI, {"norm": "group", "schedule": "cosine", "lr_head": 2e-3}, 4)
    add(d, "fine-tuned a little", EMOJI, {**TUNED, "dropout": 0.5}, 3)
    add(t, "fine-tuned a little", EMOJI, {**TUNED, "dropout": 0.5, "lr_head": 7e-4}, 3)
    add(d, "smoothed and decayed", EMOJI, {"label_smoothing": 0.1, "weight_decay": 1e-3, "dropout": 0.5}, 5)
    add(t, "smoothed, warmed up", EMOJI, {"label_smoothing": 0.1, "warmup": 0.2, "dropout": 0.5}, 5)
    add(d, "balanced weights, small rate", EMOJI, {"class_weights": "balanced", "lr_head": 5e-4}, 5)
    add(t, "clipped, small rate", EMOJI, {"clip_norm": 1.0, "lr_head": 5e-4}, 5)
    add(d, "textbook", DIGITS, {}, 6)
    add(t, "textbook", DIGITS, {}, 7)
    add(d, "no norm, He", DIGITS, {"norm": "none", "kernel_initializer": "he_normal"}, 8)
    add(t, "no norm, He", DIGITS, {"norm": "none", "kernel_initializer": "he_uniform"}, 7)
    add(d, "short, still improving", DIGITS, {"lr_head": 1e-3}, 3)
    add(t, "short, still improving", DIGITS, {"lr_head": 1.5e-3, "batch_size": 16}, 2)
    add(d, "unbalanced and learned", DIGITS, {"lr_head": 2e-3}, 12, change=unbalanced((40, 40, 15, 40, 12, 40)))
    add(t, "unbalanced and learned", DRAWN, {"lr_head": 2e-3}, 10, change=unbalanced((60, 60, 18, 60, 15)))
    add(d, "fine-tuned", DIGITS, {**TUNED, "lr_head": 1e-3}, 4)
    add(t, "two stages", DIGITS, {"mode": "two_stage", "unfreeze_top": 1, "lr_backbone_ratio": 0.2}, 5)
    add(d, "textbook", DRAWN, {}, 6)
    add(t, "textbook", DRAWN, {}, 6)
    add(d, "large rate", DRAWN, {"lr_head": 1e-2}, 8)
    add(t, "large rate", DRAWN, {"lr_head": 8e-3}, 6)
    add(d, "batches of 16, dropout", DRAWN, {"batch_size": 16, "dropout": 0.6}, 6)
    add(t, "batches of 16, dropout", DIGITS, {"batch_size": 16, "dropout": 0.6}, 6)
    add(d, "instance norm", DRAWN, {"norm": "instance", "lr_head": 3e-3}, 8)
    add(t, "layer norm", DRAWN, {"norm": "layer", "lr_head": 3e-3}, 8)
    add(d, "augmented", DRAWN, {"augmentation": 0.3, "lr_head": 2e-3}, 6)
    add(t, "augmented", DRAWN, {"augmentation": 0.4, "lr_head": 2e-3}, 5)
    add(d, "normal 0.01, one class more often", DRAWN, {"kernel_initializer": "normal_0.01"}, 8,
        change=unbalanced((60, 30, 30, 30, 30)))  # fmt: skip
    add(t, "normal 0.01, one class more often", DIGITS, {"kernel_initializer": "normal_0.01"}, 8,
        change=unbalanced((40, 25, 25, 25, 25, 25)))  # fmt: skip
    return [replace(case, name=f"control: {case.name}, {case.data}") for case in plan.cases]


def cases(half: str) -> list[StoppingContext]:
    """Plants and controls of a half."""
    return [case for case in (*plants(), *controls()) if case.half == half]
