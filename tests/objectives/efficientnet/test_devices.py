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
import bo_client
data, cache, strategy, folder, jobs = sys.argv[1:]
if strategy == "mirrored":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    make, cpus = tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"]  # by itself it takes GPUs, or one CPU
    tf.distribute.MirroredStrategy = lambda: make(cpus)
from bo_objectives.efficientnet import devices
from bo_objectives.efficientnet.objective import EfficientNetObjective

class Run:
    number, attempt = 1, 1
    def __init__(self, name, stop_at=0, checkpoint_uri=""):
        self.directory, self.checkpoint_uri = pathlib.Path(folder) / name, checkpoint_uri
        self.stop_at, self.curve = stop_at, []
    def report(self, step, metrics, checkpoint_uri=""):
        if step == len(self.curve) + 1 or not self.curve:
            self.curve.append(dict(metrics))
        self.uri = checkpoint_uri
        if step == self.stop_at:
            raise bo_client.StopTrial("enough")
    def label(self, labels):
        pass

def norms(run):
    return json.loads((run.directory / "trial.json").read_text())["record"]["gradient_norms"]

objective = EfficientNetObjective(
    data=data, cache_dir=cache, image_size="32", epochs="3", head_width="8", strategy=strategy
)
told = {}
for name, parameters in json.loads(jobs).items():
    run = Run(name)
    objective.evaluate(parameters, run)
    told[name] = {"curve": run.curve, "norms": norms(run)}
    if "dropout" in parameters:
        first = Run(name + " first", stop_at=1)
        try:
            objective.evaluate(parameters, first)
        except bo_client.StopTrial:
            pass
        second = Run(name + " second", checkpoint_uri=first.uri)
        objective.evaluate(parameters, second)
        told[name] |= {"resumed": second.curve, "resumed_norms": norms(second)}
print(json.dumps({"told": told, "replicas": devices.replicas(strategy)}))
"""
RATES = {"batch_size": 16, "lr_head": 0.01}
ALIKE = {
    "clipped": {**RATES, "norm": "layer", "clip_norm": 1.0, "weight_decay": 0.01, "class_weights": "balanced"},
    "batch norm": {**RATES, "norm": "batch"},
    "two stages": {**RATES, "norm": "batch", "mode": "two_stage", "unfreeze_top": 1, "head_share": 0.4},
    "scratch": {"batch_size": 36, "lr_head": 1e-3, "norm": "batch", "mode": "scratch"},
}
DRAWN = {"drawn": {**RATES, "norm": "batch", "dropout": 0.5, "schedule": "cosine", "warmup": 0.2}}


def trained(strategy: str, data: Path, cache: Path, folder: Path, jobs: dict, **environment: str) -> dict:
    command = [sys.executable, "-c", CODE, str(data), str(cache), strategy, str(folder), json.dumps(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1100, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_two_devices_train_as_one(features_folder: Path, tmp_path: Path) -> None:
    """Gradients, their norm and batch statistics are the whole batch's, so the curve is the same; parts here are even.

    What is drawn for dropout differs, but a trial that is cut off and taken up goes on as if it hadn't been.
    """
    colors = np.random.default_rng(0).normal([[[40]], [[120]], [[200]]], 40, (3, 20 * 32, 32 * 3))
    images = np.clip(colors, 0, 255).astype(np.uint8).reshape(60, 32, 32, 3)
    even = tmp_path / "even.npz"
    np.savez(even, images=images, labels=np.repeat(np.arange(3), 20))
    backend = keras.backend.backend()
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}.get(backend)
    if strategy is None:
        pytest.skip(f"no strategy for {backend}")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    alone = trained("none", even, features_folder, tmp_path / "one", ALIKE, **flags)
    shared = trained(strategy, even, features_folder, tmp_path / "two", {**ALIKE, **DRAWN}, **flags)
    assert (alone["replicas"], shared["replicas"]) == (1, 2)
    for name in ALIKE:
        epochs = 1 if name == "scratch" else 3  # there, rounding grows from step to step
        same(shared["told"][name], alone["told"][name], epochs)
    drawn = shared["told"]["drawn"]
    same({"curve": drawn["resumed"], "norms": drawn["resumed_norms"]}, drawn, 3)


def same(found: dict, expected: dict, epochs: int) -> None:
    assert len(found["curve"]) == len(expected["curve"]) == 3
    for ours, theirs in list(zip(found["curve"], expected["curve"], strict=True))[:epochs]:
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    assert found["norms"][:epochs] == pytest.approx(expected["norms"][:epochs], rel=1e-3)


def test_a_strategy_of_another_backend_is_refused() -> None:
    other = "data_parallel" if keras.backend.backend() != "jax" else "mirrored"
    with (
        pytest.raises(SetupError, match=rf"strategy is '{other}', which needs the backend \w+; this process runs"),
        devices.scope(other),
    ):
        pass
