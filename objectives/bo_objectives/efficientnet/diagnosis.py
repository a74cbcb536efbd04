"""What is wrong with a training, found from its curves and from looks at its network; pure.

H: the loss of a network that knows only how often each class occurs, Σ −p·ln p; the scale of every loss here, as losses
in nats have no other. A finding names its evidence and what to change; a healthy training has none. A note is
information that isn't a fault.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bo_objectives.efficientnet.early_causes import (
    batch_norm_mode,
    dead,
    exploding,
    input_scale,
    leakage,
    small_batch,
    stale_statistics,
    symmetric,
    vanishing,
)
from bo_objectives.efficientnet.findings import (
    BATCH_NORM_MODE,
    DEAD,
    EXPLODING,
    FEW_STEPS,
    IMBALANCE,
    INPUT_SCALE,
    LABEL,
    LABEL_NOISE,
    LEAKAGE,
    LEAST_VALIDATION,
    MOST_IN_LABEL,
    NOTE,
    OVER_REGULARIZED,
    RATE_TOO_HIGH,
    RATE_TOO_LOW,
    RISEN,
    SMALL_BATCH,
    SMALL_VALIDATION,
    STALE_STATISTICS,
    STILL_IMPROVING,
    SYMMETRIC,
    SYMPTOMS,
    VANISHING,
    Finding,
    Setting,
)
from bo_objectives.efficientnet.late_causes import (
    at_chance,
    collapsed,
    few_steps,
    imbalance,
    label_noise,
    over_regularized,
    overfitting,
    rate_too_high,
    rate_too_low,
    underfitting,
)
from bo_objectives.efficientnet.record import Record

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


START = {INPUT_SCALE, SYMMETRIC, EXPLODING, VANISHING, DEAD, BATCH_NORM_MODE}
SLOW = {RATE_TOO_HIGH, RATE_TOO_LOW, STALE_STATISTICS}
CHECKS: Sequence[tuple[Check, set[str]]] = (
    (input_scale, set()),
    (leakage, set()),
    (symmetric, set()),
    (exploding, set()),
    (vanishing, {SYMMETRIC}),
    (batch_norm_mode, set()),
    (rate_too_high, {EXPLODING, SYMMETRIC}),
    (dead, {SYMMETRIC, VANISHING, RATE_TOO_HIGH, EXPLODING}),
    (rate_too_low, {*START, RATE_TOO_HIGH}),
    (label_noise, set()),
    (imbalance, {*START, *SLOW}),
    (small_batch, set()),
    (stale_statistics, {*START, SMALL_BATCH, RATE_TOO_HIGH}),
    (over_regularized, {*START, *SLOW}),
    (few_steps, {*START, *SLOW, OVER_REGULARIZED}),
    (overfitting, {LABEL_NOISE, RATE_TOO_HIGH, EXPLODING, OVER_REGULARIZED}),
    (underfitting, {*START, *SLOW, OVER_REGULARIZED, FEW_STEPS, IMBALANCE}),
    (collapsed, {IMBALANCE}),
    (at_chance, set()),
)
"""Each with the causes that explain its finding away."""


def brief(told: Mapping[str, str]) -> str:
    """Return one line for a log from a trial's labels; empty for a healthy one."""
    parts = [f"{name.removeprefix(LABEL + '.')}: {text}" for name, text in told.items() if name.startswith(LABEL + ".")]
    parts += [text for name, text in told.items() if name.startswith("warning.")]
    return " | ".join(parts)
