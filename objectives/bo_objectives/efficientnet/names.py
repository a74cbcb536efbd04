"""The names that options and parameters use; no Keras here, so that a study is defined without loading it."""

IMAGENET, RANDOM = "imagenet", "random"  # weights

LITE0 = "efficientnet_lite0"
BACKBONES = (
    LITE0,
    *(f"efficientnet_b{i}" for i in range(8)),
    *(f"efficientnet_v2_b{i}" for i in range(4)),
    *(f"efficientnet_v2_{size}" for size in "sml"),
)

GLOROT_UNIFORM = "glorot_uniform"
INITIALIZERS = (
    GLOROT_UNIFORM,
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "normal_0.01",
    "normal_1",
    "zeros",
)

NONE, BATCH, LAYER, INSTANCE, GROUP = NORMS = ("none", "batch", "layer", "instance", "group")

FROZEN, FINE_TUNE = MODES = ("frozen", "fine_tune")
