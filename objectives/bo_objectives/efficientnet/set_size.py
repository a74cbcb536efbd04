"""The number of values that a normalization pools, whose mean becomes 0 and whose variance becomes 1.

A single value always becomes 0, so such a norm blocks all information (Wu & He 2018, section 3 of arXiv:1803.08494,
define the sets). This module does not need Keras, so that a search space is created without importing it.
"""

from bo_objectives.efficientnet.names import BATCH, GROUP, IMAGE_STEP, INSTANCE, LAYER

MIN_SIZE = 2


def set_size(norm: str, positions: int, width: int, groups: int, images: int) -> int | None:
    """Return how many values share a mean and a variance in training; None without normalization.

    Args:
        norm: one of `names.NORMS`.
        positions: height times width of the feature map.
        width: number of channels.
        groups: number of groups of channels, for "group"; divides the width.
        images: images in a batch, for "batch".
    """
    sizes = {
        BATCH: images * positions,
        LAYER: positions * width,
        GROUP: positions * width // groups,
        INSTANCE: positions,
    }
    return sizes.get(norm)


def is_constant(norm: str, positions: int, width: int, groups: int, images: int) -> bool:
    """Return whether the norm always outputs 0, as it pools a single value."""
    size = set_size(norm, positions, width, groups, images)
    return size is not None and size < MIN_SIZE


def positions(image_size: int) -> int:
    """Return height times width of a backbone's last feature map."""
    return (image_size // IMAGE_STEP) ** 2
