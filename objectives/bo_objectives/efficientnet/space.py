"""The search space: the default, the full one, and the textbook configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bo_client import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    ForbiddenCombination,
    IntParameter,
    Metric,
    Parameter,
    SearchSpace,
    Value,
)

from bo_objectives.efficientnet.names import (
    BALANCED,
    BATCH,
    BIAS_INITIALIZERS,
    CLASS_WEIGHTS,
    COSINE,
    FINE_TUNE,
    FROZEN,
    GLOROT_UNIFORM,
    GROUP,
    HEAD_ONLY,
    INITIALIZERS,
    MODES,
    MULTI_LABEL,
    NORM_SCOPES,
    NORMS,
    PRIOR,
    REGRESSION,
    SCHEDULES,
    SCRATCH,
    SINGLE_LABEL,
    TWO_STAGE,
)
from bo_objectives.efficientnet.set_size import is_constant, positions

# What a beginner's tutorial takes: Glorot uniform, batch norm, Adam 1e-3 on a frozen backbone.
BASELINE: Mapping[str, Value] = {
    "mode": FROZEN,
    "kernel_initializer": GLOROT_UNIFORM,
    "norm": BATCH,
    "lr_head": 1e-3,
    "dropout": 0.0,
    "batch_size": 32,
}

# Every parameter that can be tuned, and what it is where a configuration leaves it out.
FALLBACKS: Mapping[str, Value] = {
    **BASELINE,
    "bias_initializer": "zeros",
    "groups": 8,
    "norm_scope": HEAD_ONLY,
    "lr_backbone_ratio": 0.1,
    "unfreeze_top": 2,
    "head_share": 0.3,
    "schedule": "constant",
    "warmup": 0.0,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "uniform",
    "augmentation": 0.0,
    "image_size": 0,
    "rand_augment": 0.0,
    "mixup": 0.0,
    "ema_momentum": 0.0,
}

# The unit of the loss, the further metric of an epoch, and those of the best epoch.
_MEASURES = {
    SINGLE_LABEL: ("nats", "accuracy", ()),
    MULTI_LABEL: ("nats", "f1", ("average_precision",)),
    REGRESSION: ("", "mae", ("rmse", "r2")),
}


def metrics_of(task: str) -> tuple[Metric, ...]:
    """Return the metrics of a task; the validation loss is the one to minimize."""
    unit, each, final = _MEASURES[task]
    return (
        Metric("val_loss", goal="minimize", unit=unit),
        *(Metric(f"val_{name}", role="information") for name in (each, *final)),
        Metric("train_loss", role="information", unit=unit),
        Metric(f"train_{each}", role="information"),
        Metric("best_epoch", role="information"),
        Metric("trainable_parameters", role="information"),
        Metric("non_trainable_parameters", role="information"),
    )


METRICS = metrics_of(SINGLE_LABEL)

# Parameters and values that have no meaning for a task.
WITHOUT: Mapping[str, Mapping[str, Callable[[Value], bool]]] = {
    SINGLE_LABEL: {},
    MULTI_LABEL: {"class_weights": lambda value: value == BALANCED},
    REGRESSION: {
        "class_weights": lambda value: value == BALANCED,
        "label_smoothing": lambda value: value != 0,
        "bias_initializer": lambda value: value == PRIOR,
    },
}


def for_task(space: SearchSpace, task: str) -> SearchSpace:
    """Return a space without the parameters and values that have no meaning for a task."""
    without = WITHOUT[task]
    kept = [_usable(parameter, without) for parameter in space.parameters]
    return SearchSpace([parameter for parameter in kept if parameter is not None], space.constraints)


def _usable(parameter: Parameter, without: Mapping[str, Callable[[Value], bool]]) -> Parameter | None:
    """Return a parameter without values that a task lacks; None if at most one is left."""
    is_left_out = without.get(parameter.name)
    if is_left_out is None:
        return parameter
    if not isinstance(parameter, CategoricalParameter):
        return None
    values = [value for value in parameter.values if not is_left_out(value)]
    return replace(parameter, values=values) if len(values) > 1 else None


CORE_MODES = (FROZEN, FINE_TUNE)
PRETRAINED_TRAINED = (FINE_TUNE, TWO_STAGE)
BATCH_SIZES = (16, 32, 64)


def default_space(head_width: int = 128, image_size: int = 96) -> SearchSpace:
    """Return the default space.

    It contains initializer, normalization, learning rates, trained blocks of the backbone, and regularization. Group
    counts are powers of two from 2 that divide the head's width and leave at least two channels in a group; the norm
    "group" is omitted if there are none. A norm that pools a single value is omitted too: "instance" at 32 pixels.
    Other parameters can be pinned, or tuned in a custom space.

    Args:
        head_width: channels of the head.
        image_size: side in pixels.
    """
    layers = _layers(head_width, [image_size])
    return SearchSpace([_mode(CORE_MODES), *layers, *_rates(CORE_MODES), *_regularization()])


def full_space(head_width: int = 128, image_sizes: Sequence[int] = (), image_size: int = 96) -> SearchSpace:
    """Return the space of all parameters.

    `image_size` is a parameter if there are at least two sizes; a norm that pools a single value at some of them is
    forbidden in combination with those.

    Args:
        head_width: channels of the head.
        image_sizes: sides in pixels to choose from.
        image_size: side in pixels without a choice.
    """
    scratch = Activation("mode", [SCRATCH])
    chosen = image_sizes if len(image_sizes) > 1 else [image_size]
    forbidden = [
        ForbiddenCombination({"norm": norm, "image_size": side}, f"the feature map at {side} pixels has one position")
        for norm in _norms(head_width, chosen)
        for side in chosen
        if _is_constant_norm(norm, head_width, side)
    ]
    sizes = [DiscreteParameter("image_size", image_sizes, unit="pixels", description="side of the images")]
    return SearchSpace([
        _mode(MODES),
        *_layers(head_width, chosen),
        CategoricalParameter(
            "bias_initializer", BIAS_INITIALIZERS, default="zeros",
            description="of the head's biases; prior: the classifier begins with how often each class occurs",
        ),
        CategoricalParameter(
            "norm_scope", NORM_SCOPES, default=HEAD_ONLY, activation=scratch,
            description="network: the norm is that of the backbone as well",
        ),
        *_rates(MODES),
        FloatParameter(
            "head_share", 0.1, 0.7, default=0.3, activation=Activation("mode", [TWO_STAGE]),
            description="share of the epochs in which the head is trained alone",
        ),
        CategoricalParameter("schedule", SCHEDULES, default=COSINE, description="of the learning rates, by step"),
        FloatParameter("warmup", 0.0, 0.3, default=0.1, description="share of the steps in which rates rise from 0"),
        *_regularization(),
        FloatParameter(
            "weight_decay", 1e-6, 0.1, scale="log", default=1e-4, description="decoupled, of kernels, times the rate"
        ),
        FloatParameter("label_smoothing", 0.0, 0.3, default=0.1, description="share of the label spread over classes"),
        FloatParameter("clip_norm", 0.1, 10.0, scale="log", default=1.0, description="largest norm of the gradient"),
        CategoricalParameter("class_weights", CLASS_WEIGHTS, default="uniform", description="of the training loss"),
        FloatParameter("augmentation", 0.0, 1.0, default=0.0, description="strength of flip, rotation, zoom, contrast"),
        *(sizes if len(image_sizes) > 1 else []),
    ], forbidden)  # fmt: skip


def whole_space(head_width: int = 128, image_sizes: Sequence[int] = (), image_size: int = 96) -> SearchSpace:
    """Return `full_space` and the parameters that are tuned only on request."""
    full = full_space(head_width, image_sizes, image_size)
    requested = [
        FloatParameter("rand_augment", 0.0, 1.0, default=0.0, description="strength of RandAugment"),
        FloatParameter("mixup", 0.0, 1.0, default=0.0, description="alpha of mixup; 0 for none"),
        FloatParameter(
            "ema_momentum", 0.0, 0.9999, default=0.0,
            description="momentum of the weights' moving averages, which are what is evaluated; 0 for none",
        ),
    ]  # fmt: skip
    return SearchSpace([*full.parameters, *requested], full.constraints)


def _mode(modes: tuple[str, ...]) -> Parameter:
    descriptions = {
        FROZEN: "only the head is trained",
        FINE_TUNE: "the top blocks too",
        TWO_STAGE: "first the head, then both at a smaller rate",
        SCRATCH: "everything, from random weights",
    }
    return CategoricalParameter(
        "mode", modes, default=FROZEN, description="; ".join(f"{mode}: {descriptions[mode]}" for mode in modes)
    )


def _groups(head_width: int) -> list[int]:
    return [g for g in (2, 4, 8, 16, 32) if head_width % g == 0 and head_width // g >= 2]


def _norms(head_width: int, image_sizes: Sequence[int]) -> list[str]:
    """Return the norms that are usable at one of the sizes at least."""
    candidates = [norm for norm in NORMS if norm != GROUP or _groups(head_width)]
    return [n for n in candidates if not all(_is_constant_norm(n, head_width, side) for side in image_sizes)]


def _is_constant_norm(norm: str, head_width: int, image_size: int) -> bool:
    """Return whether the head's norm would pool a single value, whatever the group count and the batch size."""
    most_groups, fewest_images = max(_groups(head_width), default=1), min(BATCH_SIZES)
    return is_constant(norm, positions(image_size), head_width, most_groups, fewest_images)


