"""One run: a real training with the plant, its record, and what was found. Keras is imported here alone."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet import backbone
from bo_objectives.efficientnet.backbone import Backbone
from bo_objectives.efficientnet.findings import Finding
from bo_objectives.efficientnet.history import TrainingHistory
from bo_objectives.efficientnet.model import DropoutRate, Part
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.training_context import DataAndBackbone, TrainingContext
from bo_objectives.efficientnet.training_run import TrainingRun
from bo_objectives.efficientnet.trial_config import TrialConfig

from benchmarks.diagnosis import datasets
from benchmarks.diagnosis.plan import BATCH_NORM, DEAD_BIAS, StoppingContext
from benchmarks.training_speed import Run


class Follower(Run):
    """Keeps the labels."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.labels: dict[str, str] = {}

    def label(self, labels: Mapping[str, str]) -> None:
        self.labels |= labels


class Recorded(TrainingRun):
    """Keeps the record, which a failed trial doesn't return."""

    record: TrainingHistory | None = None

    def _diagnose(self, record: TrainingHistory) -> tuple[Finding, ...]:
        self.record = record
        return super()._diagnose(record)


def run(case: StoppingContext, cache: Path) -> dict[str, Any]:
    """Train, and return a row for the results."""
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        images = Path(folder) / "images.npz"
        datasets.write(images, case.data, case.half, case.change)
        options = {
            "data": str(images), "image_size": str(datasets.SIDE), "head_width": "64", "checkpoints": "off", "logs": "",
            "seed": str(datasets.HALVES.index(case.half)), "cache_dir": str(cache), **case.options,
        }  # fmt: skip
        with EfficientNetObjective(**options).context() as bench:
            if case.parameters.get("mode") != "scratch":
                _shares_backbone(bench)
            follower = Follower(Path(folder))
            if case.patch:
                PATCHES[case.patch](bench)
            trial = Recorded(bench, TrialConfig.of(case.parameters), follower)
            try:
                trial.train()
                failure = ""
            except TrialFailed as failed:
                failure = str(failed.reason)
            assert trial.record is not None
            record, setting = trial.record.as_json(), asdict(trial.setting())
    return {
        "name": case.name,
        "half": case.half,
        "labels": follower.labels,
        "failure": failure,
        "seconds": round(time.monotonic() - began, 1),
        "setting": rounded(setting),
        "record": rounded(record),
    }


def _shares_backbone(bench: TrainingContext) -> None:
    """Give the bench the pretrained network that earlier cases had, which saves most of the seconds."""
    size = bench.settings.image_size
    bench._data_by_size[size] = made = DataAndBackbone(bench._split(size), partial(_backbone, size))
    object.__setattr__(made, "bottom", _bottom)


@cache
def _backbone(size: int) -> Backbone:
    return backbone.load("efficientnet_lite0", "imagenet", size)


@cache
def _bottom(k: int) -> keras.Model:
    return _backbone(datasets.SIDE).bottom(k)


def rounded(value: Any) -> Any:
    """Return a value with its floats rounded to five digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def _batch_norms_train(bench: TrainingContext) -> None:
    """Call the pretrained network in training mode, its batch normalizations trainable: a frequent mistake."""
    pretrained = bench._pretrained

    def parts(config: TrialConfig, source: DataAndBackbone) -> list[Part]:
        made = pretrained(config, source)
        for layer in (layer for part in made for layer in part.model.layers):
            layer.trainable = True
        return [Part(part.model, is_inference=False) for part in made]

    bench._pretrained = parts  # type: ignore[method-assign]


def _dead_bias(bench: TrainingContext) -> None:
    """Make the head's biases so negative that no unit is ever above 0."""
    network = bench.network

    def made(config: TrialConfig, shape: tuple[int, ...], dropout: DropoutRate | None = None) -> Any:
        model = network(config, shape, dropout)
        layer = model.get_layer("head_conv")
        layer.bias.assign(layer.bias - 60.0)
        return model

    bench.network = made  # type: ignore[method-assign]


PATCHES: dict[str, Callable[[TrainingContext], None]] = {BATCH_NORM: _batch_norms_train, DEAD_BIAS: _dead_bias}
