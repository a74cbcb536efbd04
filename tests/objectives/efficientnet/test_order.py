"""What ran before in a process never matters: the same parameters give the same network, curve and global state."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bo_client
import numpy as np
import pytest
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_objectives.testing import RecordedRun

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet.checkpoint import CheckpointManager  # noqa: E402
from bo_objectives.efficientnet.weights import arrays_sha256  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.timeout(1200),  # for a busy machine
    pytest.mark.xdist_group("efficientnet"),
]

DRAWN = {"batch_size": 9, "dropout": 0.3}
TUNED = {**DRAWN, "mode": "fine_tune"}
SCRATCH = {**DRAWN, "mode": "scratch", "batch_size": 27}
KINDS = {
    "frozen": {**DRAWN, "mode": "frozen"},
    "fine_tune": {**TUNED, "unfreeze_top": 2},
    "two_stage": {**DRAWN, "mode": "two_stage", "unfreeze_top": 1, "head_share": 0.5},
    "network norm": {**TUNED, "unfreeze_top": 1, "norm": "group", "groups": 4, "norm_scope": "network"},
    "augmented": {**DRAWN, "mode": "frozen", "augmentation": 0.5},
    "scratch": SCRATCH,
    "scratch, network norm": {**SCRATCH, "norm": "layer", "norm_scope": "network"},
}
BACKBONES = ("efficientnet_lite0", "efficientnet_b0", "efficientnet_v2_b0")
LITE0_FROM_SCRATCH = 3_536_522
"""Trainable parameters with a head of 128 channels for ten classes: all but the statistics of the batch norms."""


# ── networks


@dataclass
class Made:
    """A network before training, as plain values."""

    weights: str
    """Digest of all variables: weights, statistics and the states of random generators."""
    trained: list[str]
    """Paths of the variables that are trained."""
    outputs: np.ndarray = field(repr=False)

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Made)
        return (self.weights, self.trained, self.outputs.tolist()) == (
            other.weights, other.trained, other.outputs.tolist()
        )  # fmt: skip


def network(objective: EfficientNetObjective, parameters):
    """Before training, for what a trial of these parameters feeds it."""
    choice = TrialConfig.of(parameters)
    with objective.context() as bench:
        bench.check(choice)
        material = bench.data_and_backbone()
        below = material.bottom(choice.unfreeze_top).output_shape[1:] if bench.is_cached(choice) else (32, 32, 3)
        return bench.network(choice, below)


def made(objective: EfficientNetObjective, parameters) -> Made:
    found = network(objective, parameters)
    inputs = np.random.default_rng(0).uniform(0, 255, (2, *found.input_shape[1:])).astype(np.float32)
    return Made(
        arrays_sha256(v.numpy() for v in found.variables),
        [v.path for v in found.trainable_variables],
        np.asarray(found(inputs, training=False)),
    )


def test_a_network_is_the_same_whatever_was_made_before(make_small) -> None:
    """Each first in an objective of its own, and then after another in a shared one."""
    names = ["frozen", "fine_tune", "scratch"]
    first = {name: made(make_small(), KINDS[name]) for name in reversed(names)}
    shared = make_small()
    for name in (*names, names[0]):
        assert made(shared, KINDS[name]) == first[name], name
    assert len(first["scratch"].trained) > 30
    assert all(path.startswith("head_") for path in first["frozen"].trained)


def test_from_scratch_everything_is_counted_as_trained_after_a_frozen_trial(make_objective) -> None:
    """As a user saw it: 207,530 of 3,536,522 parameters were trained."""
    objective = make_objective(head_width="128")
    counts = []
    for name in ("frozen", "scratch"):
        found = network(objective, KINDS[name])
        with objective.context() as bench:
            counts.append(bench.counts(TrialConfig.of(KINDS[name]), found))
    classes_fewer = (10 - 3) * (128 + 1)
    assert counts[1]["trainable_parameters"] == LITE0_FROM_SCRATCH - classes_fewer
    assert sum(counts[0].values()) == sum(counts[1].values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_networks_of_every_kind_are_the_same_in_any_order(make_objective, backbone: str) -> None:
    options = {"backbone": backbone, "weights": "random"}
    first = {name: made(make_objective(**options), parameters) for name, parameters in KINDS.items()}
    shared = make_objective(**options)
    for order in (list(KINDS), list(reversed(KINDS))):
        for name in order:
            assert made(shared, KINDS[name]) == first[name], name


def test_no_network_has_a_layer_of_the_shared_backbone(make_small) -> None:
    """So nothing that a trial does to its network changes what another begins from."""
    objective = make_small(cache="off")
    with objective.context() as bench:
        shared = bench.backbone.network
    before = arrays_sha256(v.numpy() for v in shared.variables)
    theirs = {id(v) for v in shared.variables}
    for name in ("frozen", "fine_tune", "scratch"):
        found = network(objective, KINDS[name])
        assert not theirs & {id(v) for v in found.variables}, name
        for variable in found.trainable_variables:
            variable.assign(variable * 0)
    assert arrays_sha256(v.numpy() for v in shared.variables) == before
    assert shared.trainable_variables == []


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", pytest.param("efficientnet_b0", marks=pytest.mark.slow)])
def test_from_scratch_nothing_is_taken_from_a_weights_file(make_small, monkeypatch, backbone: str) -> None:
    """Whatever the option `weights` says: the same network, and no file is looked for."""
    monkeypatch.setattr("bo_objectives.efficientnet.backbone.load", lambda *_: 1 / 0)
    found = [network(make_small(backbone=backbone, weights=w), SCRATCH) for w in ("imagenet", "random")]
    digests = [arrays_sha256(v.numpy() for v in each.variables) for each in found]
    assert digests[0] == digests[1]


# ── curves


def curve(objective: EfficientNetObjective, run: RecordedRun, parameters) -> list:
    """What is reported after each epoch, and the result."""
    metrics = objective.evaluate(parameters, run)
    return [*(point for _, point, _ in run.reports), dict(metrics)]


def check_order(make: Callable[..., EfficientNetObjective], make_run, names: tuple[str, ...]) -> None:
    """Each kind in an objective of its own, the last one first, and then all of them in a shared one."""
    first = {name: curve(make(epochs="1"), make_run(), KINDS[name]) for name in reversed(names)}
    shared = make(epochs="1")
    for name in (*names, names[0]):
        assert curve(shared, make_run(), KINDS[name]) == first[name], name


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_curve_is_the_same_bit_for_bit_after_trials_of_every_kind(make_small, make_run) -> None:
    check_order(make_small, make_run, tuple(KINDS))


class Broken(RecordedRun):
    """A trial in which something happens after its first epoch."""

    error: BaseException = KeyboardInterrupt()

    def report(self, step: int, metrics, checkpoint_uri: str = "") -> None:
        super().report(step, metrics, checkpoint_uri)
        raise self.error


ERRORS = (
    KeyboardInterrupt(),
    RuntimeError("RESOURCE_EXHAUSTED"),
    bo_client.StopTrial("enough"),
    MemoryError("no more"),
)


@pytest.mark.slow
def test_trials_that_broke_off_leave_nothing_behind(make_small, make_run, tmp_path: Path) -> None:
    """With no cache, so that the pretrained part is run in the steps that broke off."""
    objective = make_small(cache="off")
    for error in ERRORS:
        broken = Broken(tmp_path)
        broken.error = error
        with pytest.raises((type(error), TrialFailed)):
            objective.evaluate(KINDS["fine_tune"], broken)
        assert len(broken.reports) == 1
    with pytest.raises(TrialFailed, match="DIVERGED"):
        objective.evaluate({"norm": "none", "lr_head": 1e30, "batch_size": 3}, make_run())
    other = make_small(cache="off")
    assert curve(objective, make_run(), KINDS["fine_tune"]) == curve(other, make_run(), KINDS["fine_tune"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # Keras, saving
def test_precisions_repeats_and_exports_before_it_do_not_change_a_curve(make_small, make_run, tmp_path: Path) -> None:
    first = curve(make_small(), make_run(), KINDS["fine_tune"])
    objective = make_small()
    for precision in ("bfloat16", "float16"):
        make_small(precision=precision, epochs="1").evaluate({**KINDS["frozen"], "norm": "layer"}, make_run())
    objective.repeat(KINDS["frozen"], make_run(), 1)
    objective.evaluate_test(KINDS["fine_tune"], make_run())
    objective.export(KINDS["frozen"], make_run(), tmp_path / "best")
    assert curve(objective, make_run(), KINDS["fine_tune"]) == first


@pytest.mark.parametrize(
    "name", ["scratch", *(pytest.param(name, marks=pytest.mark.slow) for name in KINDS if name != "scratch")]
)
def test_a_trial_of_any_kind_goes_on_after_others_where_nothing_ran_before(make_small, make_run, name: str) -> None:
    """Cut off in an objective in which a frozen trial ran before, and taken up in one of its own.

    All three curves are the same, bit for bit.
    """
    objective = make_small()
    objective.evaluate(KINDS["frozen"], make_run())
    first, second, whole = make_run(stop_at=1), make_run(attempt=2), make_run()
    with pytest.raises(bo_client.StopTrial):
        objective.evaluate(KINDS[name], first)
    second.checkpoint_uri = first.reports[-1][2]
    found = make_small().evaluate(KINDS[name], second)
    assert make_small().evaluate(KINDS[name], whole) == found
    assert [report[:2] for report in second.reports] == [report[:2] for report in whole.reports]
    assert first.reports[0][:2] == whole.reports[0][:2]


# ── global state


def state() -> dict[str, object]:
    """What Keras and its backend keep for a whole process, and a trial depends on."""
    kept: dict[str, object] = {
        "policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image data format": keras.config.image_data_format(),
        "distribution": keras.distribution.distribution(),
        "names": keras.layers.Dense(1).name,
    }
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        kept["eager"] = tf.config.functions_run_eagerly()
        kept["jit"] = tf.config.optimizer.get_jit()
        kept["replicas"] = tf.distribute.get_strategy().num_replicas_in_sync
    return kept


@contextmanager
def other_settings() -> Iterator[None]:
    """Another program in this process, or the user's keras.json, has settings of its own."""
    before = keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.5)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_epsilon(before[1])
        keras.config.set_image_data_format(before[2])
        keras.config.set_dtype_policy(policy)


