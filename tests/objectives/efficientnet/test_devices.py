"""One trial on several devices: virtual ones of the CPU, in a process of its own, as devices are made once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import devices
from bo_objectives.errors import SetupError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

CODE = """
import json, pathlib, sys
data, cache, strategy, folder = sys.argv[1:]
if strategy == "mirrored":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    make, cpus = tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"]  # by itself it takes GPUs, or one CPU
    tf.distribute.MirroredStrategy = lambda: make(cpus)
from bo_objectives.efficientnet import devices
from bo_objectives.efficientnet.objective import EfficientNetObjective

class Run:
    number, attempt, checkpoint_uri, directory = 1, 1, "", pathlib.Path(folder)
    curve = []
    def report(self, step, metrics, checkpoint_uri=""):
        self.curve.append(dict(metrics))
        self.uri = checkpoint_uri
    def label(self, labels):
        pass

objective = EfficientNetObjective(
    data=data, cache_dir=cache, image_size="32", epochs="3", head_width="8", strategy=strategy
)
run = Run()
metrics = objective.evaluate({"norm": "layer", "batch_size": 16, "lr_head": 0.01, "clip_norm": 5.0}, run)
print(json.dumps({"curve": run.curve, "replicas": devices.replicas(strategy)}))
"""


def trained(strategy: str, data: Path, cache: Path, folder: Path, **environment: str) -> dict:
    command = [sys.executable, "-c", CODE, str(data), str(cache), strategy, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.xfail(reason="on MirroredStrategy the loss is off by 5 % and it is not known why")
def test_two_devices_train_as_one(features_folder: Path, tmp_path: Path) -> None:
    """Gradients are added up, so the curve is the same; parts here have even numbers."""
    colors = np.random.default_rng(0).normal([[[40]], [[120]], [[200]]], 40, (3, 20 * 32, 32 * 3))
    images = np.clip(colors, 0, 255).astype(np.uint8).reshape(60, 32, 32, 3)
    even = tmp_path / "even.npz"
    np.savez(even, images=images, labels=np.repeat(np.arange(3), 20))
    backend = keras.backend.backend()
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}.get(backend)
    if strategy is None:
        pytest.skip(f"no strategy for {backend}")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    alone = trained("none", even, features_folder, tmp_path / "one", **flags)
    shared = trained(strategy, even, features_folder, tmp_path / "two", **flags)
    assert (alone["replicas"], shared["replicas"]) == (1, 2)
    for ours, theirs in zip(shared["curve"], alone["curve"], strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=0.02)


def test_a_strategy_of_another_backend_is_refused() -> None:
    other = "data_parallel" if keras.backend.backend() != "jax" else "mirrored"
    with (
        pytest.raises(SetupError, match=rf"strategy is '{other}', which needs the backend \w+; this process runs"),
        devices.scope(other),
    ):
        pass
