"""The targets of images: one class, several labels, or numbers. Without Keras.

n images, k outputs of the network: classes, labels or numbers. Targets (n, k) are one-hot, 0 or 1, or numbers.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.errors import SetupError

Targets = NDArray[np.float64]

SEPARATOR = ";"
"""Separates the labels in a cell."""
MISSING = ("", "nan", "none", "nat", "<na>", "n/a", "null")
"""Lower-case texts that mean that a value is missing."""
MAX_SHOWN = 100
"""Characters of a value that a refusal shows."""
MAX_MAGNITUDE = 1e30
"""Largest number that is predicted: outputs of networks are float32."""
MAX_OFFSET = 1e5
"""Largest mean in standard deviations: beyond it, float32 loses most of what differs."""
MAX_STRATA, MIN_PER_STRATUM = 10, 10
"""Maximum number of ranges into which numbers are divided for a split, and number of images in each for all parts."""
FLAGS: Mapping[Any, bool] = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True)
class TargetSpec:
    """What is predicted, and the columns of a table that have it; no columns for the usual one, `label`."""

    task: str = SINGLE_LABEL
    columns: tuple[str, ...] = ()

    @property
    def has_flags(self) -> bool:
        """Whether each label has a column of its own, of 0 and 1."""
        return self.task == MULTI_LABEL and len(self.columns) > 1


USUAL = TargetSpec()
"""One class in the column `label`."""


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation of each number, (k,), in the user's units."""

    mean: Targets
    deviation: Targets

    @classmethod
    def of(cls, targets: Targets) -> "TargetScale":
        """Return the scale of targets (n, k)."""
        return cls(targets.mean(0), targets.std(0))

    def standardized(self, targets: Targets) -> Targets:
        return (targets - self.mean) / self.deviation

    def in_units(self, outputs: Targets) -> Targets:
        return outputs * self.deviation + self.mean


@dataclass(frozen=True)
class SourceTargets:
    """What a source says of its images: a class of each, or labels or numbers (n, k), where `labels` is empty."""

    labels: list[str]
    classes: tuple[str, ...]
    """Names of the classes or labels, or of the numbers."""
    targets: Targets | None = None
    task: str = SINGLE_LABEL


# ── values of tables


def wrong(column: str, value: Any, allowed: str) -> SetupError:
    """Return the error for a value that is not allowed."""
    shown = "missing" if value is None else repr(value)[:MAX_SHOWN]
    return SetupError(f"{column} is {shown}; allowed is {allowed}")


def number(column: str, value: Any) -> float:
    """Return a number from a number or its text.

    Raises:
        SetupError: it is another value, not finite, or too large.
    """
    allowed = f"a number from -{MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g}, such as 3.5"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and (not isinstance(value, str) or "_" in value):
        raise wrong(column, value, allowed)
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        raise wrong(column, value, allowed) from None
    if not abs(parsed) <= MAX_MAGNITUDE:  # also where it is NaN
        raise wrong(column, value, allowed)
    return parsed


def flag(column: str, value: Any) -> bool:
    """Return whether an image has the label of a column.

    Raises:
        SetupError: the value is neither 0 nor 1, nor a truth value.
    """
    text = value.strip().casefold() if isinstance(value, str) else str(value).casefold()
    if isinstance(value, float) and value in (0.0, 1.0):
        text = str(int(value))
    if text not in FLAGS:
        raise wrong(column, value, "0 or 1, or false or true, as each label has a column of its own")
    return FLAGS[text]


def hint(classes: Sequence[str]) -> str:
    """Return a remark that classes which are all numbers may be meant as numbers; empty for others."""
    try:
        numbers = [number("", name) for name in classes]
    except SetupError:
        return ""
    return f"; to predict numbers, set the option task={REGRESSION}" if any(n % 1 for n in numbers) else ""