def test_each_trial_begins_with_the_same_global_state(make_small) -> None:
    objective = make_small()
    with objective.context():
        first = state()
    assert first["policy"] == first["floatx"] == "float32"
    before = made(objective, KINDS["frozen"])
    with make_small(precision="bfloat16").context():
        assert state() == {**first, "policy": "mixed_bfloat16"}
    with other_settings(), objective.context():
        assert state() == first
    with other_settings():
        assert made(make_small(), KINDS["frozen"]) == before


def test_a_trial_leaves_the_process_the_settings_that_it_found(make_small, run) -> None:
    """A program that runs the objective among networks of its own, as in a notebook."""

    def settings() -> dict[str, object]:
        return {name: state()[name] for name in ("policy", "floatx", "epsilon", "image data format")}

    before = settings()
    make_small(precision="float16", epochs="1").evaluate(KINDS["frozen"], run)
    assert settings() == before
    with other_settings():
        theirs = settings()
        with pytest.raises(ZeroDivisionError), make_small(precision="float16").context():
            1 / 0  # noqa: B018
        assert settings() == theirs


# ── other processes

CODE = """
import json, pathlib, sys
import bo_client
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.testing import RecordedRun
options, jobs, folder = json.loads(sys.argv[1]), json.loads(sys.argv[2]), pathlib.Path(sys.argv[3])
made, told = {}, []
for i, job in enumerate(jobs):
    key = json.dumps(job.get("options", {}))
    made[key] = made.get(key) or EfficientNetObjective(**{**options, **job.get("options", {})})
    directory = folder / job.get("directory", str(i))
    directory.mkdir(parents=True, exist_ok=True)
    run = RecordedRun(directory, checkpoint_uri=job.get("checkpoint", ""), stop_at=job.get("stop_at"))
    try:
        metrics = dict(made[key].evaluate(job["parameters"], run))
    except bo_client.StopTrial:
        metrics = {}
    told.append({"curve": [[s, p] for s, p, _ in run.reports], "metrics": metrics, "uri": run.reports[-1][2]})
print(json.dumps(told))
"""


