"""EfficientNet-Lite0 with its weights of ImageNet, on the bundled images and on MNIST: a head alone, or fine-tuning.

The head is trained on pooled features, which the frozen network gives once. Fine-tuning is the bundled objective's own,
a trial for each run.
"""

import tempfile
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from bo_client import FailureReason
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet import backbone, data_sources
from bo_objectives.efficientnet.names import FROZEN
from bo_objectives.efficientnet.objective import EfficientNetObjective

from benchmarks.curves import data
from benchmarks.curves.data import Data, RowIndex
from benchmarks.curves.space import Curve, Run
from bo_service.domain.constraints import Configuration

SIDE = 64
MNIST_IMAGES = 1200


@cache
def features(name: str, train: int, validation: int) -> Data:
    """Return the features that Lite0 gives of images, pooled, (n, 1280), standardized."""
    pixels, labels = images(name, train + validation)
    network = backbone.load("efficientnet_lite0", "imagenet", SIDE).bottom(0)
    maps = [np.asarray(network(pixels[at : at + 50])) for at in range(0, len(pixels), 50)]
    means = np.concatenate(maps).mean(axis=(1, 2)).astype(np.float64)
    return data.split(means, labels, train, validation, int(labels.max()) + 1)


def images(name: str, count: int) -> tuple[RowIndex, RowIndex]:
    """Return so many images (n, 64, 64, 3) of 0 to 255, float32, and their labels."""
    order = np.random.default_rng(5)
    if name == data.EMOJI.name:
        emoji = data_sources.load(data_sources.EMOJI, SIDE)
        rows = order.permutation(len(emoji))[:count]
        return np.asarray(emoji.pixels[rows], np.float32), np.asarray(emoji.labels[rows])
    grey, labels = data.mnist_images()
    rows = order.permutation(len(grey))[:count]
    padded = np.pad(grey[rows], ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded.repeat(2, axis=1).repeat(2, axis=2)[..., None], 3, axis=3).astype(np.float32), labels[rows]


class Following:
    """What the objective reports to: it keeps the curve."""

    number, attempt, checkpoint_uri = 1, 1, ""
    until_step: int | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rows: list[tuple[float, float, float]] = []

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:  # noqa: ARG002
        """Keep an epoch, and the processor's seconds so far."""
        self.rows.append((metrics["val_loss"], 1 - metrics["val_accuracy"], time.process_time()))

    def label(self, labels: Mapping[str, str]) -> None:
        """Labels are not kept."""


class FineTuning:
    """A trainer: one trial of the objective after the other."""

    lanes = 1

    def __init__(self, name: str, count: int = MNIST_IMAGES, width: int = 64) -> None:
        self._width = width
        self._folder = tempfile.TemporaryDirectory(prefix="curves-")
        self._data = data_sources.EMOJI
        if name != data.EMOJI.name:
            pixels, labels = images(name, count)
            self._data = str(Path(self._folder.name) / "images.npz")
            np.savez(self._data, images=pixels.astype(np.uint8), labels=labels)

    def shape(self, configuration: Configuration) -> Hashable:  # noqa: ARG002
        """All are of one shape."""
        return ()

    @cache  # noqa: B019
    def _objective(self, seed: int, epochs: int) -> EfficientNetObjective:
        return EfficientNetObjective(
            data=self._data, image_size=str(SIDE), head_width=str(self._width), epochs=str(epochs), seed=str(seed),
            checkpoints="off", logs="", threads="1", cache_dir=str(Path(self._folder.name) / "features"),
            **self._further(seed),
        )  # fmt: skip

    def train(self, runs: Sequence[Run], epochs: int) -> list[Curve]:
        """Return the curve of each run."""
        return [self._trained(run, epochs) for run in runs]

    def _trained(self, run: Run, epochs: int) -> Curve:
        failure = ""
        with tempfile.TemporaryDirectory() as folder:
            following = Following(Path(folder))
            began = time.process_time()
            try:
                self._objective(run.seed, epochs).evaluate(run.configuration, following)
            except TrialFailed as failed:
                failure = "" if failed.reason is FailureReason.DIVERGED else str(failed)
        rows = np.full((epochs, 3), np.nan)
        if following.rows:
            rows[: len(following.rows)] = following.rows
        seconds = np.diff(rows[:, 2], prepend=began)
        losses, errors = rows[:, 0].astype(np.float32), rows[:, 1].astype(np.float32)
        return Curve(losses, errors, seconds.astype(np.float32), failure)

    def _further(self, seed: int) -> Mapping[str, str]:  # noqa: ARG002
        """Return options of the objective beside those that all have."""
        return {}


class FrozenHead(FineTuning):
    """Trials with a frozen backbone; the seed is the fold, too. Runs of one network come one after the other."""

    def shape(self, configuration: Configuration) -> Hashable:
        """Return what decides on the network, so that its compiled step stays warm."""
        return str(configuration["norm"]), int(configuration.get("groups", 0))

    def _further(self, seed: int) -> Mapping[str, str]:
        return {"fold": str(seed), "artifacts": "off"}

    def _trained(self, run: Run, epochs: int) -> Curve:
        return super()._trained(replace(run, configuration={"mode": FROZEN, **run.configuration}), epochs)
