"""Gradient boosting of scikit-learn, an epoch being some rounds: its losses on the validation rows, stage by stage."""

import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.curves.data import Data, RowIndex
from benchmarks.curves.space import Curve, Run
from bo_service.domain.constraints import Configuration

ROUNDS = 4
"""Rounds, so trees of each class, that make an epoch."""
Make = Callable[[dict[str, Any], int, int, bool], Any]
"""From the parameters, the number of rounds, a seed and whether classes are learned."""


def by_exact_splits(parameters: dict[str, Any], rounds: int, seed: int, is_classifier: bool) -> Any:
    """GradientBoosting{Classifier,Regressor}."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    kind = GradientBoostingClassifier if is_classifier else GradientBoostingRegressor
    return kind(**parameters, n_estimators=rounds, random_state=seed)


def by_histograms(parameters: dict[str, Any], rounds: int, seed: int, is_classifier: bool) -> Any:
    """HistGradientBoosting{Classifier,Regressor}."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor
    return kind(**parameters, max_iter=rounds, early_stopping=False, random_state=seed)


class Boosting:
    """A trainer. Its runs are trained one after the other; a chunk of them is saved at once."""

    lanes = 10

    def __init__(self, data: Data, make: Make) -> None:
        self.data, self.make = data, make

    def shape(self, configuration: Configuration) -> Hashable:  # noqa: ARG002
        """All are of one shape."""
        return ()

    def train(self, runs: Sequence[Run], epochs: int) -> list[Curve]:
        """Return the curve of each run."""
        return [self._trained(run, epochs) for run in runs]

    def _trained(self, run: Run, epochs: int) -> Curve:
        data, rounds = self.data, epochs * ROUNDS
        model = self.make(dict(run.configuration), rounds, run.number % 2**31, data.classes > 0)
        began = time.process_time()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                model.fit(data.x, data.y)
                scores = [self._validated(out) for out in islice(self._stages(model), ROUNDS - 1, None, ROUNDS)]
            except ValueError as error:  # the gradients became infinite
                return diverged(epochs) if "NaN" in str(error) or "inf" in str(error) else failed(epochs, str(error))
        seconds = np.full(epochs, (time.process_time() - began) / epochs, np.float32)
        with np.errstate(over="ignore"):  # what float32 can't hold has diverged
            losses, metrics = (np.array(v, np.float32) for v in zip(*scores, strict=True))
        return Curve(losses, metrics, seconds)

    def _stages(self, model: Any) -> Iterator[RowIndex]:
        """Yield what each stage says: a number or margin, (n,), or one for each class, (n, classes)."""
        staged = model.staged_decision_function if self.data.classes else model.staged_predict
        for out in staged(self.data.x_val):
            yield np.asarray(out).reshape(len(self.data.x_val), -1).squeeze(-1) if self.data.classes < 3 else out

    def _validated(self, out: RowIndex) -> tuple[float, float]:
        y = self.data.y_val
        if not self.data.classes:
            return float(((out - y) ** 2).mean()), float(np.abs(out - y).mean())
        if self.data.classes == 2:
            return float(np.logaddexp(0, np.where(y == 1, -out, out)).mean()), float(((out > 0) != (y == 1)).mean())
        top = out.max(axis=1, keepdims=True)
        sums = top[:, 0] + np.log(np.exp(out - top).sum(axis=1))
        return float((sums - out[np.arange(len(y)), y]).mean()), float((out.argmax(axis=1) != y).mean())


def diverged(epochs: int) -> Curve:
    """Return the curve of a run whose training broke off for infinite numbers, of which no stage is left."""
    nothing = np.full(epochs, np.nan, np.float32)
    return Curve(nothing, nothing, np.zeros(epochs, np.float32))


def failed(epochs: int, reason: str) -> Curve:
    """Return the curve of a run that the training refused."""
    nothing = np.full(epochs, np.nan, np.float32)
    return Curve(nothing, nothing, np.zeros(epochs, np.float32), reason)
