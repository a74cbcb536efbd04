"""What ails a training, told from its curves and from looks at its layers; pure.

H: the loss of a network that knows only how often each class occurs, Σ −p·ln p; the scale of every loss here, as losses
in nats have no other. A finding names its evidence and what to change; a healthy training has none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from bo_objectives.efficientnet.names import FROZEN, SCRATCH
from bo_objectives.efficientnet.record import Record

UNDERFITTING = "underfitting"
OVERFITTING = "overfitting"
RATE_TOO_HIGH = "learning_rate_too_high"
RATE_TOO_LOW = "learning_rate_too_low"
VANISHING = "vanishing_gradients"
EXPLODING = "exploding_gradients"
DEAD = "dead_units"
SYMMETRIC = "symmetric_units"
COLLAPSED = "collapsed_to_a_class"
SMALL_BATCH = "batch_too_small_for_batch_norm"
KINDS = (
    UNDERFITTING, OVERFITTING, RATE_TOO_HIGH, RATE_TOO_LOW, VANISHING, EXPLODING, DEAD, SYMMETRIC, COLLAPSED,
    SMALL_BATCH,
)  # fmt: skip

LABEL = "diagnosis"
MOST_IN_LABEL = 256  # characters
MOST_DEAD = 0.5
VANISHED = 1e-4
"""Of the upper layers' gradient, the lower layers'."""
EXPLODED_LOSS = 5.0
"""In H, before the first step."""
EXPLODED_GRADIENT = 100.0
"""Norm of all gradients, average of the first epoch; a sound start has about 1."""
NOISY_BATCH = 0.45
"""Batches of five independent images."""


@dataclass(frozen=True)
class Setting:
    """What of the trial's choice the diagnosis needs."""

    shares: Sequence[float]
    """How often each class occurs in training."""
    batch_size: int
    norm: str
    """The one whose statistics or scales are trained."""
    mode: str

    @property
    def chance(self) -> float:
        """H."""
        return -sum(p * math.log(p) for p in self.shares if p > 0)


@dataclass(frozen=True)
class Finding:
    """Something that ails, with what shows it and what to change."""

    kind: str
    evidence: str
    remedy: str
    epoch: int | None = None
    """In which it began, where that can be told."""


Check = Callable[[Record, Setting], Finding | None]


def diagnose(record: Record, setting: Setting) -> tuple[Finding, ...]:
    """Everything that ails the training, causes before what follows from them."""
    found: dict[str, Finding] = {}
    for check, silenced_by in CHECKS:
        finding = check(record, setting)
        if finding is not None and not silenced_by & set(found):
            found[finding.kind] = finding
    return tuple(found.values())


def labels(findings: Sequence[Finding], warnings: Sequence[str]) -> dict[str, str]:
    """For the trial, as the server keeps them: `diagnosis` names the kinds, `diagnosis.KIND` tells of each."""
    told = {LABEL: ", ".join(f.kind for f in findings) or "healthy"}
    told |= {f"{LABEL}.{f.kind}": _cut(f"{f.evidence}; {f.remedy}") for f in findings}
    return told | {f"warning.{i}": _cut(text) for i, text in enumerate(warnings, 1)}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_IN_LABEL else text[: MOST_IN_LABEL - 1] + "…"


# ── the start: units and gradients


def _symmetric(record: Record, _: Setting) -> Finding | None:
    alike = [layer.name for probe in (record.before, record.after) if probe for layer in probe.layers if layer.alike]
    if not alike:
        return None
    return Finding(
        SYMMETRIC, f"all channels of {alike[0]} have the same weights, so they get the same gradient",
        "take another kernel_initializer than zeros, such as he_normal", 1,
    )  # fmt: skip


def _dead(record: Record, setting: Setting) -> Finding | None:
    """New units that are dead, or old ones that died: pretrained features are 0 for most images from the start."""
    before = {layer.name: layer for layer in record.before.layers} if record.before else {}
    after = {layer.name: layer for layer in record.after.layers} if record.after else {}
    born = [x for x in before.values() if x.name.startswith("head_") or setting.mode == SCRATCH]
    died = [x for x in after.values() if x.name not in before or x.dead - before[x.name].dead > MOST_DEAD / 2]
    for layers, when, epoch in ((born, "before", 1), (died, "after", None)):
        worst = max(layers, key=lambda layer: layer.dead, default=None)
        if worst is not None and worst.dead > MOST_DEAD:
            return Finding(
                DEAD, f"{worst.dead:.0%} of the channels of {worst.name} are 0 for every image {when} training",
                "lower lr_head, set warmup, or take norm=batch or he_normal", epoch,
            )  # fmt: skip
    return None


def _exploding(record: Record, setting: Setting) -> Finding | None:
    told = []
    if record.before and record.before.loss > EXPLODED_LOSS * setting.chance:
        told.append(f"the loss before training is {record.before.loss:.3g}, where guessing has {setting.chance:.3g}")
    norm = record.gradient_norms[0] if record.gradient_norms else 0.0
    if norm > EXPLODED_GRADIENT or not math.isfinite(norm):
        told.append(f"the gradient's norm is {norm:.3g} in epoch 1, where about 1 is sound")
    if not told:
        return None
    return Finding(
        EXPLODING, " and ".join(told),
        "take kernel_initializer=glorot_uniform or he_normal instead of wide normals, a norm, or clip_norm", 1,
    )  # fmt: skip


