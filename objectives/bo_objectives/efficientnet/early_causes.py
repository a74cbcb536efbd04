"""Checks for causes in the images, the first steps and the batch normalizations."""

import math
from statistics import median

from bo_objectives.efficientnet.findings import (
    BATCH_NORM_MODE,
    DEAD,
    EXPLODING,
    INPUT_SCALE,
    LEAKAGE,
    MAX_BATCH_NOISE,
    MAX_DEAD,
    MAX_DEAD_IN_BODY,
    MAX_INITIAL_GRADIENT,
    MAX_INITIAL_LOSS,
    MAX_LEARNED_LOSS,
    MIN_COPIED_SHARE,
    MIN_COPIES,
    MIN_GRADIENT_RATIO,
    MIN_HEAD_RMS,
    MIN_PIXEL_RANGE,
    SMALL_BATCH,
    STALE_STATISTICS,
    SYMMETRIC,
    VANISHING,
    Finding,
    Setting,
)
from bo_objectives.efficientnet.history import TrainingHistory
from bo_objectives.efficientnet.learned import is_unlearned
from bo_objectives.efficientnet.names import BATCH, NETWORK, SCRATCH

# ── the images


def input_scale(_: TrainingHistory, setting: Setting) -> Finding | None:
    """Find images whose pixels use only a small part of 0 to 255."""
    low, high = setting.pixel_range
    if high - low >= MIN_PIXEL_RANGE:
        return None
    return Finding(
        INPUT_SCALE, f"nearly all pixels lie from {low:.0f} to {high:.0f}, where images have 0 to 255",
        "rescale the images to 0 to 255 before they are stored",
    )  # fmt: skip


def leakage(_: TrainingHistory, setting: Setting) -> Finding | None:
    """Find copies of training images among the validation images."""
    share, n = setting.copies, setting.validation_images
    if share < MIN_COPIED_SHARE or share * n < MIN_COPIES:
        return left_out(setting)
    return Finding(
        LEAKAGE, f"{share:.0%} of the validation images have a near copy among the training images",
        "remove copies, or keep all copies of an image in one part: the validation loss is too good",
    )  # fmt: skip


def left_out(setting: Setting) -> Finding | None:
    """Find copies across the parts of a given split, which were removed from this training."""
    if setting.left_out < max(MIN_COPIES, MIN_COPIED_SHARE * setting.validation_images):
        return None
    return Finding(
        LEAKAGE,
        f"{setting.left_out} images of the given split are in two of its parts; they were left out of the earlier one, "
        "so the losses here are sound",
        "remove the copies from the data: what other programs report for this split is too good",
    )


# ── the start: units and gradients


def symmetric(record: TrainingHistory, _: Setting) -> Finding | None:
    """Find layers whose channels all have the same weights."""
    alike = [layer.name for probe in (record.before, record.after) if probe for layer in probe.layers if layer.alike]
    if not alike:
        return None
    return Finding(
        SYMMETRIC, f"all channels of {alike[0]} have the same weights, so they get the same gradient",
        "take another kernel_initializer than zeros, such as he_normal", 1,
    )  # fmt: skip


