"""Real models of scikit-learn, tuned on the real data that come with it, by three-fold cross-validation.

Folds and seeds are fixed, so that a config has one value; it takes some tens of milliseconds.
"""

import math
import warnings
from functools import cache
from typing import Any

import numpy as np

from benchmarks.problems.problem import Problem, Split
from benchmarks.problems.space import Category, Config, Continuous, Integer

ROWS = 500
SVC_SPACE = (
    Continuous("C", 1e-3, 1e4, log=True),
    Continuous("gamma", 1e-6, 10.0, log=True),
    Category("kernel", ("linear", "poly", "rbf", "sigmoid")),
    Integer("degree", 2, 5),
    Continuous("coef0", -1.0, 1.0),
)
BOOSTING_SPACE = (
    Continuous("learning_rate", 1e-3, 1.0, log=True),
    Integer("n_estimators", 5, 80, log=True),
    Integer("max_depth", 1, 8),
    Integer("min_samples_leaf", 1, 64, log=True),
    Continuous("subsample", 0.2, 1.0),
    Category("loss", ("absolute_error", "huber", "squared_error")),
)
MLP_SPACE = (
    Continuous("learning_rate_init", 1e-5, 1.0, log=True),
    Continuous("alpha", 1e-7, 10.0, log=True),
    Integer("width", 4, 96, log=True),
    Integer("batch_size", 8, 128, log=True),
    Category("activation", ("logistic", "relu", "tanh")),
    Category("solver", ("adam", "sgd")),
)


@cache
def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardized features, and targets, in a fixed order; at most `ROWS` of them."""
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    kept = np.random.default_rng(7).permutation(len(X))[:ROWS]
    X = X[kept].astype(float)
    return (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9), y[kept]


def cross_validated(model: Any, name: str, scoring: str, worst: float) -> float:
    """The mean loss over three folds, at most `worst`."""
    from sklearn.model_selection import cross_val_score

    X, y = data(name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            loss = -float(np.mean(cross_val_score(model, X, y, scoring=scoring, cv=3, error_score="raise")))
        except ValueError:  # the weights became infinite
            return worst
    return min(loss, worst) if math.isfinite(loss) else worst


def svc(c: Config, name: str) -> float:
    """The error rate, and a tenth of the hinge loss: what is wrong, and how nearly."""
    from sklearn.model_selection import cross_val_predict
    from sklearn.svm import SVC

    X, y = data(name)
    # A poor config need not converge.
    model = SVC(**c, max_iter=20_000)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        decided = np.nan_to_num(cross_val_predict(model, X, y, cv=3, method="decision_function"))
    if decided.ndim == 1:
        wrong = (decided > 0) != (y == 1)
        margin = np.where(y == 1, decided, -decided)
        return float(np.mean(wrong) + 0.1 * np.clip(1 - margin, 0, 10).mean())
    chosen = decided[np.arange(len(y)), y]
    rest = np.where(np.eye(decided.shape[1], dtype=bool)[y], -np.inf, decided).max(axis=1)
    return float(np.mean(rest >= chosen) + 0.1 * np.clip(1 - (chosen - rest), 0, 10).mean())


def boosting(c: Config) -> float:
    """Mean squared error of gradient boosting on the diabetes data, in thousands."""
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(**c, random_state=0)
    return cross_validated(model, "diabetes", "neg_mean_squared_error", 1e5) / 1e3


def mlp(c: Config) -> float:
    """Log-loss of a multilayer perceptron on the digits after six epochs."""
    from sklearn.neural_network import MLPClassifier

    given = {name: value for name, value in c.items() if name != "width"}
    model = MLPClassifier((int(c["width"]),), **given, max_iter=6, random_state=0)
    return cross_validated(model, "digits", "neg_log_loss", 10.0)


def development() -> list[Problem]:
    """Those that the optimizer may be designed on."""
    return [
        Problem("svc-digits", SVC_SPACE, lambda c: svc(c, "digits"), 40),
        Problem("boosting-diabetes", BOOSTING_SPACE, boosting, 40),
    ]


def validation() -> list[Problem]:
    """Those that are kept apart."""
    return [
        Problem("svc-breast-cancer", SVC_SPACE, lambda c: svc(c, "breast_cancer"), 40, Split.VALIDATION),
        Problem("mlp-digits", MLP_SPACE, mlp, 40, Split.VALIDATION),
    ]
