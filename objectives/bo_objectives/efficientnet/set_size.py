"""How many numbers a normalization pools: the size of the set whose mean becomes 0 and whose variance becomes 1.

The set of one number becomes 0 whatever the number is, so such a norm lets nothing through (Wu & He 2018, section 3 of
arXiv:1803.08494, define the sets). No Keras here, so that a search space is made without loading it.
"""

from bo_objectives.efficientnet.names import BATCH, GROUP, IMAGE_STEP, INSTANCE, LAYER

FEWEST = 2


def set_size(norm: str, positions: int, width: int, groups: int, images: int) -> int | None:
    """Return how many numbers share a mean and a variance in training; None where nothing is normalized.

    Args:
        norm: one of `names.NORMS`.
        positions: height times width of the feature map.
        width: its channels.
        groups: of channels, for "group"; they divide the width.
        images: in a batch, for "batch".
    """
    sizes = {
        BATCH: images * positions,
        LAYER: positions * width,
        GROUP: positions * width // groups,
        INSTANCE: positions,
    }
    return sizes.get(norm)


def is_constant(norm: str, positions: int, width: int, groups: int, images: int) -> bool:
    """Return whether the norm makes every input 0, because it pools a single number."""
    size = set_size(norm, positions, width, groups, images)
    return size is not None and size < FEWEST


def positions(image_size: int) -> int:
    """Return height times width of a backbone's last feature map."""
    return (image_size // IMAGE_STEP) ** 2
