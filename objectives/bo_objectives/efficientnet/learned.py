"""Measures of how much a training has learned."""

import math
from statistics import fmean

from bo_objectives.efficientnet.findings import LEARNED_ACCURACY, MAX_LEARNED_LOSS, Setting
from bo_objectives.efficientnet.history import TrainingHistory

# ── how much was learned


def train_loss(record: TrainingHistory) -> float:
    """Return the least training loss: in inference with the best epoch's weights, or of the curve."""
    losses = [point["train_loss"] for point in record.curve]
    if record.after is not None and record.after.train is not None:
        losses.append(record.after.train.loss)
    return min(losses, default=math.inf)


def is_unlearned(record: TrainingHistory, setting: Setting) -> bool:
    """Return whether training images are predicted little better than by chance."""
    outcome = record.after.train if record.after else None
    recalls = [recall for recall in outcome.recalls if recall is not None] if outcome else []
    if recalls and fmean(recalls) >= LEARNED_ACCURACY:
        return False
    return train_loss(record) > MAX_LEARNED_LOSS * setting.chance


def is_falling(record: TrainingHistory, setting: Setting) -> bool:
    """Return whether the training loss was still falling at the end."""
    losses = [point["train_loss"] for point in record.curve]
    return len(losses) >= 2 and losses[-2] - losses[-1] > 1e-4 * setting.chance


def is_below_chance(record: TrainingHistory, setting: Setting) -> bool:
    """Return whether the validation loss is clearly below chance."""
    return record.best["val_loss"] < 0.9 * setting.chance


def are_classes_recognized(record: TrainingHistory) -> bool:
    """Return whether the balanced validation accuracy is clearly above chance, which is 1/C for C classes.

    Where one class dominates, the accuracy itself does not show this. The bound is three standard errors of a guess,
    as the weights are those of the best of several epochs.
    """
    outcome = record.after.validation if record.after else None
    if outcome is None:
        return False
    by_class = [(r, n) for r, n in zip(outcome.recalls, outcome.counts, strict=True) if r is not None]
    C = len(by_class)
    if C < 2:
        return False
    p = 1 / C
    error = math.sqrt(p * (1 - p) * sum(1 / n for _, n in by_class)) / C
    return fmean(r for r, _ in by_class) > p + 3 * error
