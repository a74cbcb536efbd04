"""The names of options and parameters, without Keras, so that a study is defined without importing it."""

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

PRIOR = "prior"
BIAS_INITIALIZERS = ("zeros", "ones", "normal_0.01", PRIOR)

NONE, BATCH, LAYER, INSTANCE, GROUP = NORMS = ("none", "batch", "layer", "instance", "group")
HEAD_ONLY, NETWORK = NORM_SCOPES = ("head", "network")

FROZEN, FINE_TUNE, TWO_STAGE, SCRATCH = MODES = ("frozen", "fine_tune", "two_stage", "scratch")

CONSTANT, COSINE = SCHEDULES = ("constant", "cosine")
UNIFORM, BALANCED = CLASS_WEIGHTS = ("uniform", "balanced")

SINGLE_LABEL, MULTI_LABEL, REGRESSION = TASKS = ("single-label", "multi-label", "regression")

IMAGE_STEP = 32  # a backbone halves the image five times