def _layers(head_width: int, image_sizes: Sequence[int]) -> list[Parameter]:
    groups, norms = _groups(head_width), _norms(head_width, image_sizes)
    grouped = DiscreteParameter(
        "groups", groups, scale="log", default=8 if 8 in groups else None, activation=Activation("norm", [GROUP]),
        description="groups of channels that share statistics",
    )  # fmt: skip
    return [
        CategoricalParameter(
            "kernel_initializer", INITIALIZERS, default=GLOROT_UNIFORM, description="of the head's kernels"
        ),
        CategoricalParameter("norm", norms, default=BATCH, description="normalization in the head"),
        *([grouped] if groups else []),
    ]


def _rates(modes: tuple[str, ...]) -> list[Parameter]:
    trained = Activation("mode", [mode for mode in PRETRAINED_TRAINED if mode in modes])
    return [
        FloatParameter("lr_head", 1e-4, 1e-2, scale="log", default=1e-3, description="Adam's learning rate, head"),
        FloatParameter(
            "lr_backbone_ratio", 1e-2, 1.0, scale="log", default=0.1, activation=trained,
            description="learning rate of the unfrozen blocks, divided by lr_head",
        ),
        IntParameter(
            "unfreeze_top", 1, 5, default=2, activation=trained, unit="blocks",
            description="MBConv blocks trained, from the top, with the final convolution",
        ),
    ]  # fmt: skip


def _regularization() -> list[Parameter]:
    return [
        FloatParameter("dropout", 0.0, 0.7, default=0.0, description="fraction of the pooled features dropped"),
        DiscreteParameter("batch_size", BATCH_SIZES, scale="log", default=32, unit="images"),
    ]
