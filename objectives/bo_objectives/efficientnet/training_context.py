"""Resources that a process shares between trials (images, backbones, features), and the networks that use them."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial

import keras
import numpy as np
from bo_client import FailureReason

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet import (
    backbone,
    data,
    data_sources,
    data_summary,
    devices,
    features,
    model,
    optimizer,
    user_head,
)
from bo_objectives.efficientnet.backbone import Backbone
from bo_objectives.efficientnet.batches import bounds
from bo_objectives.efficientnet.compiled_steps import CompiledStep, CompiledSteps
from bo_objectives.efficientnet.data import Images, Split
from bo_objectives.efficientnet.names import (
    BALANCED,
    BATCH,
    CONSTANT,
    FROZEN,
    GROUP,
    IMAGE_STEP,
    NETWORK,
    SCRATCH,
    TWO_STAGE,
)
from bo_objectives.efficientnet.network_surgery import FeatureMap, InitializerFactory, Norms, normalized_maps
from bo_objectives.efficientnet.set_size import is_constant, positions
from bo_objectives.efficientnet.settings import FLOAT32, TrainingSettings
from bo_objectives.efficientnet.space import WITHOUT
from bo_objectives.efficientnet.tasks import LearningTask, task_of
from bo_objectives.efficientnet.training import LabeledInputs, Plan, TrainingStage, TrainingState, steps_together
from bo_objectives.efficientnet.trial_config import TrialConfig, invalid
from bo_objectives.efficientnet.user_code import COMPILE, HEAD
from bo_objectives.errors import SetupError


@dataclass(frozen=True)
class DataAndBackbone:
    """Images of one size, and the pretrained backbone for them, which is loaded when a trial first needs it."""

    split: Split
    load: Callable[[], Backbone]
    bottom: Callable[[int], keras.Model] = field(init=False)
    """`Backbone.bottom`, cached. Trials run it without training it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bottom", cache(lambda k: self.backbone.bottom(k)))

    @cached_property
    def backbone(self) -> Backbone:
        return self.load()

    @cached_property
    def task(self) -> LearningTask:
        return task_of(self.split.train)


