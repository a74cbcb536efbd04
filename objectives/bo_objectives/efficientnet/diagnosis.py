"""What is wrong with a training, found from its curves and from looks at its network; pure.

H: the loss of a network that knows only how often each class occurs, Σ −p·ln p; the scale of every loss here, as losses
in nats have no other. A finding names its evidence and what to change; a healthy training has none. A note is
information that isn't a fault.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean, median

from bo_objectives.efficientnet.names import BATCH, FROZEN, HEAD_ONLY, NETWORK, SCRATCH
from bo_objectives.efficientnet.record import Record

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


Check = Callable[[Record, Setting], Finding | None]


def diagnose(record: Record, setting: Setting) -> tuple[Finding, ...]:
    """Return what is wrong with the training, causes before what follows from them."""
    found: dict[str, Finding] = {}
    for check, silenced_by in CHECKS:
        finding = check(record, setting)
        if finding is not None and not silenced_by & set(found):
            found[finding.kind] = finding
    causes = [kind for kind in found if kind not in {LEAKAGE, *SYMPTOMS}]  # leakage makes a result better
    if causes:
        follows = f"it may follow from {causes[0]}: mend that first"
        found |= {kind: replace(found[kind], remedy=follows) for kind in SYMPTOMS & set(found)}
    return tuple(found.values())


def notes(record: Record, setting: Setting) -> dict[str, str]:
    """Return information that isn't a fault, by kind."""
    found = {}
    losses = [point["val_loss"] for point in record.curve]
    if len(losses) >= 2 and record.best_epoch == record.epoch and losses[-2] - losses[-1] > RISEN * setting.chance:
        found[STILL_IMPROVING] = (
            f"the validation loss still fell from {losses[-2]:.3g} to {losses[-1]:.3g} in the last epoch; more epochs "
            "may improve it"
        )
    if 0 < setting.validation_images < LEAST_VALIDATION:
        error = math.sqrt(0.25 / setting.validation_images)
        found[SMALL_VALIDATION] = (
            f"there are {setting.validation_images} validation images: the standard error of an accuracy is up to "
            f"{error:.2f}; add images, or confirm the best by repeats on other folds"
        )
    return found


