"""Intervals of final values that the surrogate of curves gives from a third of a curve, on recorded trainings.

The tables are of the half for development; 90 % intervals were calibrated on it.
"""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.curves import table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.halves import DEVELOPMENT, half_of
from benchmarks.curves.table import Ended
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.curves.model import CurveModel
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.inputs import LearningCurve, Observation, OptimizerInput, TrainingInParts
from bo_service.optimizer.numerics import computation_cache

NORMAL_90 = 1.645
TABLES = ("breast-cancer-mlp", "diamonds-boosting", "segment-crossing", "vowels-gru")


def coverage(name: str) -> float:
    """Return which part of the final values of 24 trials, paused at a third, lies within the 90 % intervals."""
    assert half_of(SPACES[name]) == DEVELOPMENT
    found = table.load(name)
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.flatnonzero(found.ended[:, 0] == Ended.WHOLE))[:52]
    ends = rng.permutation([27] * 12 + [9] * 24 + [3] * 16)
    losses = -found.losses[rows, 0].astype(float)
    curves = [
        LearningCurve(i + 1, found.configurations[row], tuple(range(1, end + 1)), tuple(losses[i, :end]), end < 27)
        for i, (row, end) in enumerate(zip(rows, ends.tolist(), strict=True))
    ]
    whole = [Observation(c.number, c.configuration, c.values[-1]) for c in curves if not c.is_paused]
    training = TrainingInParts(FidelitySettings(27, promotion=Promotion.FORECAST), tuple(curves))
    inputs = OptimizerInput(found.space, SuggestionSettings(), 1, tuple(whole), training=training)
    model = CurveModel.of(EncodedData(inputs))
    judged = np.flatnonzero(ends == 9)
    process = model.model.surrogate
    posterior = process.posterior(process.X[judged])
    spread = np.sqrt(posterior.std**2 + process.noise)
    worst = min(v for c in curves for v in c.values)
    actual = model.model.output_transform.forward(np.maximum(losses[judged, -1], worst))
    return float((np.abs(actual - posterior.mean) <= NORMAL_90 * spread).mean())


def test_intervals_hold_on_recorded_curves() -> None:
    held = {name: coverage(name) for name in TABLES}
    assert 0.75 <= np.mean(list(held.values())) <= 0.99, held


@pytest.mark.parametrize("ends", [(1,), (1, 3, 9), (27,)])
def test_forecasts_begin_with_eight_curves_though_none_is_whole(ends: tuple[int, ...]) -> None:
    found = table.load(TABLES[0])
    rows, at = np.flatnonzero(found.ended[:, 0] == Ended.WHOLE)[:12], np.array(ends) - 1
    curves = [
        LearningCurve(i, found.configurations[row], ends, tuple(-found.losses[row, 0, at]), ends[-1] < 27)
        for i, row in enumerate(rows.tolist(), start=1)
    ]
    for count, is_there in ((7, False), (8, True), (12, True)):
        past = tuple(Observation(c.number, c.configuration, float(c.values[-1])) for c in curves[:count])
        training = TrainingInParts(FidelitySettings(27), tuple(curves[:count]))
        made = CurveModel.of(EncodedData(OptimizerInput(found.space, SuggestionSettings(), 1, past, training=training)))
        assert (made is not None) is is_there
        if made is not None:
            means = made.model.surrogate.means
            assert np.corrcoef(means, [c.values[-1] for c in curves[:count]])[0, 1] > 0.5


def test_a_huge_loss_counts_as_the_worst_that_was_learned_from() -> None:
    found = table.load(TABLES[0])
    curves = [LearningCurve(i, found.configurations[i], (1, 27), (-1.0, -0.1 * i)) for i in range(1, 9)]
    wild = [LearningCurve(9, found.configurations[9], (1,), (value,), True) for value in (-2.0, -1e30)]
    means = []
    for curve in wild:
        past = tuple(Observation(c.number, c.configuration, c.values[-1]) for c in curves)
        training = TrainingInParts(FidelitySettings(27), (*curves, curve))
        made = OptimizerInput(found.space, SuggestionSettings(), 1, past, training=training)
        means.append(CurveModel.of(EncodedData(made)).model.surrogate.means)
    assert means[1] == pytest.approx(means[0])


def test_what_an_earlier_version_has_stored_of_curves_is_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stored one number more for each study."""
    found = table.load(TABLES[0])
    curves = tuple(LearningCurve(i, found.configurations[i], (1, 27), (-1.0, -0.1 * i)) for i in range(1, 9))
    past = tuple(Observation(c.number, c.configuration, c.values[-1]) for c in curves)
    training = TrainingInParts(FidelitySettings(27), curves)
    inputs = OptimizerInput(found.space, SuggestionSettings(), 1, past, training=training)
    with monkeypatch.context() as earlier:
        earlier.setattr(computation_cache, "CACHE_VERSION", b"1")
        before = EncodedData(inputs)
        expected = CurveModel.of(before).model.surrogate.means
    stored = {digest: (*values, 0.5) for digest, values in before.cache.used.items()}
    assert stored
    again = CurveModel.of(EncodedData(replace(inputs, hyperparameters=stored)))
    assert again.model.surrogate.means == pytest.approx(expected)