def _vanishing(record: Record, _: Setting) -> Finding | None:
    first = record.gradients[0] if record.gradients else {}
    values = list(first.values())
    if len(values) < 2:
        return None
    third = max(1, len(values) // 3)
    low, high = median(values[:third]), median(values[-third:])
    is_gone = high < 1e-12
    if not is_gone and low >= VANISHED * high:
        return None
    bottom, top = next(iter(first)), list(first)[-1]
    evidence = f"the gradient is {low:.1e} at the bottom ({bottom}) and {high:.1e} at the top ({top}) in epoch 1"
    return Finding(
        VANISHING, evidence,
        "take he_normal or glorot_uniform rather than narrow normals, and a norm (norm_scope=network from scratch)", 1,
    )  # fmt: skip


# ── the learning rate


def _rate_too_high(record: Record, setting: Setting) -> Finding | None:
    if record.diverged:
        return Finding(
            RATE_TOO_HIGH, f"the loss became infinite or no number in epoch {record.diverged}",
            "divide lr_head by 10, or set warmup and clip_norm", record.diverged,
        )  # fmt: skip
    start = min(record.before.loss, EXPLODED_LOSS * setting.chance) if record.before else setting.chance
    ceiling = max(start, setting.chance)
    losses = [point["train_loss"] for point in record.curve]
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
    return None


def _rate_too_low(record: Record, setting: Setting) -> Finding | None:
    """Still far from what was to be learned, and falling as fast at the end as at the beginning."""
    losses = [point["train_loss"] for point in record.curve]
    if len(losses) < 3 or losses[-1] < 0.6 * setting.chance:
        return None
    falls = [a - b for a, b in pairwise(losses)]
    early, late = sum(falls[: len(falls) // 2 or 1]), sum(falls[-(len(falls) // 2 or 1) :])
    if min(falls) < 0 or late < 0.5 * early or sum(falls) < 1e-4 * setting.chance:
        return None
    return Finding(
        RATE_TOO_LOW,
        f"the training loss still falls by {falls[-1]:.2g} an epoch at the end, as at the beginning ({falls[0]:.2g}), "
        f"and is {losses[-1]:.3g} where guessing has {setting.chance:.3g}",
        "multiply lr_head by 3 to 10, or train more epochs",
    )


# ── what came of it


def _collapsed(record: Record, setting: Setting) -> Finding | None:
    after, largest = record.after, max(setting.shares, default=1.0)
    if after is None or not record.curve or after.commonest < 0.99 or largest > 0.9:
        return None
    if record.curve[-1]["val_accuracy"] > largest + 0.1:
        return None  # too few images were looked at
    return Finding(
        COLLAPSED,
        f"{after.commonest:.0%} of the predictions are one class; the largest has {largest:.0%} of the images",
        "set class_weights=balanced, check the initializer and the learning rate",
    )  # fmt: skip


def _overfitting(record: Record, setting: Setting) -> Finding | None:
    if len(record.curve) < 3 or record.best_epoch == record.epoch:
        return None
    best, last = record.best, record.curve[-1]
    rise, fall = last["val_loss"] - best["val_loss"], best["train_loss"] - last["train_loss"]
    if rise < max(0.05 * setting.chance, 0.05 * best["val_loss"]) or fall <= 0:
        return None
    began = record.best_epoch + 1
    return Finding(
        OVERFITTING,
        f"from epoch {began} the validation loss rose from {best['val_loss']:.3g} to {last['val_loss']:.3g} while the "
        f"training loss fell from {best['train_loss']:.3g} to {last['train_loss']:.3g}",
        "raise dropout, weight_decay or augmentation, unfreeze less, or set the option patience", began,
    )  # fmt: skip


def _underfitting(record: Record, setting: Setting) -> Finding | None:
    """Neither part is learned well, they lie close, and more of the same wouldn't help."""
    if len(record.curve) < 3:
        return None
    best = record.best
    gap = best["val_loss"] - best["train_loss"]
    if best["train_loss"] < 0.6 * setting.chance or gap > 0.15 * setting.chance:
        return None
    more = "unfreeze more blocks" if setting.mode != FROZEN else "set mode=fine_tune"
    return Finding(
        UNDERFITTING,
        f"the training loss stays at {best['train_loss']:.3g} and the validation loss at {best['val_loss']:.3g}, where "
        f"guessing has {setting.chance:.3g}",
        f"lower dropout, label_smoothing, weight_decay or augmentation, {more}, or train longer",
    )


def _small_batch(record: Record, setting: Setting) -> Finding | None:
    noise = record.before.batch_noise if record.before else None
    if setting.norm != "batch" or setting.batch_size >= 16 or noise is None or noise < NOISY_BATCH:
        return None
    return Finding(
        SMALL_BATCH,
        f"means of batches of {setting.batch_size} lie {noise:.2f} standard deviations apart: so noisy is the norm",
        "take a batch_size of 16 or more, or norm=group or layer, which don't depend on it", 1,
    )  # fmt: skip


START = {SYMMETRIC, DEAD, EXPLODING, VANISHING}
CHECKS: Sequence[tuple[Check, set[str]]] = (
    (_symmetric, set()),
    (_exploding, set()),
    (_vanishing, {SYMMETRIC}),
    (_dead, {SYMMETRIC, VANISHING}),
    (_rate_too_high, {EXPLODING}),
    (_rate_too_low, {*START, RATE_TOO_HIGH}),
    (_collapsed, set()),
    (_overfitting, set()),
    (_underfitting, {*START, RATE_TOO_HIGH, RATE_TOO_LOW}),
    (_small_batch, set()),
)
"""Each with the causes that explain its finding away."""


def brief(told: Mapping[str, str]) -> str:
    """From a trial's labels, one line for a log; empty for a healthy one."""
    parts = [f"{name.removeprefix(LABEL + '.')}: {text}" for name, text in told.items() if name.startswith(LABEL + ".")]
    parts += [text for name, text in told.items() if name.startswith("warning.")]
    return " | ".join(parts)