def label_texts(column: str, value: Any) -> list[Any]:
    """Return the labels in a cell: a list, its text in JSON, or names with semicolons between; none of an empty text.

    Raises:
        SetupError: the value is of another form, or a label is empty.
    """
    allowed = f"names of labels with {SEPARATOR!r} between, a JSON list of them, or an empty text for no label"
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise wrong(column, value, allowed) from None
    if isinstance(value, str):
        value = [part.strip() for part in value.split(SEPARATOR)] if value.strip() else []
    elif isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(one, str | int) for one in value):
        raise wrong(column, value, allowed)
    if any(isinstance(one, str) and one.strip().casefold() in MISSING for one in value):
        raise wrong(column, value, f"{allowed}; an empty text or one that means a missing value is no name")
    return value


def indicator(rows: Sequence[Sequence[str]], names: Sequence[str]) -> Targets:
    """Return (n, k) 1 where an image has a label."""
    places = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(rows), len(names)))
    for i, labels in enumerate(rows):
        table[i, [places[label] for label in labels]] = 1
    return table


# ── arrays


def of_array(array: NDArray[Any], field: str, names: Sequence[str], task: str) -> tuple[Targets, tuple[str, ...]]:
    """Return the targets in an array (n,) or (n, k), and the names of its columns.

    Args:
        array: 0 and 1 for labels, or numbers.
        field: its name in errors.
        names: names of the columns; empty if there are none.
        task: multi-label or regression.

    Raises:
        SetupError: the array has another shape, or a value that is not allowed.
    """
    k = array.shape[1] if array.ndim == 2 else 1
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not k or (task == MULTI_LABEL and k < 2):
        shape = (
            "a matrix (n, labels) of 0 and 1, with 2 labels or more"
            if task == MULTI_LABEL
            else "numbers (n,) or (n, k)"
        )
        raise SetupError(f"{field} is {array.dtype} {array.shape}; the task {task} needs {shape}")
    if names and len(names) != k:
        raise SetupError(f"there are {len(names)} names in classes and {k} columns in {field}; give a name for each")
    values = array.reshape(len(array), k).astype(np.float64)
    with np.errstate(invalid="ignore"):
        is_wrong = ~np.isin(values, (0, 1)) if task == MULTI_LABEL else ~(np.abs(values) <= MAX_MAGNITUDE)
    if is_wrong.any():
        row, column = map(int, np.argwhere(is_wrong)[0])
        place = f"{row}, {column}" if array.ndim == 2 else f"{row}"
        more = f", and {int(is_wrong.sum()) - 1} more are wrong" if is_wrong.sum() > 1 else ""
        allowed = "0 and 1" if task == MULTI_LABEL else f"numbers from -{MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g}"
        raise SetupError(f"{field}[{place}] is {values[row, column]:g}{more}; allowed are {allowed}")
    return values, tuple(names) or ((field,) if k == 1 else tuple(map(str, range(k))))


# ── what can be trained and split


def check_labels(counts: NDArray[Any], names: Sequence[str], required: int, where: str) -> None:
    """Check that every label has enough images.

    Args:
        counts: (k,) different images with each label, in all data or in the given training part.
        names: (k,) names of the labels.
        required: least number of images.
        where: what the images are needed for.

    Raises:
        SetupError: there are fewer than two labels, or one has too few images.
    """
    if len(names) < 2:
        raise SetupError(
            f"the data has {len(names)} label{'' if names else 's'} ({join_names(names)}); the task {MULTI_LABEL} "
            f"needs at least 2: for one, use the task {SINGLE_LABEL} with a class for images without it"
        )
    nobody = [name for name, count in zip(names, counts, strict=True) if not count]
    if nobody:
        raise SetupError(f"no image for {where} has the label {join_names(nobody)}; add images or remove the label")
    small = [f"{name} ({int(count)})" for name, count in zip(names, counts, strict=True) if count < required]
    if small:
        raise SetupError(
            f"too few images with the label {join_names(small)}: a label needs at least {required} different images "
            f"for {where}; add images or remove the label"
        )


