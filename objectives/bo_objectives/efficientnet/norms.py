"""Normalizations of a feature map (B, h, w, C), all with a scale and an offset for each channel.

Layer, group and instance normalization differ only in how many channels share statistics (Wu & He 2018, "Group
Normalization", arXiv:1803.08494): all C, C/groups, or one; each over the whole map of one image.
"""

import keras

from bo_objectives.efficientnet import names
from bo_objectives.efficientnet.errors import SetupError

# Keras's 0.99 averages over hundreds of steps; a small data set has that many in a whole training.
BATCH_MOMENTUM = 0.9
EPSILON = 1e-3


def norm_layer(norm: str, groups: int, width: int, name: str) -> keras.Layer | None:
    """The layer for a map of `width` channels; None for "none". `groups` counts for "group" alone.

    Raises:
        SetupError: an unknown norm, or groups that don't divide the width.
    """
    if norm == names.NONE:
        return None
    if norm == names.BATCH:
        return keras.layers.BatchNormalization(momentum=BATCH_MOMENTUM, epsilon=EPSILON, name=name)
    shared = {names.LAYER: 1, names.GROUP: groups, names.INSTANCE: width}.get(norm)
    if shared is None:
        raise SetupError(f"norm is {norm!r}; it must be one of {', '.join(names.NORMS)}")
    if shared < 1 or width % shared:
        raise SetupError(f"groups is {groups}, which doesn't divide the head's {width} channels; give a divisor")
    return keras.layers.GroupNormalization(groups=shared, epsilon=EPSILON, name=name)
