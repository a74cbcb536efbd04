"""What one process keeps between trials (images, backbone, features), and a trial trained on it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import keras

from bo_objectives.efficientnet import backbone, data, features, model, sources, training
from bo_objectives.efficientnet.choice import Choice, invalid
from bo_objectives.efficientnet.data import Images, Split
from bo_objectives.efficientnet.names import GROUP
from bo_objectives.efficientnet.settings import Settings
from bo_objectives.efficientnet.training import Labeled, Plan, Report


@dataclass(frozen=True)
class Trained:
    """A trained network with the weights of its best epoch, and that epoch's metrics."""

    network: keras.Model
    metrics: dict[str, float]


class Bench:
    """Everything that doesn't depend on a trial's parameters; loaded when first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._features = features.FeatureCache(settings.features_directory)

    @cached_property
    def split(self) -> Split:
        return data.split(sources.load(self._settings.data, self._settings.image_size))

    @cached_property
    def backbone(self) -> backbone.Backbone:
        keras.utils.set_random_seed(self._settings.seed)  # where its weights are random ones
        return backbone.load(self._settings.backbone, self._settings.weights, self._settings.image_size)

    def train(self, choice: Choice, report: Report) -> Trained:
        """Trains a new head, and fresh copies of the unfrozen blocks.

        The final metrics are those of the epoch with the least validation loss: its weights are the ones a user would
        keep, and with them alone the test images are looked at.

        Raises:
            TrialFailed: DIVERGED, or INVALID_CONFIGURATION where the parameters don't fit the network.
        """
        self.check(choice)
        parts = (self.labeled(choice, self.split.train), self.labeled(choice, self.split.validation))
        keras.utils.clear_session()
        keras.utils.set_random_seed(self._settings.seed)
        network = self.network(choice, parts[0].inputs.shape[1:])
        lr_backbone = choice.lr_head * choice.lr_backbone_ratio if choice.unfreeze_top else None
        optimizer = model.optimizer(choice.lr_head, lr_backbone)
        plan = Plan(self._settings.epochs, choice.batch_size, choice.label_smoothing)
        watch = training.train(network, optimizer, plan, parts, report)
        return Trained(network, {**watch.best, "best_epoch": float(watch.best_epoch), **self._counts(network)})

    def test(self, choice: Choice, trained: Trained) -> dict[str, float]:
        """The metrics on the test images, which nothing else looks at."""
        loss, accuracy = training.evaluate(trained.network, self.labeled(choice, self.split.test))
        return {"test_loss": loss, "test_accuracy": accuracy}

    def check(self, choice: Choice) -> None:
        """Raises TrialFailed, INVALID_CONFIGURATION, where the parameters don't fit the network."""
        blocks, width = len(self.backbone.blocks), self._settings.head_width
        if not 0 <= choice.unfreeze_top < blocks:
            raise invalid(f"unfreeze_top is {choice.unfreeze_top}; {self.backbone.name} allows 1 to {blocks - 1}")
        if choice.norm == GROUP and width % choice.groups:
            raise invalid(f"groups is {choice.groups}, which doesn't divide the head's {width} channels")

    def labeled(self, choice: Choice, images: Images) -> Labeled:
        """What the network is fed: cached features, or the pixels where the cache is off."""
        cached = self._settings.cache == "on"
        inputs = self._features.get(self.backbone, choice.unfreeze_top, images) if cached else images.pixels
        return Labeled(inputs, images.one_hot)

    def network(self, choice: Choice, shape: tuple[int, ...]) -> keras.Model:
        """The network of a trial before training, for inputs (B, *shape) that `labeled` gives."""
        below = [] if self._settings.cache == "on" else [self.backbone.bottom(choice.unfreeze_top)]
        if (top := self.backbone.top(choice.unfreeze_top)) is not None:
            below.append(top)
        return model.network(shape, below, self._head(choice), self._settings.seed)

    def _head(self, choice: Choice) -> model.Head:
        return model.Head(
            choice.kernel_initializer, choice.norm, choice.groups, choice.dropout, self._settings.head_width,
            len(self.split.train.classes),
        )  # fmt: skip

    def _counts(self, network: keras.Model) -> dict[str, float]:
        """Of the whole network, whatever part of it stood behind the cache."""
        trainable = model.count(network.trainable_variables)
        head = model.count([w for layer in network.layers if layer.name.startswith(model.HEAD) for w in layer.weights])
        everything = head + model.count(self.backbone.network.weights)
        return {"trainable_parameters": float(trainable), "non_trainable_parameters": float(everything - trainable)}

    def record(self, directory: Path, choice: Choice, metrics: Mapping[str, float]) -> None:
        """Writes `trial.json`: what was trained on what, with hashes, so that the number can be traced."""
        split = self.split
        content = {
            "parameters": asdict(choice),
            "metrics": dict(metrics),
            "settings": asdict(self._settings),
            "weights": asdict(self.backbone.origin),
            "classes": list(split.train.classes),
            "images": {part: len(getattr(split, part)) for part in data.PARTS},
            "pixels_sha256": {part: getattr(split, part).pixels_sha256 for part in data.PARTS},
            "keras": {"version": keras.version(), "backend": keras.backend.backend()},
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "trial.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")
