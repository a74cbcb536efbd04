"""EfficientNet-Lite0: B0 without squeeze-and-excitation, with ReLU6 (github.com/tensorflow/tpu, efficientnet/lite).

Layers bear the names that Keras gives its own EfficientNets (block1a_dwconv, …), so that all are cut alike.
"""

from typing import NamedTuple

import keras

EPSILON = 1e-3  # of every batch normalization


class Stage(NamedTuple):
    """A row of MBConv blocks; the first has the stride, the others are residual."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


STEM, TOP = 32, 1280
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
BLOCKS = tuple(f"block{i}{'abcd'[j]}" for i, stage in enumerate(STAGES, 1) for j in range(stage.repeats))


def lite0(image_size: int) -> keras.Model:
    """Preprocessed images (B, s, s, 3), that is (pixel - 127) / 128, to features (B, s/32, s/32, 1280)."""
    inputs = keras.Input((image_size, image_size, 3))
    x = keras.layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = _normalized(x, "stem")
    names = iter(BLOCKS)
    for stage in STAGES:
        for repeat in range(stage.repeats):
            x = _block(x, stage, stage.stride if repeat == 0 else 1, next(names))
    x = keras.layers.Conv2D(TOP, 1, use_bias=False, name="top_conv")(x)
    return keras.Model(inputs, _normalized(x, "top"), name="efficientnet_lite0")


def _block(inputs: keras.KerasTensor, stage: Stage, stride: int, name: str) -> keras.KerasTensor:
    width = inputs.shape[-1]
    x = inputs
    if stage.expand > 1:
        x = keras.layers.Conv2D(width * stage.expand, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalized(x, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )(x)
    x = _normalized(x, name)
    x = keras.layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    residual = stride == 1 and width == stage.filters
    return keras.layers.Add(name=f"{name}_add")([x, inputs]) if residual else x


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(x)


def torch_names() -> dict[str, str]:
    """Keras layer → name in the PyTorch port's state dictionary, for every layer that holds weights."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    for i, block in enumerate(BLOCKS):
        if i > 0:
            names |= {f"{block}_expand_conv": f"_blocks.{i}._expand_conv", f"{block}_expand_bn": f"_blocks.{i}._bn0"}
        names |= {
            f"{block}_dwconv": f"_blocks.{i}._depthwise_conv",
            f"{block}_bn": f"_blocks.{i}._bn1",
            f"{block}_project_conv": f"_blocks.{i}._project_conv",
            f"{block}_project_bn": f"_blocks.{i}._bn2",
        }
    return names
