"""The default search space, and the textbook configuration that a study is compared with."""

from collections.abc import Mapping

from bo_client import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Metric,
    SearchSpace,
    Value,
)

from bo_objectives.efficientnet.names import BATCH, FINE_TUNE, FROZEN, GLOROT_UNIFORM, GROUP, INITIALIZERS, MODES, NORMS

# What a beginner's tutorial takes: Glorot uniform, batch norm, Adam 1e-3 on a frozen backbone.
TEXTBOOK: Mapping[str, Value] = {
    "mode": FROZEN,
    "kernel_initializer": GLOROT_UNIFORM,
    "norm": BATCH,
    "lr_head": 1e-3,
    "dropout": 0.0,
    "batch_size": 32,
}

# Every parameter that can be tuned, and what it is where a configuration leaves it out.
FALLBACKS: Mapping[str, Value] = {
    **TEXTBOOK,
    "groups": 8,
    "lr_backbone_ratio": 0.1,
    "unfreeze_top": 2,
    "label_smoothing": 0.0,
}

METRICS = (
    Metric("val_loss", goal="minimize", unit="nats"),
    Metric("val_accuracy", role="information"),
    Metric("train_loss", role="information", unit="nats"),
    Metric("train_accuracy", role="information"),
    Metric("best_epoch", role="information"),
    Metric("trainable_parameters", role="information"),
    Metric("non_trainable_parameters", role="information"),
)


def default_space(head_width: int = 128) -> SearchSpace:
    """Initializer, normalization, the two learning rates, how much of the backbone is trained, and regularization.

    Group counts are powers of two from 2 that divide the head's width and leave two channels or more in a group; the
    norm "group" is left out where there are none. `label_smoothing` can be tuned too, in a space of one's own.
    """
    groups = [g for g in (2, 4, 8, 16, 32) if head_width % g == 0 and head_width // g >= 2]
    norms = NORMS if groups else tuple(norm for norm in NORMS if norm != GROUP)
    fine_tuned = Activation("mode", [FINE_TUNE])
    grouped = DiscreteParameter(
        "groups", groups, scale="log", default=8 if 8 in groups else None, activation=Activation("norm", [GROUP]),
        description="groups of channels that share statistics",
    )  # fmt: skip
    return SearchSpace([
        CategoricalParameter(
            "mode", MODES, default=FROZEN, description="frozen: only the head is trained; fine_tune: the top blocks too"
        ),
        CategoricalParameter(
            "kernel_initializer", INITIALIZERS, default=GLOROT_UNIFORM, description="of the head's kernels"
        ),
        CategoricalParameter("norm", norms, default=BATCH, description="normalization in the head"),
        *([grouped] if groups else []),
        FloatParameter("lr_head", 1e-4, 1e-2, scale="log", default=1e-3, description="Adam's learning rate, head"),
        FloatParameter(
            "lr_backbone_ratio", 1e-2, 1.0, scale="log", default=0.1, activation=fine_tuned,
            description="learning rate of the unfrozen blocks, divided by lr_head",
        ),
        IntParameter(
            "unfreeze_top", 1, 5, default=2, activation=fine_tuned, unit="blocks",
            description="MBConv blocks trained, from the top, with the final convolution",
        ),
        FloatParameter("dropout", 0.0, 0.7, default=0.0, description="fraction of the pooled features dropped"),
        DiscreteParameter("batch_size", [16, 32, 64], scale="log", default=32, unit="images"),
    ])  # fmt: skip