@pytest.fixture
def elsewhere(colored_npz: Path, tmp_path: Path) -> Callable[..., list]:
    """Trials in a process of their own, one after another."""

    def trained(jobs: list, folder: str, **options: str) -> list:
        quick = {"data": str(colored_npz), "image_size": "32", "epochs": "2", "head_width": "8"}
        given = json.dumps({**quick, "cache_dir": str(tmp_path / f"{folder} cache"), **options})
        command = [sys.executable, "-c", CODE, given, json.dumps(jobs), str(tmp_path / folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1700, env={**os.environ})
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return trained


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_in_a_process_of_its_own_a_trial_has_the_curve_that_it_has_after_others(elsewhere, backbone: str) -> None:
    """With features on disk and without, after another precision and on a strategy of one device."""
    options = (
        {"backbone": backbone} if backbone == "efficientnet_lite0" else {"backbone": backbone, "weights": "random"}
    )
    names = ("frozen", "fine_tune", "scratch")
    first = {name: elsewhere([{"parameters": KINDS[name]}], f"first {name}", **options)[0] for name in names}
    others = [
        {"parameters": KINDS["frozen"], "options": {"precision": "bfloat16"}},
        {"parameters": KINDS["fine_tune"], "stop_at": 1},
    ]
    if keras.backend.backend() == "tensorflow":
        others.append({"parameters": KINDS["frozen"], "options": {"strategy": "mirrored"}})
    order = ("scratch", "frozen", "fine_tune", "scratch", "frozen", "scratch")
    after = elsewhere([*others, *({"parameters": KINDS[name]} for name in order)], "after", **options)[len(others) :]
    for name, found in zip(order, after, strict=True):
        assert found["curve"] == first[name]["curve"], name
        assert found["metrics"] == first[name]["metrics"], name


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["fine_tune", "two_stage", "augmented", "scratch", "scratch, network norm"])
def test_a_trial_of_any_mode_is_taken_up_in_another_process(elsewhere, name: str) -> None:
    """Cut off after a frozen trial in the same process, and taken up where nothing ran before."""
    parameters = KINDS[name]
    whole = elsewhere([{"parameters": parameters}], "whole", epochs="3")[0]
    jobs = [{"parameters": KINDS["frozen"]}, {"parameters": parameters, "stop_at": 1}]
    cut = elsewhere(jobs, "cut", epochs="3")[-1]
    taken = elsewhere([{"parameters": parameters, "checkpoint": cut["uri"]}], "taken", epochs="3")[0]
    assert [step for step, _ in taken["curve"]] == [1, 2, 3]
    assert taken["curve"] == whole["curve"]
    assert taken["metrics"] == whole["metrics"]


