"""Checks for causes in the learning rate and the result, and for symptoms that have a cause."""

import math
from itertools import pairwise
from statistics import fmean, median

from bo_objectives.efficientnet.findings import (
    AT_CHANCE,
    COLLAPSED,
    FEW_STEPS,
    IMBALANCE,
    LABEL_NOISE,
    MAX_CHANCE_LOSS,
    MAX_FIRST_EPOCH_CHANGE,
    MAX_INITIAL_LOSS,
    MAX_LEARNED_LOSS,
    MAX_MEMORIZED_RATIO,
    MIN_RISE,
    MIN_RISE_SHARE,
    MIN_STEP_CHANGE,
    MIN_STEPS,
    MIN_TOTAL_CHANGE,
    OVER_REGULARIZED,
    OVERFITTING,
    RATE_TOO_HIGH,
    RATE_TOO_LOW,
    STRONG_AUGMENTATION,
    STRONG_DECAY,
    STRONG_DROPOUT,
    STRONG_SMOOTHING,
    UNDERFITTING,
    Finding,
    Setting,
)
from bo_objectives.efficientnet.history import TrainingHistory
from bo_objectives.efficientnet.learned import are_classes_recognized, is_below_chance, is_falling, is_unlearned
from bo_objectives.efficientnet.names import FROZEN, REGRESSION, SINGLE_LABEL

# ── the learning rate


def is_dropout_dominant(record: TrainingHistory, setting: Setting) -> bool:
    """Return whether dropout causes most of the training loss: the same images have a lower loss in inference."""
    outcome = record.after.train if record.after else None
    if setting.dropout < STRONG_DROPOUT or outcome is None or record.before is None:
        return False
    return outcome.loss < min(record.before.loss, record.best["train_loss"])