def dead(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find new units that are dead at the end, or old ones that died.

    Pretrained features are 0 for most images anyway.
    """
    before = {layer.name: layer for layer in record.before.layers} if record.before else {}
    after = {layer.name: layer for layer in record.after.layers} if record.after else {}
    is_new = {name: name.startswith("head_") or setting.mode == SCRATCH for name in {**before, **after}}
    is_harmed = setting.mode != SCRATCH or is_unlearned(record, setting)
    inspected = after or {name: layer for name, layer in before.items() if name.startswith("head_")}
    dead = [
        layer
        for layer in inspected.values()
        if layer.dead > (MAX_DEAD if is_harmed or layer.name.startswith("head_") else MAX_DEAD_IN_BODY)
        and (is_new[layer.name] or layer.name not in before or layer.dead - before[layer.name].dead > MAX_DEAD / 2)
    ]
    worst = max(dead, key=lambda layer: layer.dead, default=None)
    if worst is None:
        return None
    is_born, when = worst.name in before and before[worst.name].dead > MAX_DEAD, "after" if after else "before"
    return Finding(
        DEAD,
        f"{worst.dead:.0%} of the channels of {worst.name} are 0 for every image {when} training",
        "lower lr_head, set warmup, or take norm=batch or he_normal", 1 if is_born else None,
    )  # fmt: skip


def is_head_dead(record: TrainingHistory) -> bool:
    """Return whether the head's units are 0 from the start although their inputs are not small."""
    before = {layer.name: layer for layer in record.before.layers} if record.before else {}
    relu, conv = before.get("head_relu"), before.get("head_conv")
    return relu is not None and conv is not None and relu.dead > MAX_DEAD and conv.rms > MIN_HEAD_RMS


def exploding(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find a large loss or gradient at the first step."""
    evidence = []
    if record.before and record.before.loss > MAX_INITIAL_LOSS * setting.uniform:
        evidence.append(
            f"the loss before training is {record.before.loss:.3g}, where guessing has {setting.uniform:.3g}"
        )
    norm = record.first_gradient_norm or 0.0
    if not math.isfinite(norm) or (norm > MAX_INITIAL_GRADIENT and (is_unlearned(record, setting) or evidence)):
        evidence.append(f"the gradient's norm is {norm:.3g} at the first step, where about 1 is sound")
    if not evidence:
        return None
    return Finding(
        EXPLODING, " and ".join(evidence),
        "take kernel_initializer=glorot_uniform or he_normal instead of wide normals, a norm, or clip_norm", 1,
    )  # fmt: skip


def vanishing(record: TrainingHistory, _: Setting) -> Finding | None:
    """Find lower layers whose gradient is tiny compared with that of upper layers."""
    first = record.first_gradients or (record.gradients[0] if record.gradients else {})
    values = list(first.values())
    if len(values) < 2:
        return None
    third = max(1, len(values) // 3)
    low, high = median(values[:third]), median(values[-third:])
    is_gone = high < 1e-12
    if (not is_gone and low >= MIN_GRADIENT_RATIO * high) or is_head_dead(record):
        return None
    bottom, top = next(iter(first)), list(first)[-1]
    evidence = f"the gradient is {low:.1e} at the bottom ({bottom}) and {high:.1e} at the top ({top}) in epoch 1"
    return Finding(
        VANISHING, evidence,
        "take he_normal or glorot_uniform rather than narrow normals, and a norm (norm_scope=network from scratch)", 1,
    )  # fmt: skip


# ── batch normalization


def batch_norm_mode(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find pretrained moving averages that changed. Norms that norm_scope=network inserts are new and may change."""
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


def small_batch(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find batch normalization with batches whose means are noisy."""
    noise = record.before.batch_noise if record.before else None
    if setting.norm != BATCH or setting.batch_size >= 16 or noise is None or noise < MAX_BATCH_NOISE:
        return None
    return Finding(
        SMALL_BATCH,
        f"means of batches of {setting.batch_size} lie {noise:.2f} standard deviations apart: so noisy is the norm",
        "take a batch_size of 16 or more, or norm=group or layer, which don't depend on it", 1,
    )  # fmt: skip


def stale_statistics(record: TrainingHistory, setting: Setting) -> Finding | None:
    """Find training images that are predicted far worse in inference than in training."""
    outcome = record.after.train if record.after else None
    if setting.norm != BATCH or outcome is None or not record.curve:
        return None
    training_loss = record.best["train_loss"]
    if outcome.loss < training_loss + 0.3 * setting.chance or outcome.loss < MAX_LEARNED_LOSS * setting.chance:
        return None
    return Finding(
        STALE_STATISTICS,
        f"training images have a loss of {outcome.loss:.3g} in inference and {training_loss:.3g} in training: the "
        "moving averages of the batch norms lag behind",
        "train more steps, lower the learning rate, or take norm=group or layer",
    )