def check_numbers(values: Targets, names: Sequence[str], images: int, required: int, where: str) -> None:
    """Check that numbers can be predicted.

    Args:
        values: (n, k) of the images that may be trained on.
        names: (k,) names of the numbers.
        images: number of these that differ.
        required: least number of images.
        where: what they are needed for.

    Raises:
        SetupError: there are too few images, or a number is always the same, or float32 cannot tell its values apart.
    """
    if images < required:
        raise SetupError(
            f"there are {images} different images; the task {REGRESSION} needs at least {required} for {where}"
        )
    for name, column in zip(names, values.T, strict=True):
        if np.ptp(column) == 0:
            raise SetupError(
                f"{printable(name)} is {column[0]:g} for every image of {where}; there is nothing to predict"
            )
        mean, deviation = float(column.mean()), float(column.std())
        if abs(mean) > MAX_OFFSET * deviation:
            raise SetupError(
                f"{printable(name)} has the mean {mean:g} and the standard deviation {deviation:g}, which float32 "
                f"can't tell apart; subtract {mean:g} from every value"
            )


def strata(values: Targets, parts: int, images: int) -> NDArray[np.float64]:
    """Return (n, m) whether each image's number is in a range of values; ranges hold about as many images each.

    Args:
        values: (n, k).
        parts: number of parts of the split.
        images: number of images that may be divided.
    """
    count = max(1, min(MAX_STRATA, images // (parts * 2)))
    columns = []
    for column in values.T:
        edges = np.unique(np.quantile(column, np.arange(1, count) / count))
        columns.append(np.eye(len(edges) + 1)[np.searchsorted(edges, column, side="right")])
    return np.concatenate(columns, 1)


# ── figures


def binary_losses(logits: Targets, targets: Targets) -> Targets:
    """Return (n,) binary cross-entropies in nats, each the mean over the labels."""
    losses = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    return np.asarray(losses.mean(-1))


def counts_by_label(logits: Targets, targets: Targets) -> NDArray[np.int64]:
    """Return (k, 4) true positives, false negatives, false positives and true negatives at a probability of 0.5."""
    has, is_predicted = targets > 0.5, logits > 0
    cells = [has & is_predicted, has & ~is_predicted, ~has & is_predicted, ~has & ~is_predicted]
    return np.stack([cell.sum(0) for cell in cells], -1).astype(np.int64)


def f1_by_label(logits: Targets, targets: Targets) -> Targets:
    """Return (k,) 2 TP / (2 TP + FP + FN); 0 for a label that is neither there nor predicted."""
    hit, missed, false, _ = counts_by_label(logits, targets).T
    return np.asarray(2 * hit / np.maximum(2 * hit + missed + false, 1))


def average_precision_by_label(logits: Targets, targets: Targets) -> Targets:
    """Return (k,) Σ (R_i − R_{i−1}) P_i over descending thresholds, as scikit-learn; NaN for a label no image has."""
    return np.array([_average_precision(s, t) for s, t in zip(logits.T, targets.T, strict=True)])


def _average_precision(scores: Targets, targets: Targets) -> float:
    if not targets.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each run of equal scores
    hits = np.cumsum(targets[order])[last]
    recalls, precisions = hits / hits[-1], hits / (last + 1)
    return float(np.diff(recalls, prepend=0) @ precisions)


def multi_label_figures(logits: Targets, targets: Targets) -> dict[str, float]:
    """Return F1 and average precision, as means over labels; the latter over those that an image has."""
    precisions = average_precision_by_label(logits, targets)
    defined = precisions[~np.isnan(precisions)]
    return {
        "f1": float(f1_by_label(logits, targets).mean()),
        "average_precision": float(defined.mean()) if len(defined) else 0.0,
    }


def regression_by_target(predicted: Targets, targets: Targets) -> dict[str, Targets]:
    """Return mean absolute error, root mean squared error and R², each (k,), of numbers (n, k) in the user's units.

    R² of numbers that are all equal is 1 where they are predicted exactly, else 0, as in scikit-learn.
    """
    errors = predicted - targets
    rest, whole = np.square(errors).sum(0), np.square(targets - targets.mean(0)).sum(0)
    r2 = np.where(whole > 0, 1 - rest / np.where(whole > 0, whole, 1), np.where(rest > 0, 0.0, 1.0))
    return {"mae": np.abs(errors).mean(0), "rmse": np.sqrt(np.square(errors).mean(0)), "r2": r2}


def regression_figures(predicted: Targets, targets: Targets) -> dict[str, float]:
    """Return the figures of `regression_by_target`, as means over the numbers."""
    return {name: float(values.mean()) for name, values in regression_by_target(predicted, targets).items()}
