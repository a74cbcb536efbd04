"""Diagnosis of a training from its curves and inspections of its network.

H: the loss of a network that predicts the class frequencies, Σ −p·ln p, or what corresponds to it for another task
(`Setting.chance`). All losses are compared with it, as losses in nats have no other scale. A finding contains its
evidence and a remedy; a healthy training has no findings. A note is information that is not a fault.
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
    MAX_LABEL_LENGTH,
    MIN_RISE,
    MIN_VALIDATION,
    NOTE,
    OVER_REGULARIZED,
    RATE_TOO_HIGH,
    RATE_TOO_LOW,
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
from bo_objectives.efficientnet.history import TrainingHistory
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
from bo_objectives.efficientnet.names import SINGLE_LABEL

Check = Callable[[TrainingHistory, Setting], Finding | None]


def diagnose(record: TrainingHistory, setting: Setting) -> tuple[Finding, ...]:
    """Return the findings, causes before their consequences."""
    findings: dict[str, Finding] = {}
    for check, silenced_by in CHECKS:
        if check in OF_CLASSES and setting.task != SINGLE_LABEL:
            continue
        finding = check(record, setting)
        if finding is not None and not silenced_by & set(findings):
            findings[finding.kind] = finding
    causes = [kind for kind in findings if kind not in {LEAKAGE, *SYMPTOMS}]  # leakage makes a result better
    if causes:
        follows = f"it may follow from {causes[0]}: fix that first"
        findings |= {kind: replace(findings[kind], remedy=follows) for kind in SYMPTOMS & set(findings)}
    return tuple(findings.values())


def notes(record: TrainingHistory, setting: Setting) -> dict[str, str]:
    """Return information that is not a fault, by kind."""
    notes_by_kind = {}
    losses = [point["val_loss"] for point in record.curve]
    if len(losses) >= 2 and record.best_epoch == record.epoch and losses[-2] - losses[-1] > MIN_RISE * setting.chance:
        notes_by_kind[STILL_IMPROVING] = (
            f"the validation loss still fell from {losses[-2]:.3g} to {losses[-1]:.3g} in the last epoch; more epochs "
            "may improve it"
        )
    if 0 < setting.validation_images < MIN_VALIDATION:
        error = f": the standard error of an accuracy is up to {math.sqrt(0.25 / setting.validation_images):.2f}"
        notes_by_kind[SMALL_VALIDATION] = (
            f"there are {setting.validation_images} validation images{error if setting.task == SINGLE_LABEL else ''}; "
            "add images, or confirm the best by repeats on other folds"
        )
    return notes_by_kind


def labels(
    findings: Sequence[Finding], warnings: Sequence[str], notes_by_kind: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return labels of the trial: `diagnosis` lists the kinds, `diagnosis.KIND` and `note.KIND` describe each."""
    by_name = {LABEL: _cut(", ".join(f.kind for f in findings)) or "healthy"}
    by_name |= {f"{LABEL}.{f.kind}": _cut(f"{f.evidence}; {f.remedy}") for f in findings}
    by_name |= {f"{NOTE}.{kind}": _cut(text) for kind, text in (notes_by_kind or {}).items()}
    return by_name | {f"warning.{i}": _cut(text) for i, text in enumerate(warnings, 1)}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL_LENGTH else text[: MAX_LABEL_LENGTH - 1] + "…"


START = {INPUT_SCALE, SYMMETRIC, EXPLODING, VANISHING, DEAD, BATCH_NORM_MODE}
SLOW = {RATE_TOO_HIGH, RATE_TOO_LOW, STALE_STATISTICS}
OF_CLASSES = {label_noise, imbalance, collapsed}
"""Checks of the task single-label alone."""
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
    (imbalance, {*START, *SLOW, LABEL_NOISE}),
    (small_batch, set()),
    (stale_statistics, {*START, SMALL_BATCH, RATE_TOO_HIGH}),
    (over_regularized, {*START, *SLOW}),
    (few_steps, {*START, *SLOW, OVER_REGULARIZED}),
    (overfitting, {LABEL_NOISE, RATE_TOO_HIGH, EXPLODING, OVER_REGULARIZED}),
    (underfitting, {*START, *SLOW, OVER_REGULARIZED, FEW_STEPS, IMBALANCE}),
    (collapsed, {IMBALANCE}),
    (at_chance, set()),
)
"""Checks, each with the causes that explain its finding."""


def brief(trial_labels: Mapping[str, str]) -> str:
    """Return a one-line summary of a trial's labels; empty for a healthy trial."""
    parts = [
        f"{name.removeprefix(LABEL + '.')}: {text}"
        for name, text in trial_labels.items()
        if name.startswith(LABEL + ".")
    ]
    parts += [text for name, text in trial_labels.items() if name.startswith("warning.")]
    return " | ".join(parts)
