"""The recorded EfficientNet trials, and what is made of them."""

import numpy as np
import pytest
from bo_objectives.efficientnet.space import default_space
from scipy.stats import spearmanr

from benchmarks.problems import efficientnet
from benchmarks.problems.space import Category, draw


def test_the_table_is_of_the_objectives_own_space() -> None:
    recorded = efficientnet.rows()
    assert len(recorded) >= 60
    assert {row["mode"] for row in recorded} == {"frozen", "fine_tune"}
    theirs = {p.name: p for p in default_space().parameters}
    assert {p.name for p in efficientnet.SPACE} == set(theirs)
    for p in efficientnet.SPACE:
        if isinstance(p, Category):
            assert set(p.values) == set(theirs[p.name].values)


def test_the_emulator_ranks_the_recorded_trials() -> None:
    recorded = efficientnet.rows()
    configs = [{p.name: row[p.name] or "2" for p in efficientnet.SPACE} for row in recorded]
    told = [efficientnet.loss(c) for c in configs]
    assert spearmanr(told, [float(row["val_loss"]) for row in recorded]).statistic > 0.85


@pytest.mark.parametrize("idle", list(efficientnet.IDLE))
def test_what_means_nothing_changes_nothing(idle: str) -> None:
    decider, value = efficientnet.IDLE[idle]
    rng = np.random.default_rng(0)
    for _ in range(5):
        config, other = draw(efficientnet.SPACE, rng), draw(efficientnet.SPACE, rng)
        config[decider] = "batch" if decider == "norm" else "frozen"
        assert config[decider] != value
        assert efficientnet.loss(config) == efficientnet.loss({**config, idle: other[idle]})
