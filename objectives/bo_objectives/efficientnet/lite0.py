"""EfficientNet-Lite0: B0 without squeeze-and-excitation, with ReLU6 (github.com/tensorflow/tpu, efficientnet/lite).

Layers have the names that Keras gives its own EfficientNets (block1a_dwconv, …), so that all are cut alike.
"""

from typing import NamedTuple

import keras

EPSILON = 1e-3  # of every batch normalization


class BlockGroup(NamedTuple):
    """A row of MBConv blocks; the first has the stride, the others are residual."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


STEM, TOP = 32, 1280
STAGES = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(2, 3, 2, 6, 24),
    BlockGroup(2, 5, 2, 6, 40),
    BlockGroup(3, 3, 2, 6, 80),
    BlockGroup(3, 5, 1, 6, 112),
    BlockGroup(4, 5, 2, 6, 192),
    BlockGroup(1, 3, 1, 6, 320),
)
BLOCKS = tuple(f"block{i}{'abcd'[j]}" for i, stage in enumerate(STAGES, 1) for j in range(stage.repeats))


def lite0(image_size: int) -> keras.Model:
    """Return the model from images (B, s, s, 3) to features (B, s/32, s/32, 1280).

    The images are preprocessed as (pixel - 127) / 128.
    """
    inputs = keras.Input((image_size, image_size, 3))
    x = keras.layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = _normalized(x, "stem")
    names = iter(BLOCKS)
    for group in STAGES:
        for repeat in range(group.repeats):
            x = _block(x, group, group.stride if repeat == 0 else 1, next(names))
    x = keras.layers.Conv2D(TOP, 1, use_bias=False, name="top_conv")(x)
    return keras.Model(inputs, _normalized(x, "top"), name="efficientnet_lite0")


def _block(inputs: keras.KerasTensor, group: BlockGroup, stride: int, name: str) -> keras.KerasTensor:
    width = inputs.shape[-1]
    x = inputs
    if group.expand > 1:
        x = keras.layers.Conv2D(width * group.expand, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalized(x, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        group.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )(x)
    x = _normalized(x, name)
    x = keras.layers.Conv2D(group.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    residual = stride == 1 and width == group.filters
    return keras.layers.Add(name=f"{name}_add")([x, inputs]) if residual else x


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(x)


def torch_names() -> dict[str, str]:
    """Return Keras layer → name in the PyTorch port's state dictionary, for every layer with weights."""
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
