"""What one process keeps between trials (images, backbones, features), and the networks that are trained on it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

import keras
import numpy as np
from bo_client import FailureReason

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet import backbone, data, devices, features, inspection, model, optimizer, sources
from bo_objectives.efficientnet.choice import Choice, invalid
from bo_objectives.efficientnet.data import Images, Split
from bo_objectives.efficientnet.names import BALANCED, BATCH, GROUP, NETWORK, SCRATCH, TWO_STAGE
from bo_objectives.efficientnet.rebuilding import Norms
from bo_objectives.efficientnet.settings import Settings
from bo_objectives.efficientnet.training import Labeled, Plan, Stage
from bo_objectives.errors import SetupError


@dataclass(frozen=True)
class Material:
    """Images of one size, and the backbone for them."""

    split: Split
    backbone: backbone.Backbone
    bottom: Callable[[int], keras.Model] = field(init=False)
    """`Backbone.bottom`, made once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bottom", cache(self.backbone.bottom))


class Bench:
    """Everything that doesn't depend on a trial's parameters; loaded when first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.share = devices.replicas(settings.strategy)
        """Of how many images batches are multiples."""
        self._features = features.FeatureCache(settings.features_directory, settings.precision, self.share)
        self._material: dict[int, Material] = {}

    def material(self, image_size: int = 0) -> Material:
        """What trials of this size share; 0 for the option's size."""
        size = image_size or self.settings.image_size
        if size not in self._material:
            split = self._split(size)
            keras.utils.set_random_seed(self.settings.seed)  # where the weights are random ones
            loaded = backbone.load(self.settings.backbone, self.settings.weights, size)
            self._material[size] = Material(split, loaded)
        return self._material[size]

    def _split(self, size: int) -> Split:
        """Raises TrialFailed, CRASHED, where images can't be read: they may be repaired while the study goes on."""
        try:
            images = sources.load(self.settings.data, size, self.settings.decoder)
            if sources.is_downloaded(self.settings.data):  # else the worker has said it
                inspection.tell(self.settings.data, self.settings.fold, images)
            return data.split(images, self.settings.fold)
        except SetupError as error:
            raise TrialFailed(FailureReason.CRASHED, f"the images can't be used: {error}") from error

    @property
    def split(self) -> Split:
        return self.material().split

    @property
    def backbone(self) -> backbone.Backbone:
        return self.material().backbone

    def check(self, choice: Choice) -> None:
        """Raises TrialFailed, INVALID_CONFIGURATION, where the parameters don't fit the network."""
        blocks, width = len(self.material(choice.image_size).backbone.blocks), self.settings.head_width
        if not 0 <= choice.unfreeze_top < blocks:
            raise invalid(f"unfreeze_top is {choice.unfreeze_top}; {self.backbone.name} allows 1 to {blocks - 1}")
        if choice.norm == GROUP and width % choice.groups:
            raise invalid(f"groups is {choice.groups}, which doesn't divide the head's {width} channels")

    def is_cached(self, choice: Choice) -> bool:
        """Whether the network begins at features that are computed once."""
        return self.settings.cache == "on" and choice.mode != SCRATCH and choice.augmentation == 0

    def labeled(self, choice: Choice, images: Images) -> Labeled:
        """What the network is fed: cached features, or the pixels where every image differs or all is trained."""
        if not self.is_cached(choice):
            return Labeled(images.pixels, images.one_hot)
        material = self.material(choice.image_size)
        return Labeled(self._features.get(material.backbone, choice.unfreeze_top, images), images.one_hot)

    def network(self, choice: Choice, shape: tuple[int, ...]) -> keras.Model:
        """The network of a trial before training, for inputs (B, *shape) that `labeled` gives."""
        return model.network(shape, self._below(choice), self._head(choice), self.settings.seed, choice.augmentation)

    def _below(self, choice: Choice) -> list[model.Part]:
        material, k = self.material(choice.image_size), choice.unfreeze_top
        norms = Norms(choice.norm, choice.groups) if choice.norm_scope == NETWORK else None
        if choice.mode == SCRATCH:
            drawn = partial(self._kernel, choice.kernel_initializer)
            return [model.Part(material.backbone.untrained(norms or Norms(BATCH, 1), drawn), is_inference=False)]
        below = [] if self.is_cached(choice) else [model.Part(material.bottom(k))]
        top = material.backbone.top(k, norms)
        return below if top is None else [*below, model.Part(top)]

    def _kernel(self, name: str, i: int) -> keras.initializers.Initializer:
        return model.initializer(name, self.settings.seed + 1000 + i)

    def _head(self, choice: Choice) -> model.Head:
        images = self.material(choice.image_size).split.train
        return model.Head(
            choice.kernel_initializer, choice.norm, choice.groups, choice.dropout, self.settings.head_width,
            len(images.classes), choice.bias_initializer, images.shares,
        )  # fmt: skip

    def plan(self, choice: Choice) -> Plan:
        """Of the trial's training."""
        settings = self.settings
        shares = np.array(self.material(choice.image_size).split.train.shares)
        weights = 1 / (len(shares) * shares) if choice.class_weights == BALANCED else None
        return Plan(
            settings.epochs, choice.batch_size, choice.label_smoothing, settings.seed, settings.patience, weights,
            settings.steps_per_execution, settings.batch_threads, self.share,
        )  # fmt: skip

    def stages(self, choice: Choice, network: keras.Model) -> list[Stage]:
        """One; or two, where the head is trained alone for its share of the epochs and then with the blocks above the
        cut, all at the smaller rate."""
        epochs = self.settings.epochs
        lr_backbone = choice.lr_head * choice.lr_backbone_ratio
        if choice.mode != TWO_STAGE or epochs == 1:
            is_tuned = choice.unfreeze_top > 0
            whole = partial(self._begin, choice, choice.lr_head, lr_backbone if is_tuned else None, 0, epochs)
            return [Stage(0, epochs, whole)]
        alone = min(epochs - 1, max(1, round(choice.head_share * epochs)))
        return [
            Stage(0, alone, partial(self._begin, choice, choice.lr_head, None, 0, alone, _top(network), False)),
            Stage(alone, epochs, partial(self._begin, choice, lr_backbone, None, alone, epochs, _top(network), True)),
        ]

    def _begin(
        self, choice: Choice, lr: float, lr_backbone: float | None, first: int, last: int,
        top: keras.Model | None = None, is_trained: bool = True,
    ) -> optimizer.ProbedOptimizer:  # fmt: skip
        if top is not None and is_trained:
            backbone.unfreeze(top)
        elif top is not None:
            top.trainable = False
        images = len(self.material(choice.image_size).split.train)
        steps = math.ceil(images / choice.batch_size) * (last - first)
        return optimizer.make(
            optimizer.Rates(
                lr, lr_backbone, steps, choice.schedule, choice.warmup, choice.weight_decay, choice.clip_norm
            )
        )

    def counts(self, choice: Choice, network: keras.Model) -> dict[str, float]:
        """Of the whole network, whatever part of it stood behind the cache."""
        trainable = model.count(network.trainable_variables)
        cached = self.material(choice.image_size).bottom(choice.unfreeze_top).weights if self.is_cached(choice) else []
        rest = model.count(network.weights) + model.count(cached) - trainable
        return {"trainable_parameters": float(trainable), "non_trainable_parameters": float(rest)}


def _top(network: keras.Model) -> keras.Model:
    """The part that is unfrozen."""
    return [layer for layer in network.layers if isinstance(layer, keras.Model)][-1]
