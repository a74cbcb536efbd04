"""Synthetic losses over spaces that mix real numbers, whole numbers and categories.

The minima are away from the centers and from the first categories, where some optimizers begin.
"""

import math

import numpy as np

from benchmarks.problems import functions as f
from benchmarks.problems.problem import Problem, Split
from benchmarks.problems.space import Category, Config, Continuous, Integer, Space

OPTIMIZER_COST = {"sgd": 0.12, "adam": 0.0, "rmsprop": 0.05, "adagrad": 0.3}
BEST_RATE = {"sgd": -1.5, "adam": -3.2, "rmsprop": -3.6, "adagrad": -2.0}
HUES = {"amber": 2.0, "blue": 0.0, "coral": -1.0}
SHAPES = {"disk": 0.5, "edge": 0.0, "fork": 1.5, "gate": 3.0, "helix": 1.0}
FINISH = {"mat": 1.0, "raw": 2.0, "wax": 0.0}


def training(c: Config) -> float:
    """Like a validation loss; the best learning rate depends on the optimizer."""
    rule = str(c["optimizer"])
    rate = math.log10(float(c["lr"])) - BEST_RATE[rule]
    depth, width = int(c["layers"]) - 3, math.log2(int(c["width"])) - 7.5
    decay = math.log10(float(c["decay"])) + 2.2
    loss = 0.3 * rate**2 * (1.0 if rate < 0 else 2.5) + OPTIMIZER_COST[rule] + 0.02 * abs(depth) + 0.01 * width**2
    loss += 0.5 * (float(c["dropout"]) - 0.15 - 0.02 * depth) ** 2 + 0.015 * decay**2
    return 0.2 + min(loss, 4.0) + (0.0 if c["norm"] == "layer" else 0.06 if c["norm"] == "batch" else 0.15)


TRAINING_SPACE = (
    Continuous("lr", 1e-5, 10.0, log=True),
    Continuous("decay", 1e-6, 1e-1, log=True),
    Continuous("dropout", 0.0, 0.8),
    Integer("layers", 1, 10),
    Integer("width", 8, 512, log=True),
    Category("optimizer", tuple(OPTIMIZER_COST)),
    Category("norm", ("batch", "group", "layer")),
)
TRAINING_BEST: Config = {
    "lr": 10**-3.2, "decay": 10**-2.2, "dropout": 0.15, "layers": 3, "width": 181, "optimizer": "adam", "norm": "layer"
}  # fmt: skip


def ackley_mixed(c: Config) -> float:
    """Ackley of three real numbers, three whole numbers, and two yes-or-no choices that shift it."""
    x = [float(c[n]) for n in ("x1", "x2", "x3", "n1", "n2", "n3")]
    flags = [0.0 if c["a"] == "yes" else 1.5, 0.0 if c["b"] == "no" else 1.5]
    return f.ackley(np.array(x + flags))


ACKLEY_SPACE: Space = (
    *(Continuous(f"x{i}", -3.0, 5.0) for i in (1, 2, 3)),
    *(Integer(f"n{i}", -3, 6) for i in (1, 2, 3)),
    Category("a", ("no", "yes")),
    Category("b", ("no", "yes")),
)
ACKLEY_BEST: Config = {"x1": 0.0, "x2": 0.0, "x3": 0.0, "n1": 0, "n2": 0, "n3": 0, "a": "yes", "b": "no"}


def recipe(c: Config) -> float:
    """Categories that work together, one of which decides where the real numbers are best."""
    shift = HUES[str(c["hue"])]
    heat = (float(c["heat"]) - 75.0 - 10.0 * shift) / 25.0
    time = math.log(float(c["time"]) / 25.0)
    clash = 1.0 if (c["shape"] == "edge") != (c["finish"] == "wax") else 0.0
    coats = abs(int(c["coats"]) - (2 if c["finish"] == "wax" else 6))
    base = abs(shift) + SHAPES[str(c["shape"])] + FINISH[str(c["finish"])] + clash
    return base + heat**2 + time**2 + 0.3 * coats + 0.5 * heat * time


RECIPE_SPACE = (
    Category("hue", tuple(HUES)),
    Category("shape", tuple(SHAPES)),
    Category("finish", tuple(FINISH)),
    Integer("coats", 1, 8),
    Continuous("heat", 0.0, 100.0),
    Continuous("time", 0.5, 60.0, log=True),
)
RECIPE_BEST: Config = {"hue": "blue", "shape": "edge", "finish": "wax", "coats": 2, "heat": 75.0, "time": 25.0}


def development() -> list[Problem]:
    """Those that the optimizer may be designed on."""
    return [
        Problem("training", TRAINING_SPACE, training, 50, optimizer=TRAINING_BEST),
        Problem("ackley-mixed", ACKLEY_SPACE, ackley_mixed, 50, optimizer=ACKLEY_BEST),
    ]


def validation() -> list[Problem]:
    """Those that are kept apart."""
    return [Problem("recipe-noisy", RECIPE_SPACE, recipe, 50, Split.VALIDATION, RECIPE_BEST, noise=0.15)]
