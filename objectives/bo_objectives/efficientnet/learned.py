"""How much a training has learned, as several findings need it."""

import math
from statistics import fmean

from bo_objectives.efficientnet.findings import LEARNED_ACCURACY, UNLEARNED, Setting
from bo_objectives.efficientnet.record import Record

# ── how much was learned


def train_loss(record: Record) -> float:
    """Of the best epoch's weights in inference, or the least of the curve."""
    seen = [point["train_loss"] for point in record.curve]
    if record.after is not None and record.after.train is not None:
        seen.append(record.after.train.loss)
    return min(seen, default=math.inf)


def is_unlearned(record: Record, setting: Setting) -> bool:
    """Whether the training images themselves are predicted little better than by guessing."""
    outcome = record.after.train if record.after else None
    recalls = [recall for recall in outcome.recalls if recall is not None] if outcome else []
    if recalls and fmean(recalls) >= LEARNED_ACCURACY:
        return False
    return train_loss(record) > UNLEARNED * setting.chance


def is_falling(record: Record, setting: Setting) -> bool:
    """Whether the training loss was still falling at the end."""
    losses = [point["train_loss"] for point in record.curve]
    return len(losses) >= 2 and losses[-2] - losses[-1] > 1e-4 * setting.chance


def is_below_chance(record: Record, setting: Setting) -> bool:
    """Whether the validation loss is clearly below that of guessing."""
    return record.best["val_loss"] < 0.9 * setting.chance
