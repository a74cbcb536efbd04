"""Small images that a network can learn, and objectives that train on them in a second or two."""

from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet.objective import EfficientNetObjective

SIDE = 32
PER_CLASS = 15
COLORS = {"blue": (40, 40, 200), "green": (40, 200, 40), "red": (200, 40, 40)}


@pytest.fixture(scope="session")
def colored_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of noisy images, told apart by their color."""
    rng = np.random.default_rng(0)
    images = np.concatenate([rng.normal(c, 40, (PER_CLASS, SIDE, SIDE, 3)) for c in COLORS.values()])
    path = tmp_path_factory.mktemp("images") / "colored.npz"
    labels = np.repeat(np.arange(len(COLORS)), PER_CLASS)
    np.savez(path, images=np.clip(images, 0, 255).astype(np.uint8), labels=labels, classes=np.array(list(COLORS)))
    return path


@pytest.fixture(scope="session")
def features_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all tests, as by all processes of a machine."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make_objective(colored_npz: Path, features_folder: Path) -> Callable[..., EfficientNetObjective]:
    """An objective on the colored images with the options given, or with quick ones."""

    def make(**options: str) -> EfficientNetObjective:
        quick = {"data": str(colored_npz), "image_size": str(SIDE), "epochs": "2", "head_width": "8"}
        return EfficientNetObjective(**{**quick, "cache_dir": str(features_folder), **options})

    return make


@pytest.fixture
def make_small(
    make_compiled: Callable[..., EfficientNetObjective], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., EfficientNetObjective]:
    """Objectives on a Lite0 of three blocks and random weights, which trains in a second.

    On TensorFlow no graph is made, which takes longer than the training.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        monkeypatch.setattr(keras.Model, "compile", partialmethod(keras.Model.compile, run_eagerly=True))
    return make_compiled


@pytest.fixture
def make_compiled(
    make_objective: Callable[..., EfficientNetObjective], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., EfficientNetObjective]:
    """Objectives on the Lite0 of `make_small`, whose steps are compiled."""
    from bo_objectives.efficientnet import lite0  # which loads Keras

    stages = (lite0.BlockGroup(1, 3, 1, 1, 16), lite0.BlockGroup(2, 5, 2, 2, 24))
    monkeypatch.setattr(lite0, "STAGES", stages)
    monkeypatch.setattr(lite0, "BLOCKS", ("block1a", "block2a", "block2b"))
    monkeypatch.setattr(lite0, "TOP", 64)
    return lambda **options: make_objective(**{"weights": "random", **options})


@pytest.fixture(scope="session")
def objective(make_objective: Callable[..., EfficientNetObjective]) -> EfficientNetObjective:
    """One whose images, backbone and features are loaded once for all tests."""
    return make_objective()