def rate_too_high(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a loss that diverged or rose, or kernels that changed too much."""
    if record.diverged:
        return Finding(
            RATE_TOO_HIGH, f"the loss became infinite or no number in epoch {record.diverged}",
            "divide lr_head by 10, or set warmup and clip_norm", record.diverged,
        )  # fmt: skip
    start = min(record.before.loss, MAX_INITIAL_LOSS * setting.uniform) if record.before else setting.uniform
    ceiling = max(start, setting.uniform)
    losses = [] if is_dropout_dominant(record, setting) else [point["train_loss"] for point in record.curve]
    over = [epoch for epoch, loss in enumerate(losses, 1) if loss > 1.5 * ceiling]
    if over:
        evidence = (
            f"the training loss is {losses[over[0] - 1]:.3g} in epoch {over[0]}, above the {ceiling:.3g} it began with"
        )
        return Finding(RATE_TOO_HIGH, evidence, "divide lr_head by 3 to 10, or set warmup", over[0])
    rises = [e for e in range(1, len(losses)) if losses[e] > losses[e - 1] + 0.1 * setting.chance]
    if len(losses) >= 4 and len(rises) >= len(losses) / 4:
        evidence = f"the training loss rose in {len(rises)} of {len(losses) - 1} epochs, first in epoch {rises[0] + 1}"
        return Finding(RATE_TOO_HIGH, evidence, "divide lr_head by 3, or set schedule=cosine", rises[0] + 1)
    moved = max(record.updates[0].values(), default=0.0) if record.updates else 0.0
    if moved > MAX_FIRST_EPOCH_CHANGE and is_unlearned(record, setting):
        evidence = f"the first epoch changed a kernel to {moved:.1f} times its size, and little was learned"
        return Finding(RATE_TOO_HIGH, evidence, "divide lr_head by 10, or set warmup", 1)
    return None


def rate_too_low(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a training that learned little, while kernels hardly moved, or moved evenly all the time."""
    losses = [point["train_loss"] for point in record.curve]
    if len(losses) < 2 or not is_unlearned(record, setting):
        return None
    remedy = "multiply lr_head by 10, or train more epochs"
    moved = [median(epoch.values()) for epoch in record.updates if epoch]
    if moved and sum(record.steps):
        step = sum(moved) / sum(record.steps)
        if step > MIN_STEP_CHANGE or sum(moved) > MIN_TOTAL_CHANGE:
            return None
        evidence = (
            f"the kernels changed by {sum(moved):.2%} of their size in {sum(record.steps)} steps, and the training "
            f"loss is {losses[-1]:.3g} where guessing has {setting.chance:.3g}"
        )
        return Finding(RATE_TOO_LOW, evidence, remedy)
    falls = [a - b for a, b in pairwise(losses)]
    early, late = sum(falls[: len(falls) // 2 or 1]), sum(falls[-(len(falls) // 2 or 1) :])
    if len(losses) < 3 or min(falls) < 0 or late < 0.5 * early or sum(falls) < 1e-4 * setting.chance:
        return None
    evidence = (
        f"the training loss still falls by {falls[-1]:.2g} an epoch at the end, as at the beginning ({falls[0]:.2g}), "
        f"and is {losses[-1]:.3g} where guessing has {setting.chance:.3g}"
    )
    return Finding(RATE_TOO_LOW, evidence, remedy)


# ── what came of it


def label_noise(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find memorized training images whose labels do not generalize."""
    if len(record.curve) < 3:
        return None
    largest = max(setting.shares, default=1.0)
    learned = [point for point in record.curve if point["train_accuracy"] >= largest + 0.3 * (1 - largest)]
    if record.curve[-1] not in learned or is_below_chance(record, setting):
        return None
    validation_accuracy = fmean(point["val_accuracy"] for point in learned)  # before, it is low for any labels
    if validation_accuracy > setting.noise_accuracy:
        return None
    return Finding(
        LABEL_NOISE,
        f"the training accuracy is {record.curve[-1]['train_accuracy']:.2f} and the validation accuracy "
        f"{validation_accuracy:.2f}, where always guessing one class has {largest:.2f}: what was "
        "learned does not hold for other images",
        "check that labels belong to their images, and that both parts come from the same source",
    )


def imbalance(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find rare classes that are missed while the common ones are recognized."""
    outcome = record.after.validation if record.after else None
    if outcome is None:
        return None
    C = len(setting.shares)
    by_class = [
        (s, r, n) for s, r, n in zip(setting.shares, outcome.recalls, outcome.counts, strict=True) if r is not None
    ]
    rare = [(r, n) for s, r, n in by_class if s < 0.5 / C]
    common = [(r, n) for s, r, n in by_class if s >= 0.5 / C]
    if sum(n for _, n in rare) < 3 or not common:
        return None
    of_rare, of_common = (sum(r * n for r, n in group) / sum(n for _, n in group) for group in (rare, common))
    if of_rare >= 0.5 or of_common < of_rare + 0.4:
        return None
    balanced = fmean(r for _, r, _ in by_class)
    return Finding(
        IMBALANCE,
        f"{of_rare:.0%} of the rare classes' validation images are found and {of_common:.0%} of the others; the "
        f"accuracy is {record.best['val_accuracy']:.3g}, balanced over the classes {balanced:.2f}",
        "set class_weights=balanced, add images of the rare classes, check their labels, and judge by the balanced "
        "accuracy",
    )


def over_regularized(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a training that learned little under strong regularization."""
    if len(record.curve) < 2 or record.best["train_loss"] < MAX_LEARNED_LOSS * setting.chance:
        return None
    outcome = record.after.train if record.after else None
    if outcome is not None and outcome.loss < 0.4 * setting.chance:
        return None
    strengths = [
        ("dropout", setting.dropout, STRONG_DROPOUT),
        ("label_smoothing", setting.label_smoothing, STRONG_SMOOTHING),
        ("weight_decay", setting.weight_decay, STRONG_DECAY),
        ("augmentation", setting.augmentation, STRONG_AUGMENTATION),
    ]
    strong = [f"{name}={value:g}" for name, value, bound in strengths if value >= bound]
    if not strong:
        return None
    return Finding(
        OVER_REGULARIZED,
        f"the training loss stays at {record.best['train_loss']:.3g}, where guessing has {setting.chance:.3g}, with "
        f"{', '.join(strong)}",
        f"lower {' and '.join(text.split('=')[0] for text in strong)}",
    )


def few_steps(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a training with too few steps. A stopped training has no final inspection, and gets no finding."""
    steps = sum(record.steps)
    if record.after is None or not record.curve or not 0 < steps < MIN_STEPS or not is_unlearned(record, setting):
        return None
    if len(record.curve) > 1 and not is_falling(record, setting):
        return None
    was = "was still falling, at" if len(record.curve) > 1 else "is"
    return Finding(
        FEW_STEPS,
        f"there {'was 1 step' if steps == 1 else f'were {steps} steps'} in {epochs(record.epoch)}, and the training "
        f"loss {was} {record.curve[-1]['train_loss']:.3g} where guessing has {setting.chance:.3g}",
        "train more epochs, or take a smaller batch_size",
    )


def epochs(count: int) -> str:
    """Return a number of epochs in words."""
    return "1 epoch" if count == 1 else f"{count} epochs"


def overfitting(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a validation loss that rose while the training loss fell, or memorized training images."""
    if len(record.curve) < 3:
        return None
    best, last = record.best, record.curve[-1]
    late = record.curve[record.best_epoch :][-max(1, record.epoch // 4) :]
    rise = fmean(point["val_loss"] for point in late) - best["val_loss"] if late else 0.0
    fall = best["train_loss"] - last["train_loss"]
    remedy = "raise dropout, weight_decay or augmentation, unfreeze less, or set the option patience"
    if rise > max(MIN_RISE * setting.chance, MIN_RISE_SHARE * best["val_loss"], error(record, setting)) and fall > 0:
        began = record.best_epoch + 1
        return Finding(
            OVERFITTING,
            f"from epoch {began} the validation loss rose from {best['val_loss']:.3g} to {last['val_loss']:.3g} while "
            f"the training loss fell from {best['train_loss']:.3g} to {last['train_loss']:.3g}",
            remedy, began,
        )  # fmt: skip
    gap = last["val_loss"] - last["train_loss"]
    is_memorized = last["train_loss"] < MAX_MEMORIZED_RATIO * last["val_loss"] and gap > 0.2 * setting.chance
    if not is_memorized:
        return None
    if setting.task != SINGLE_LABEL:
        evidence = (
            f"the training loss is {last['train_loss']:.3g} and the validation loss {last['val_loss']:.3g} at the end"
        )
        return Finding(OVERFITTING, f"{evidence}: the training images are memorized", remedy)
    if last["train_accuracy"] - last["val_accuracy"] < 0.1:
        return None
    return Finding(
        OVERFITTING,
        f"the training loss is {last['train_loss']:.3g} and the validation loss {last['val_loss']:.3g} at the end, the "
        f"accuracies {last['train_accuracy']:.2f} and {last['val_accuracy']:.2f}: the training images are memorized",
        remedy,
    )


def error(record: TrainingHistory, setting: Setting) -> float:
    """Return the standard error of the best epoch's validation loss; 0 if unknown."""
    outcome = record.after.validation if record.after else None
    return outcome.loss_std / math.sqrt(setting.validation_images) if outcome and setting.validation_images else 0.0


def underfitting(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a training that fits neither part, with close losses that have stopped falling."""
    if len(record.curve) < 3 or not is_unlearned(record, setting):
        return None
    best = record.best
    if best["val_loss"] - best["train_loss"] > 0.15 * setting.chance:
        return None
    more = "unfreeze more blocks" if setting.mode != FROZEN else "set mode=fine_tune"
    smoothing = "label_smoothing, " if setting.task != REGRESSION else ""
    return Finding(
        UNDERFITTING,
        f"the training loss stays at {best['train_loss']:.3g} and the validation loss at {best['val_loss']:.3g}, where "
        f"guessing has {setting.chance:.3g}",
        f"lower dropout, {smoothing}weight_decay or augmentation, {more}, or train longer",
    )


def collapsed(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find predictions that are nearly all of one class."""
    after, largest = record.after, max(setting.shares, default=1.0)
    if after is None or not record.curve or largest > 0.9:
        return None
    commonest = after.validation.commonest if after.validation else after.commonest
    if commonest < 0.99 or record.best["val_accuracy"] > largest + 0.1:
        return None
    return Finding(
        COLLAPSED,
        f"{commonest:.0%} of the predictions are one class; the largest has {largest:.0%} of the images",
        "set class_weights=balanced, check the initializer and the learning rate",
    )  # fmt: skip


def at_chance(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a validation accuracy that is no better than always predicting the most common class."""
    if not record.curve or (record.after is None and len(record.curve) < 3):
        return None
    best, largest = record.best, max(setting.shares, default=1.0)
    if setting.task != SINGLE_LABEL:
        return _loss_at_chance(record, setting)
    if best["val_accuracy"] > setting.chance_accuracy or is_below_chance(record, setting):
        return None
    if are_classes_recognized(record):
        return None
    return Finding(
        AT_CHANCE,
        f"the validation accuracy is {best['val_accuracy']:.2f}, where always guessing one class has {largest:.2f}, "
        f"and the loss {best['val_loss']:.3g}, where guessing has {setting.chance:.3g}",
        "check images and labels, lr_head and the initializer",
    )


def _loss_at_chance(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a validation loss that is no better than always predicting frequencies, or the mean."""
    loss = record.best["val_loss"]
    if loss < MAX_CHANCE_LOSS * setting.chance:
        return None
    guess = "the mean" if setting.task == REGRESSION else "how often each label occurs"
    return Finding(
        AT_CHANCE,
        f"the validation loss is {loss:.3g}, where always predicting {guess} has about {setting.chance:.3g}",
        "check images and labels, lr_head and the initializer",
    )