class TrainingContext:
    """Resources that do not depend on a trial's parameters, loaded when first needed."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.share = devices.replicas(settings.strategy)
        """Batch sizes are multiples of this number of devices."""
        self._features = features.FeatureCache(settings.features_directory, settings.precision, self.share)
        self.user_functions = {function.option: function for function in settings.user_functions()}
        self.steps = CompiledSteps()
        self._data_by_size: dict[int, DataAndBackbone] = {}

    def data_and_backbone(self, image_size: int = 0) -> DataAndBackbone:
        """Return the shared images and backbone of a size; 0 for the size in the settings."""
        size = image_size or self.settings.image_size
        if size not in self._data_by_size:
            self._data_by_size[size] = DataAndBackbone(self._split(size), partial(self._load, size))
        return self._data_by_size[size]

    def _load(self, size: int) -> Backbone:
        keras.utils.set_random_seed(self.settings.seed)  # where the weights are random ones
        return backbone.load(self.settings.backbone, self.settings.weights, size)

    def _split(self, size: int) -> Split:
        """Return the split of the images.

        Raises:
            TrialFailed: CRASHED, as images cannot be read; they may be repaired while the study runs.
        """
        try:
            images = data_sources.load(self.settings.data, size, self.settings.decoder, self.settings.target_spec)
            if data_sources.is_downloaded(self.settings.data):  # else the worker has said it
                data_summary.log_summary(self.settings.data, self.settings.fold, images)
            return data.split(images, self.settings.fold)
        except SetupError as error:
            raise TrialFailed(FailureReason.CRASHED, f"the images can't be used: {error}") from error

    @property
    def split(self) -> Split:
        return self.data_and_backbone().split

    @property
    def backbone(self) -> Backbone:
        return self.data_and_backbone().backbone

    def check(self, config: TrialConfig) -> None:
        """Check that the parameters fit the network.

        Raises:
            TrialFailed: INVALID_CONFIGURATION, as they do not.
        """
        width, side, task = self.settings.head_width, config.image_size or self.settings.image_size, self.settings.task
        for name, is_meaningless in WITHOUT[task].items():
            if is_meaningless(getattr(config, name)):
                raise invalid(
                    f"{name} is {getattr(config, name)!r}, which has no meaning for the task {task}: leave it out"
                )
        if HEAD not in self.user_functions:
            if config.norm == GROUP and width % config.groups:
                raise invalid(f"groups is {config.groups}, which doesn't divide the head's {width} channels")
            norms = Norms(config.norm, config.groups)
            self._check_norm(config, norms, [FeatureMap("head_norm", positions(side), width)])
        if config.unfreeze_top > 0:
            blocks = len(self.data_and_backbone(config.image_size).backbone.blocks)
            if config.unfreeze_top >= blocks:
                raise invalid(f"unfreeze_top is {config.unfreeze_top}; {self.backbone.name} allows 1 to {blocks - 1}")
        if positions(side) == 1:  # else every set has at least the positions of the last map
            self._check_norm(config, self._norms(config), self._new_maps(config, side))

    def _check_norm(self, config: TrialConfig, norms: Norms | None, maps: list[FeatureMap]) -> None:
        """Check that no norm pools a single value, which would always be 0.

        Raises:
            TrialFailed: a norm does.
        """
        if norms is None:
            return
        images = max(self.share, config.batch_size // self.share * self.share)
        for feature_map in maps:
            groups = norms.groups_in(feature_map.width)
            if is_constant(norms.norm, feature_map.positions, feature_map.width, groups, images):
                raise invalid(
                    _why_constant(norms.norm, feature_map, config, config.image_size or self.settings.image_size)
                )

    def _norms(self, config: TrialConfig) -> Norms | None:
        """Return the norms that replace the backbone's; None if it keeps its own."""
        if config.norm_scope == NETWORK:
            return Norms(config.norm, config.groups)
        return Norms(BATCH, 1) if config.mode == SCRATCH else None

    def _new_maps(self, config: TrialConfig, side: int) -> list[FeatureMap]:
        """Return the feature maps that the trial's own norms below the head normalize."""
        if config.mode == SCRATCH:
            return normalized_maps(backbone.architecture(self.settings.backbone, side)[0])
        if config.unfreeze_top == 0 or config.norm == BATCH:  # fine-tuned batch norms stay in inference
            return []
        return normalized_maps(self.data_and_backbone(config.image_size).backbone.above(config.unfreeze_top))

    def is_cached(self, config: TrialConfig) -> bool:
        """Return whether the network's inputs are cached features."""
        return self.settings.cache == "on" and config.mode != SCRATCH and not config.is_augmented

    def task(self, config: TrialConfig) -> LearningTask:
        """Return what the network is trained for."""
        return self.data_and_backbone(config.image_size).task

    def labeled(self, config: TrialConfig, images: Images) -> LabeledInputs:
        """Return the network's inputs: cached features, or pixels if images are augmented or everything is trained."""
        targets = self.task(config).encoded(images)
        if not self.is_cached(config):
            return LabeledInputs(images.pixels, targets)
        shared = self.data_and_backbone(config.image_size)
        return LabeledInputs(self._features.get(shared.backbone, config.unfreeze_top, images), targets)

    @contextmanager
    def step(self, config: TrialConfig, state: TrainingState) -> Iterator[None]:
        """Let a training use a compiled step that earlier trials left, inside the block, where that is exact."""
        if not self._shares_step(config):
            yield
            return
        shape = state.network.input_shape[1:]
        with (
            self.steps.lent((shape, self._structure(config)), partial(self._step, config, shape)) as step,
            step.training(state, config.dropout),
        ):
            yield

    def _shares_step(self, config: TrialConfig) -> bool:
        """Return whether a trial's step may be another's: of the objective's own head on cached features."""
        is_plain = (
            self.settings.precision == FLOAT32 and self.settings.strategy == devices.SINGLE and not self.user_functions
        )
        is_head = config.mode == FROZEN and self.is_cached(config) and config.ema_momentum == 0
        return is_plain and is_head and keras.backend.backend() == "tensorflow"

    def _structure(self, config: TrialConfig) -> Hashable:
        """Return what the compiled step of a frozen trial has as constants; the rest is in variables and batches."""
        images = len(self.data_and_backbone(config.image_size).split.train)
        steps = len(bounds(images, config.batch_size, self._merges_single(config))) - 1
        is_constant = config.schedule == CONSTANT and config.warmup == 0  # else the rates of all steps are constants
        structure = replace(
            config,
            kernel_initializer="",
            bias_initializer="",
            lr_head=0.0 if is_constant else config.lr_head,
            batch_size=0 if is_constant else config.batch_size,
            dropout=float(config.dropout > 0),
        )
        return structure, steps_together(self.settings.steps_per_execution, steps)

    def _step(self, config: TrialConfig, shape: tuple[int, ...]) -> CompiledStep:
        rate = model.DropoutRate()
        network = self.network(config, shape, rate)
        (stage,) = self.stages(config, network)
        optimizer = stage.begin()
        optimizer.build(network.trainable_variables)
        return CompiledStep(network, optimizer, rate)

    def network(
        self, config: TrialConfig, shape: tuple[int, ...], dropout: model.DropoutRate | None = None
    ) -> keras.Model:
        """Return the network of a trial before training, for inputs (B, *shape) of `labeled`.

        All its layers are new or copies, and random generators start at the seed, so that it depends only on the
        configuration and the settings, whatever ran in this process before.
        """
        source = None if config.mode == SCRATCH else self.data_and_backbone(config.image_size)
        if source is not None:
            _ = source.backbone  # loads it now, as that may draw random numbers
        keras.utils.set_random_seed(self.settings.seed)
        below = self._untrained(config) if source is None else self._pretrained(config, source)
        head = self._head(config, dropout) if HEAD not in self.user_functions else partial(self._user_head, config)
        return model.network(shape, below, head, self.settings.seed, config.augmentation, config.rand_augment)

    def _user_head(self, config: TrialConfig, features: keras.KerasTensor) -> keras.KerasTensor:
        """Return the logits of the user's head, whose random numbers start at the seed."""
        keras.utils.set_random_seed(self.settings.seed)
        classes = len(self.data_and_backbone(config.image_size).split.train.classes)
        try:
            head = user_head.head_model(self.user_functions[HEAD], tuple(features.shape[1:]), classes, config.as_dict())
        except SetupError as error:  # the check of the study succeeded, so these parameters are the cause
            raise invalid(str(error)) from error
        return head(features)

    def _untrained(self, config: TrialConfig) -> list[model.Part]:
        size = config.image_size or self.settings.image_size
        norms = self._norms(config)
        assert norms is not None
        new = backbone.untrained(self.settings.backbone, size, norms, self._initializers(config))
        return [model.Part(new, is_inference=False)]

    def _pretrained(self, config: TrialConfig, source: DataAndBackbone) -> list[model.Part]:
        k = config.unfreeze_top
        top = source.backbone.top(k, self._norms(config))  # first: seeds that it draws don't depend on the cache
        below = [] if self.is_cached(config) else [model.Part(source.backbone.bottom_copy(k))]
        return below if top is None else [*below, model.Part(top, is_inference=False)]

    def _initializers(self, config: TrialConfig) -> InitializerFactory:
        seed = self.settings.seed
        return InitializerFactory(
            lambda i, is_depthwise: model.initializer(config.kernel_initializer, seed + 1000 + i, is_depthwise),
            lambda i: model.initializer(config.bias_initializer, seed + 3000 + i),
        )

    def _head(self, config: TrialConfig, dropout: model.DropoutRate | None) -> model.Head:
        images = self.data_and_backbone(config.image_size).split.train
        return model.Head(
            config.kernel_initializer, config.norm, config.groups, config.dropout, self.settings.head_width,
            len(images.classes), config.bias_initializer, images.shares, images.task, dropout,
        )  # fmt: skip

    def plan(self, config: TrialConfig) -> Plan:
        """Return the plan of the trial's training."""
        settings = self.settings
        shares = np.array(self.data_and_backbone(config.image_size).split.train.shares)
        weights = 1 / (len(shares) * shares) if config.class_weights == BALANCED else None
        return Plan(
            settings.epochs, config.batch_size, config.label_smoothing, settings.seed, settings.patience, weights,
            settings.steps_per_execution, settings.batch_threads, self.share, self._merges_single(config),
            config.mixup, settings.jit_compile, self.task(config),
        )  # fmt: skip

    def _merges_single(self, config: TrialConfig) -> bool:
        """Return whether a batch norm would pool the single value of a single image."""
        norms = self._norms(config) if config.mode == SCRATCH else None
        is_batch = config.norm == BATCH or (norms is not None and norms.norm == BATCH)
        return is_batch and self.share == 1 and positions(config.image_size or self.settings.image_size) == 1

    def stages(self, config: TrialConfig, network: keras.Model) -> list[TrainingStage]:
        """Return the stages of training.

        There are two if the head is first trained alone for its share of the epochs, and then with the blocks above the
        cut, all at the smaller rate.
        """
        epochs = self.settings.epochs
        lr_backbone = config.lr_head * config.lr_backbone_ratio
        if config.mode != TWO_STAGE or epochs == 1:
            is_tuned = config.unfreeze_top > 0
            whole = partial(self._begin, config, network, config.lr_head, lr_backbone if is_tuned else None, 0, epochs)
            return [TrainingStage(0, epochs, whole)]
        alone = min(epochs - 1, max(1, round(config.head_share * epochs)))
        return [
            TrainingStage(
                0, alone, partial(self._begin, config, network, config.lr_head, None, 0, alone, _top(network), False)
            ),
            TrainingStage(
                alone,
                epochs,
                partial(self._begin, config, network, lr_backbone, None, alone, epochs, _top(network), True),
            ),
        ]

    def _begin(
        self, config: TrialConfig, network: keras.Model, lr: float, lr_backbone: float | None, first: int, last: int,
        top: keras.Model | None = None, is_trained: bool = True,
    ) -> optimizer.GradientRecordingOptimizer:  # fmt: skip
        if top is not None:
            self._set_trained(config, top, is_trained)
        images = len(self.data_and_backbone(config.image_size).split.train)
        steps = (len(bounds(images, config.batch_size, self._merges_single(config))) - 1) * (last - first)
        if COMPILE not in self.user_functions:
            return optimizer.make(
                optimizer.Rates(
                    lr, lr_backbone, steps, config.schedule, config.warmup, config.weight_decay, config.clip_norm,
                    config.ema_momentum,
                )
            )  # fmt: skip
        try:
            return user_head.compiled_optimizer(
                self.user_functions[COMPILE], network, config.as_dict(), steps, config.clip_norm, config.ema_momentum
            )
        except SetupError as error:
            raise invalid(str(error)) from error

    def _set_trained(self, config: TrialConfig, top: keras.Model, is_trained: bool) -> None:
        """Train the part above the cut with stochastic depth, or freeze it without."""
        if is_trained:
            above = self.data_and_backbone(config.image_size).backbone.above(config.unfreeze_top)
            backbone.unfreeze(top)
            backbone.set_drop_rates(top, backbone.drop_rates(above))
        else:
            top.trainable = False
            backbone.set_drop_rates(top, {})

    def counts(self, config: TrialConfig, network: keras.Model) -> dict[str, float]:
        """Return the numbers of parameters of the whole network, including the part below the cache."""
        trainable = model.count(network.trainable_variables)
        cached = (
            self.data_and_backbone(config.image_size).bottom(config.unfreeze_top).weights
            if self.is_cached(config)
            else []
        )
        rest = model.count(network.weights) + model.count(cached) - trainable
        return {"trainable_parameters": float(trainable), "non_trainable_parameters": float(rest)}


def _top(network: keras.Model) -> keras.Model:
    """Return the part that is unfrozen."""
    parts = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return [part for part in parts if not part.name.startswith(model.HEAD)][-1]


def _why_constant(norm: str, feature_map: FeatureMap, config: TrialConfig, image_size: int) -> str:
    """Return the error message for a norm that pools a single value."""
    pooled = {BATCH: f"with batch_size {config.batch_size}", GROUP: f"with groups {config.groups}"}.get(norm, "")
    remedy = {BATCH: "batch_size to 2 or more", GROUP: "groups to fewer"}.get(norm, "norm to batch or none")
    return (
        f"the norm {norm!r}{pooled and ' ' + pooled} can't be used at image_size {image_size}: the feature map that "
        f"{feature_map.layer} normalizes has 1 position and {feature_map.width} channels, so each set that shares a "
        f"mean holds one number, which becomes 0 for every image; set {remedy}, or image_size to {2 * IMAGE_STEP} or "
        "more"
    )
