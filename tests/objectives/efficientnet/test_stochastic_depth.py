"""Stochastic depth and batch norms in each mode, counted layer by layer in calls as training makes them."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from bo_objectives.efficientnet.trial_config import TrialConfig

keras = pytest.importorskip("keras")
from keras.src.applications import efficientnet  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("efficientnet"), pytest.mark.timeout(900)]

BLOCKS = [
    {"kernel_size": 3, "repeats": 3, "filters_in": 32, "filters_out": 16, "expand_ratio": 1, "id_skip": True,
     "strides": 1, "se_ratio": 0.25},
    {"kernel_size": 3, "repeats": 3, "filters_in": 16, "filters_out": 24, "expand_ratio": 1, "id_skip": True,
     "strides": 2, "se_ratio": 0.25},
]  # fmt: skip
"""Blocks with a residual, which stochastic depth drops: all but the first of each group."""
ALL = {"block1b_drop", "block1c_drop", "block2b_drop", "block2c_drop"}
TOP = {"block2b_drop", "block2c_drop"}
TUNED = {"unfreeze_top": 2, "dropout": 0.0, "norm": "none"}


@pytest.fixture
def small_b0(monkeypatch: pytest.MonkeyPatch) -> None:
    """B0 with six blocks, half of whose residual branches are dropped."""

    def make(include_top: bool, weights: str | None, input_shape: tuple[int, ...]):
        return efficientnet.EfficientNet(
            1.0, 1.0, 32, drop_connect_rate=0.5, blocks_args=BLOCKS, include_top=include_top, weights=weights,
            input_shape=input_shape, name="efficientnetb0", weights_name="b0",
        )  # fmt: skip

    monkeypatch.setattr(keras.applications, "EfficientNetB0", make)


@contextmanager
def dropping() -> Iterator[set[str]]:
    """Collect the names of the dropout layers that change their inputs."""
    names: set[str] = set()
    call = keras.layers.Dropout.call

    def counted(self, inputs, training=False):
        outputs = call(self, inputs, training=training)
        if not np.array_equal(np.asarray(inputs), np.asarray(outputs)):
            names.add(self.name)
        return outputs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Dropout, "call", counted)
        yield names


def statistics(network) -> list[np.ndarray]:
    return [v.numpy() for v in network.variables if "moving_" in v.path and "head_" not in v.path]


def check(network, expected: set[str], statistics_move: bool) -> None:
    """Check which layers drop in training, that none does in inference, and whether moving averages change."""
    x = np.random.default_rng(0).uniform(0, 255, (32, *network.input_shape[1:])).astype(np.float32)
    before = statistics(network)
    with dropping() as names:
        first, second = (np.asarray(network(x, training=True)) for _ in range(2))
    assert names == expected
    assert np.array_equal(first, second) == (not expected and not statistics_move)
    with dropping() as names:
        network(x, training=False)
    assert names == set()
    after = statistics(network)
    assert any(not np.array_equal(b, a) for b, a in zip(before, after, strict=True)) == statistics_move


@pytest.mark.usefixtures("small_b0")
@pytest.mark.parametrize("cache", ["on", pytest.param("off", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("mode", "stages"),
    [("frozen", [set()]), ("fine_tune", [TOP]), ("two_stage", [set(), TOP]), ("scratch", [ALL])],
    ids=["frozen", "fine_tune", "two_stage", "scratch"],
)
def test_stochastic_depth_is_on_in_the_blocks_that_are_trained_and_nowhere_else(
    make_objective, cache: str, mode: str, stages: list[set[str]]
) -> None:
    config = TrialConfig.of({**TUNED, "mode": mode})
    with make_objective(backbone="efficientnet_b0", weights="random", cache=cache).context() as context:
        images = context.split.train
        network = context.network(config, context.labeled(config, images).inputs.shape[1:])
        begun = context.stages(config, network)
        assert len(begun) == len(stages)
        for stage, expected in zip(begun, stages, strict=True):
            stage.begin()
            check(network, expected, statistics_move=mode == "scratch")
