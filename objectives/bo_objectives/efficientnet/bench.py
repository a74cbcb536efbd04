"""What one process keeps between trials (images, backbones, features), and the networks that are trained on it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

import keras
import numpy as np
from bo_client import FailureReason

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet import backbone, data, devices, features, inspection, model, optimizer, sources
from bo_objectives.efficientnet.backbone import Backbone
from bo_objectives.efficientnet.batches import bounds
from bo_objectives.efficientnet.choice import Choice, invalid
from bo_objectives.efficientnet.data import Images, Split
from bo_objectives.efficientnet.names import BALANCED, BATCH, GROUP, IMAGE_STEP, NETWORK, SCRATCH, TWO_STAGE
from bo_objectives.efficientnet.rebuilding import Drawing, Map, Norms, normalized_maps
from bo_objectives.efficientnet.set_size import is_constant, positions
from bo_objectives.efficientnet.settings import Settings
from bo_objectives.efficientnet.training import Labeled, Plan, Stage
from bo_objectives.errors import SetupError


@dataclass(frozen=True)
class Material:
    """Images of one size, and the pretrained backbone for them, which is loaded when a trial first needs it."""

    split: Split
    load: Callable[[], Backbone]
    bottom: Callable[[int], keras.Model] = field(init=False)
    """`Backbone.bottom`, made once. Trials run it, and none trains it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bottom", cache(lambda k: self.backbone.bottom(k)))

    @cached_property
    def backbone(self) -> Backbone:
        return self.load()


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
            self._material[size] = Material(self._split(size), partial(self._load, size))
        return self._material[size]

    def _load(self, size: int) -> Backbone:
        keras.utils.set_random_seed(self.settings.seed)  # where the weights are random ones
        return backbone.load(self.settings.backbone, self.settings.weights, size)

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
    def backbone(self) -> Backbone:
        return self.material().backbone

    def check(self, choice: Choice) -> None:
        """Raise TrialFailed, INVALID_CONFIGURATION, where the parameters don't fit the network."""
        width, side = self.settings.head_width, choice.image_size or self.settings.image_size
        if choice.norm == GROUP and width % choice.groups:
            raise invalid(f"groups is {choice.groups}, which doesn't divide the head's {width} channels")
        self._check_norm(choice, Norms(choice.norm, choice.groups), [Map("head_norm", positions(side), width)])
        if choice.unfreeze_top > 0:
            blocks = len(self.material(choice.image_size).backbone.blocks)
            if choice.unfreeze_top >= blocks:
                raise invalid(f"unfreeze_top is {choice.unfreeze_top}; {self.backbone.name} allows 1 to {blocks - 1}")
        if positions(side) == 1:  # else every set has at least the positions of the last map
            self._check_norm(choice, self._norms(choice), self._new_maps(choice, side))

    def _check_norm(self, choice: Choice, norms: Norms | None, maps: list[Map]) -> None:
        """Raise TrialFailed where a norm would pool a single number: what it gives is then 0 for every image."""
        if norms is None:
            return
        images = max(self.share, choice.batch_size // self.share * self.share)
        for found in maps:
            groups = norms.shared(found.width)
            if is_constant(norms.norm, found.positions, found.width, groups, images):
                raise invalid(_why_constant(norms.norm, found, choice, choice.image_size or self.settings.image_size))

    def _norms(self, choice: Choice) -> Norms | None:
        """Return what takes the place of the backbone's norms; None where it keeps its own."""
        if choice.norm_scope == NETWORK:
            return Norms(choice.norm, choice.groups)
        return Norms(BATCH, 1) if choice.mode == SCRATCH else None

    def _new_maps(self, choice: Choice, side: int) -> list[Map]:
        """Return what the trial's own norms below the head normalize."""
        if choice.mode == SCRATCH:
            return normalized_maps(backbone.architecture(self.settings.backbone, side)[0])
        if choice.unfreeze_top == 0 or choice.norm == BATCH:  # fine-tuned batch norms stay in inference
            return []
        return normalized_maps(self.material(choice.image_size).backbone.above(choice.unfreeze_top))

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
        """Return the network of a trial before training, for inputs (B, *shape) that `labeled` gives.

        All of its layers are new or copies, and random generators begin at the seed, so that it depends on the choice
        and the settings alone, whatever ran in this process before.
        """
        source = None if choice.mode == SCRATCH else self.material(choice.image_size)
        if source is not None:
            _ = source.backbone  # loads it now, as that may draw random numbers
        keras.utils.set_random_seed(self.settings.seed)
        below = self._untrained(choice) if source is None else self._pretrained(choice, source)
        return model.network(shape, below, self._head(choice), self.settings.seed, choice.augmentation)

    def _untrained(self, choice: Choice) -> list[model.Part]:
        size = choice.image_size or self.settings.image_size
        norms = self._norms(choice)
        assert norms is not None
        new = backbone.untrained(self.settings.backbone, size, norms, self._drawing(choice))
        return [model.Part(new, is_inference=False)]

    def _pretrained(self, choice: Choice, source: Material) -> list[model.Part]:
        k = choice.unfreeze_top
        top = source.backbone.top(k, self._norms(choice))  # first: seeds that it draws don't depend on the cache
        below = [] if self.is_cached(choice) else [model.Part(source.backbone.bottom_copy(k))]
        return below if top is None else [*below, model.Part(top)]

    def _drawing(self, choice: Choice) -> Drawing:
        seed = self.settings.seed
        return Drawing(
            lambda i, is_depthwise: model.initializer(choice.kernel_initializer, seed + 1000 + i, is_depthwise),
            lambda i: model.initializer(choice.bias_initializer, seed + 3000 + i),
        )

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
            settings.steps_per_execution, settings.batch_threads, self.share, self._merges_single(choice),
        )  # fmt: skip

    def _merges_single(self, choice: Choice) -> bool:
        """Whether a batch norm would pool the single number of a single image."""
        norms = self._norms(choice) if choice.mode == SCRATCH else None
        is_batch = choice.norm == BATCH or (norms is not None and norms.norm == BATCH)
        return is_batch and self.share == 1 and positions(choice.image_size or self.settings.image_size) == 1

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
        steps = (len(bounds(images, choice.batch_size, self._merges_single(choice))) - 1) * (last - first)
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


def _why_constant(norm: str, found: Map, choice: Choice, image_size: int) -> str:
    """Return what is wrong with a norm that pools a single number, and what to set instead."""
    pooled = {BATCH: f"with batch_size {choice.batch_size}", GROUP: f"with groups {choice.groups}"}.get(norm, "")
    remedy = {BATCH: "batch_size to 2 or more", GROUP: "groups to fewer"}.get(norm, "norm to batch or none")
    return (
        f"the norm {norm!r}{pooled and ' ' + pooled} can't be used at image_size {image_size}: the feature map that "
        f"{found.layer} normalizes has 1 position and {found.width} channels, so each set that shares a mean holds one "
        f"number, which becomes 0 for every image; set {remedy}, or image_size to {2 * IMAGE_STEP} or more"
    )