# ── checkpoints that don't fit


def test_a_checkpoint_of_a_network_that_trains_other_weights_is_refused(make_small, make_run, caplog) -> None:
    """As an earlier version wrote it for a network from scratch, most of which it had left frozen."""
    first, second = make_run(stop_at=1), make_run(attempt=2)
    with pytest.raises(bo_client.StopTrial):
        make_small().evaluate(KINDS["frozen"], first)
    path = first.directory / "checkpoint.npz"
    with np.load(path) as content:
        kept = {name: content[name] for name in content.files}
    last = max(int(name.split("_")[1]) for name in kept if name.startswith("optimizer_"))
    np.savez(path, **{name: array for name, array in kept.items() if name != f"optimizer_{last}"})
    second.checkpoint_uri = first.reports[-1][2]
    make_small().evaluate(KINDS["frozen"], second)
    assert f"its {last} optimizer variables don't fit the {last + 1} of this network" in caplog.text
    assert "training restarts" in caplog.text
    assert second.reports[0][:2] == first.reports[0][:2]
    assert [step for step, _, _ in second.reports] == [1, 2]


@pytest.mark.parametrize("fault", ["array", "other meta", "no archive", "pickle", "empty"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, caplog, fault: str) -> None:
    path = tmp_path / "checkpoint.npz"
    with path.open("wb") as file:
        if fault == "array":
            np.save(file, np.zeros(3))
        elif fault == "other meta":
            np.savez(file, meta=np.array("[1, 2]"))
        elif fault == "pickle":
            np.savez(file, meta=np.array({"identity": 1}, dtype=object))
        else:
            file.write(b"PK\x03\x04 and nothing" if fault == "no archive" else b"")
    assert CheckpointManager(tmp_path, {}).find(path.as_uri()) is None
    assert "cannot be used" in caplog.text
