"""Fine-tuning EfficientNet on real images, as recorded: an emulator of a table of real trials.

The table is of the objective `efficientnet` with its bundled images, recorded by a worker and written by `bo export`;
see the README of the benchmarks for how to record more. The emulator is a forest of randomized trees of the logarithm
of the validation loss, so that it has no more in common with one optimizer's surrogate than with another's.
"""

import csv
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems.problem import Problem, Split
from benchmarks.problems.space import Category, Config, Continuous, Integer

TABLE = Path(__file__).with_name("efficientnet.csv")
SPACE = (
    Category("mode", ("frozen", "fine_tune")),
    Category(
        "kernel_initializer",
        ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal_0.01", "normal_1", "zeros"),
    ),
    Category("norm", ("none", "batch", "layer", "instance", "group")),
    Integer("groups", 2, 32, log=True),
    Continuous("lr_head", 1e-4, 1e-2, log=True),
    Continuous("lr_backbone_ratio", 1e-2, 1.0, log=True),
    Integer("unfreeze_top", 1, 5),
    Continuous("dropout", 0.0, 0.7),
    Integer("batch_size", 16, 64, log=True),
)
TREES = 100
IDLE = {"groups": ("norm", "group"), "lr_backbone_ratio": ("mode", "fine_tune"), "unfreeze_top": ("mode", "fine_tune")}
"""What these parameters need to mean anything."""


def rows() -> list[dict[str, str]]:
    """The recorded trials that have a value."""
    with TABLE.open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["val_loss"]]


def features(config: Config | dict[str, str]) -> list[float]:
    """Numbers for the trees: logarithms of rates, a flag for each category's value, -1 for what means nothing."""
    found: list[float] = []
    for p in SPACE:
        if isinstance(p, Category):
            found += [float(config[p.name] == value) for value in p.values]
            continue
        needs = IDLE.get(p.name)
        is_idle = needs is not None and config[needs[0]] != needs[1]
        value = float(config[p.name]) if not is_idle else 0.0
        found.append(-1.0 if is_idle else float(np.log(value)) if p.log else value)
    return found


@cache
def emulator() -> Any:
    """Fitted to the table."""
    from sklearn.ensemble import ExtraTreesRegressor

    table = rows()
    X = np.array([features(row) for row in table])
    y = np.log([float(row["val_loss"]) for row in table])
    return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0).fit(X, y)


def loss(c: Config) -> float:
    """The validation loss expected, in nats."""
    return float(np.exp(emulator().predict(np.array([features(c)]))[0]))


def validation() -> list[Problem]:
    """Kept apart."""
    return [Problem("efficientnet", SPACE, loss, 40, Split.VALIDATION)]