def labels(
    findings: Sequence[Finding], warnings: Sequence[str], noted: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return labels for the trial: `diagnosis` names the kinds, `diagnosis.KIND` and `note.KIND` tell of each."""
    told = {LABEL: _cut(", ".join(f.kind for f in findings)) or "healthy"}
    told |= {f"{LABEL}.{f.kind}": _cut(f"{f.evidence}; {f.remedy}") for f in findings}
    told |= {f"{NOTE}.{kind}": _cut(text) for kind, text in (noted or {}).items()}
    return told | {f"warning.{i}": _cut(text) for i, text in enumerate(warnings, 1)}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_IN_LABEL else text[: MOST_IN_LABEL - 1] + "…"


# ── how much was learned


def _train_loss(record: Record) -> float:
    """Of the best epoch's weights in inference, or the least of the curve."""
    seen = [point["train_loss"] for point in record.curve]
    if record.after is not None and record.after.train is not None:
        seen.append(record.after.train.loss)
    return min(seen, default=math.inf)


def _is_unlearned(record: Record, setting: Setting) -> bool:
    """Whether the training images themselves are predicted little better than by guessing."""
    outcome = record.after.train if record.after else None
    recalls = [recall for recall in outcome.recalls if recall is not None] if outcome else []
    if recalls and fmean(recalls) >= LEARNED_ACCURACY:
        return False
    return _train_loss(record) > UNLEARNED * setting.chance


def _is_falling(record: Record, setting: Setting) -> bool:
    """Whether the training loss was still falling at the end."""
    losses = [point["train_loss"] for point in record.curve]
    return len(losses) >= 2 and losses[-2] - losses[-1] > 1e-4 * setting.chance


def _is_below_chance(record: Record, setting: Setting) -> bool:
    """Whether the validation loss is clearly below that of guessing."""
    return record.best["val_loss"] < 0.9 * setting.chance


# ── the images


def _input_scale(_: Record, setting: Setting) -> Finding | None:
    low, high = setting.pixel_range
    if high - low >= NARROW_RANGE:
        return None
    return Finding(
        INPUT_SCALE, f"nearly all pixels lie from {low:.0f} to {high:.0f}, where images have 0 to 255",
        "rescale the images to 0 to 255 before they are stored",
    )  # fmt: skip


def _leakage(_: Record, setting: Setting) -> Finding | None:
    share, n = setting.copies, setting.validation_images
    if share < LEAST_COPIED or share * n < FEWEST_COPIES:
        return _left_out(setting)
    return Finding(
        LEAKAGE, f"{share:.0%} of the validation images have a near copy among the training images",
        "remove copies, or keep all copies of an image in one part: the validation loss is too good",
    )  # fmt: skip


def _left_out(setting: Setting) -> Finding | None:
    """Copies across the parts of a given split, which this training was spared."""
    if setting.left_out < max(FEWEST_COPIES, LEAST_COPIED * setting.validation_images):
        return None
    return Finding(
        LEAKAGE,
        f"{setting.left_out} images of the given split are in two of its parts; they were left out of the earlier one, "
        "so the losses here are sound",
        "remove the copies from the data: what other programs report for this split is too good",
    )


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
    """New units that are dead at the end, or old ones that died: pretrained features are 0 for most images."""
    before = {layer.name: layer for layer in record.before.layers} if record.before else {}
    after = {layer.name: layer for layer in record.after.layers} if record.after else {}
    is_new = {name: name.startswith("head_") or setting.mode == SCRATCH for name in {**before, **after}}
    is_harmed = setting.mode != SCRATCH or _is_unlearned(record, setting)
    seen = after or {name: layer for name, layer in before.items() if name.startswith("head_")}
    dead = [
        layer
        for layer in seen.values()
        if layer.dead > (MOST_DEAD if is_harmed or layer.name.startswith("head_") else NEARLY_ALL)
        and (is_new[layer.name] or layer.name not in before or layer.dead - before[layer.name].dead > MOST_DEAD / 2)
    ]
    worst = max(dead, key=lambda layer: layer.dead, default=None)
    if worst is None:
        return None
    is_born, when = worst.name in before and before[worst.name].dead > MOST_DEAD, "after" if after else "before"
    return Finding(
        DEAD,
        f"{worst.dead:.0%} of the channels of {worst.name} are 0 for every image {when} training",
        "lower lr_head, set warmup, or take norm=batch or he_normal", 1 if is_born else None,
    )  # fmt: skip


def _is_head_dead(record: Record) -> bool:
    """Whether the head's units are 0 from the start though what they are made of isn't small."""
    before = {layer.name: layer for layer in record.before.layers} if record.before else {}
    relu, conv = before.get("head_relu"), before.get("head_conv")
    return relu is not None and conv is not None and relu.dead > MOST_DEAD and conv.rms > NO_SIGNAL


def _exploding(record: Record, setting: Setting) -> Finding | None:
    told = []
    if record.before and record.before.loss > EXPLODED_LOSS * setting.uniform:
        told.append(f"the loss before training is {record.before.loss:.3g}, where guessing has {setting.uniform:.3g}")
    norm = record.first_gradient_norm or 0.0
    if not math.isfinite(norm) or (norm > EXPLODED_GRADIENT and (_is_unlearned(record, setting) or told)):
        told.append(f"the gradient's norm is {norm:.3g} at the first step, where about 1 is sound")
    if not told:
        return None
    return Finding(
        EXPLODING, " and ".join(told),
        "take kernel_initializer=glorot_uniform or he_normal instead of wide normals, a norm, or clip_norm", 1,
    )  # fmt: skip


def _vanishing(record: Record, _: Setting) -> Finding | None:
    first = record.first_gradients or (record.gradients[0] if record.gradients else {})
    values = list(first.values())
    if len(values) < 2:
        return None
    third = max(1, len(values) // 3)
    low, high = median(values[:third]), median(values[-third:])
    is_gone = high < 1e-12
    if (not is_gone and low >= VANISHED * high) or _is_head_dead(record):
        return None
    bottom, top = next(iter(first)), list(first)[-1]
    evidence = f"the gradient is {low:.1e} at the bottom ({bottom}) and {high:.1e} at the top ({top}) in epoch 1"
    return Finding(
        VANISHING, evidence,
        "take he_normal or glorot_uniform rather than narrow normals, and a norm (norm_scope=network from scratch)", 1,
    )  # fmt: skip


# ── batch normalization


def _batch_norm_mode(record: Record, setting: Setting) -> Finding | None:
    """Pretrained moving averages changed. Norms that norm_scope=network puts in their place are new, and may."""
    if record.before is None or record.after is None or setting.mode == SCRATCH or setting.norm_scope == NETWORK:
        return None
    before, after = record.before.statistics, record.after.statistics
    moved = [name for name in before if name in after and abs(after[name] - before[name]) > 1e-5 * abs(before[name])]
    if not moved:
        return None
    return Finding(
        BATCH_NORM_MODE,
        f"the moving averages of {len(moved)} pretrained batch normalizations changed, the first {moved[0]}: they "
        "ran in training mode",
        "call the pretrained network with training=False, and set its batch normalizations to trainable=False",
    )


def _small_batch(record: Record, setting: Setting) -> Finding | None:
    noise = record.before.batch_noise if record.before else None
    if setting.norm != BATCH or setting.batch_size >= 16 or noise is None or noise < NOISY_BATCH:
        return None
    return Finding(
        SMALL_BATCH,
        f"means of batches of {setting.batch_size} lie {noise:.2f} standard deviations apart: so noisy is the norm",
        "take a batch_size of 16 or more, or norm=group or layer, which don't depend on it", 1,
    )  # fmt: skip


def _stale_statistics(record: Record, setting: Setting) -> Finding | None:
    """The same images are predicted far worse in inference than in training."""
    outcome = record.after.train if record.after else None
    if setting.norm != BATCH or outcome is None or not record.curve:
        return None
    seen = record.best["train_loss"]
    if outcome.loss < seen + 0.3 * setting.chance or outcome.loss < UNLEARNED * setting.chance:
        return None
    return Finding(
        STALE_STATISTICS,
        f"training images have a loss of {outcome.loss:.3g} in inference and {seen:.3g} in training: the moving "
        "averages of the batch norms lag behind",
        "train more steps, lower the learning rate, or take norm=group or layer",
    )


# ── the learning rate


def _is_drowned(record: Record, setting: Setting) -> bool:
    """Whether dropout makes most of the training loss: the same images have a lower one in inference."""
    outcome = record.after.train if record.after else None
    if setting.dropout < STRONG_DROPOUT or outcome is None or record.before is None:
        return False
    return outcome.loss < min(record.before.loss, record.best["train_loss"])


def _rate_too_high(record: Record, setting: Setting) -> Finding | None:
    if record.diverged:
        return Finding(
            RATE_TOO_HIGH, f"the loss became infinite or no number in epoch {record.diverged}",
            "divide lr_head by 10, or set warmup and clip_norm", record.diverged,
        )  # fmt: skip
    start = min(record.before.loss, EXPLODED_LOSS * setting.uniform) if record.before else setting.uniform
    ceiling = max(start, setting.uniform)
    losses = [] if _is_drowned(record, setting) else [point["train_loss"] for point in record.curve]
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
    if moved > LARGE_MOVE and _is_unlearned(record, setting):
        evidence = f"the first epoch changed a kernel to {moved:.1f} times its size, and little was learned"
        return Finding(RATE_TOO_HIGH, evidence, "divide lr_head by 10, or set warmup", 1)
    return None


def _rate_too_low(record: Record, setting: Setting) -> Finding | None:
    """Little was learned, and the kernels hardly moved, or moved evenly all the time."""
    losses = [point["train_loss"] for point in record.curve]
    if len(losses) < 2 or not _is_unlearned(record, setting):
        return None
    remedy = "multiply lr_head by 10, or train more epochs"
    moved = [median(epoch.values()) for epoch in record.updates if epoch]
    if moved and sum(record.steps):
        step = sum(moved) / sum(record.steps)
        if step > SMALL_STEP or sum(moved) > SMALL_MOVE:
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


def _label_noise(record: Record, setting: Setting) -> Finding | None:
    """The training images are memorized, and nothing of that holds for others."""
    if len(record.curve) < 3:
        return None
    last, held = record.curve[-1]["train_accuracy"], fmean(point["val_accuracy"] for point in record.curve)
    largest = max(setting.shares, default=1.0)
    if last < largest + 0.3 * (1 - largest) or held > setting.chance_accuracy or _is_below_chance(record, setting):
        return None
    return Finding(
        LABEL_NOISE,
        f"the training accuracy is {last:.2f} and the validation accuracy {held:.2f}, where always guessing one class "
        f"has {largest:.2f}: what was learned doesn't hold for other images",
        "check that labels belong to their images, and that both parts come from the same source",
    )


def _imbalance(record: Record, setting: Setting) -> Finding | None:
    """Rare classes are missed while the common ones are found."""
    outcome = record.after.validation if record.after else None
    if outcome is None:
        return None
    C = len(setting.shares)
    told = [(s, r, n) for s, r, n in zip(setting.shares, outcome.recalls, outcome.counts, strict=True) if r is not None]
    rare = [(r, n) for s, r, n in told if s < 0.5 / C]
    common = [(r, n) for s, r, n in told if s >= 0.5 / C]
    if sum(n for _, n in rare) < 3 or not common:
        return None
    of_rare, of_common = (sum(r * n for r, n in group) / sum(n for _, n in group) for group in (rare, common))
    if of_rare >= 0.5 or of_common < of_rare + 0.4:
        return None
    balanced = fmean(r for _, r, _ in told)
    return Finding(
        IMBALANCE,
        f"{of_rare:.0%} of the rare classes' validation images are found and {of_common:.0%} of the others; the "
        f"accuracy is {record.best['val_accuracy']:.3g}, balanced over the classes {balanced:.2f}",
        "set class_weights=balanced, add images of the rare classes, and judge by the balanced accuracy",
    )


def _over_regularized(record: Record, setting: Setting) -> Finding | None:
    """Little was learned under a regularization that is strong by itself."""
    if len(record.curve) < 2 or record.best["train_loss"] < UNLEARNED * setting.chance:
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


def _few_steps(record: Record, setting: Setting) -> Finding | None:
    """A training that was stopped has no look after it, and isn't blamed for its end."""
    steps = sum(record.steps)
    if record.after is None or not record.curve or not 0 < steps < FEW or not _is_unlearned(record, setting):
        return None
    if len(record.curve) > 1 and not _is_falling(record, setting):
        return None
    was = "was still falling, at" if len(record.curve) > 1 else "is"
    return Finding(
        FEW_STEPS,
        f"there {'was 1 step' if steps == 1 else f'were {steps} steps'} in {_epochs(record.epoch)}, and the training "
        f"loss {was} {record.curve[-1]['train_loss']:.3g} where guessing has {setting.chance:.3g}",
        "train more epochs, or take a smaller batch_size",
    )


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _overfitting(record: Record, setting: Setting) -> Finding | None:
    """The validation loss rose for good while the training loss fell, or the training images alone are learned."""
    if len(record.curve) < 3:
        return None
    best, last = record.best, record.curve[-1]
    late = record.curve[record.best_epoch :][-max(1, record.epoch // 4) :]
    rise = fmean(point["val_loss"] for point in late) - best["val_loss"] if late else 0.0
    fall = best["train_loss"] - last["train_loss"]
    remedy = "raise dropout, weight_decay or augmentation, unfreeze less, or set the option patience"
    if rise > max(RISEN * setting.chance, RISEN_SHARE * best["val_loss"], _error(record, setting)) and fall > 0:
        began = record.best_epoch + 1
        return Finding(
            OVERFITTING,
            f"from epoch {began} the validation loss rose from {best['val_loss']:.3g} to {last['val_loss']:.3g} while "
            f"the training loss fell from {best['train_loss']:.3g} to {last['train_loss']:.3g}",
            remedy, began,
        )  # fmt: skip
    gap = last["val_loss"] - last["train_loss"]
    is_memorized = last["train_loss"] < MEMORIZED * last["val_loss"] and gap > 0.2 * setting.chance
    if not is_memorized or last["train_accuracy"] - last["val_accuracy"] < 0.1:
        return None
    return Finding(
        OVERFITTING,
        f"the training loss is {last['train_loss']:.3g} and the validation loss {last['val_loss']:.3g} at the end, the "
        f"accuracies {last['train_accuracy']:.2f} and {last['val_accuracy']:.2f}: the training images are memorized",
        remedy,
    )


def _error(record: Record, setting: Setting) -> float:
    """Standard error of the best epoch's validation loss; 0 where it isn't known."""
    outcome = record.after.validation if record.after else None
    return outcome.loss_std / math.sqrt(setting.validation_images) if outcome and setting.validation_images else 0.0


def _underfitting(record: Record, setting: Setting) -> Finding | None:
    """Neither part is learned well, they lie close, and more of the same wouldn't help."""
    if len(record.curve) < 3 or not _is_unlearned(record, setting):
        return None
    best = record.best
    if best["val_loss"] - best["train_loss"] > 0.15 * setting.chance:
        return None
    more = "unfreeze more blocks" if setting.mode != FROZEN else "set mode=fine_tune"
    return Finding(
        UNDERFITTING,
        f"the training loss stays at {best['train_loss']:.3g} and the validation loss at {best['val_loss']:.3g}, where "
        f"guessing has {setting.chance:.3g}",
        f"lower dropout, label_smoothing, weight_decay or augmentation, {more}, or train longer",
    )


def _collapsed(record: Record, setting: Setting) -> Finding | None:
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


def _at_chance(record: Record, setting: Setting) -> Finding | None:
    """The validation accuracy can't be told from always guessing the commonest class."""
    if not record.curve or (record.after is None and len(record.curve) < 3):
        return None
    best, largest = record.best, max(setting.shares, default=1.0)
    if best["val_accuracy"] > setting.chance_accuracy or _is_below_chance(record, setting):
        return None
    return Finding(
        AT_CHANCE,
        f"the validation accuracy is {best['val_accuracy']:.2f}, where always guessing one class has {largest:.2f}, "
        f"and the loss {best['val_loss']:.3g}, where guessing has {setting.chance:.3g}",
        "check images and labels, lr_head and the initializer",
    )


START = {INPUT_SCALE, SYMMETRIC, EXPLODING, VANISHING, DEAD, BATCH_NORM_MODE}
SLOW = {RATE_TOO_HIGH, RATE_TOO_LOW, STALE_STATISTICS}
CHECKS: Sequence[tuple[Check, set[str]]] = (
    (_input_scale, set()),
    (_leakage, set()),
    (_symmetric, set()),
    (_exploding, set()),
    (_vanishing, {SYMMETRIC}),
    (_batch_norm_mode, set()),
    (_rate_too_high, {EXPLODING, SYMMETRIC}),
    (_dead, {SYMMETRIC, VANISHING, RATE_TOO_HIGH, EXPLODING}),
    (_rate_too_low, {*START, RATE_TOO_HIGH}),
    (_label_noise, set()),
    (_imbalance, {*START, *SLOW}),
    (_small_batch, set()),
    (_stale_statistics, {*START, SMALL_BATCH, RATE_TOO_HIGH}),
    (_over_regularized, {*START, *SLOW}),
    (_few_steps, {*START, *SLOW, OVER_REGULARIZED}),
    (_overfitting, {LABEL_NOISE, RATE_TOO_HIGH, EXPLODING, OVER_REGULARIZED}),
    (_underfitting, {*START, *SLOW, OVER_REGULARIZED, FEW_STEPS, IMBALANCE}),
    (_collapsed, {IMBALANCE}),
    (_at_chance, set()),
)
"""Each with the causes that explain its finding away."""


def brief(told: Mapping[str, str]) -> str:
    """Return one line for a log from a trial's labels; empty for a healthy one."""
    parts = [f"{name.removeprefix(LABEL + '.')}: {text}" for name, text in told.items() if name.startswith(LABEL + ".")]
    parts += [text for name, text in told.items() if name.startswith("warning.")]
    return " | ".join(parts)
