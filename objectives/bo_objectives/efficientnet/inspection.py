"""What there is in the data, said in a few lines before the first trial: classes, parts, copies, ignored files."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import data, sources
from bo_objectives.efficientnet.data import TEST, TRAIN, VALIDATION, Images, Remark, printable
from bo_objectives.efficientnet.decoding import Decoder
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")

MOST_CLASSES = 20
MOST_EXAMPLES = 3


def inspect(source: str, fold: int, image_size: int, decoder: Decoder) -> None:
    """Read every picture once and log what there is.

    Raises:
        SetupError: a picture can't be read, a class is too small, or a fold is asked for and validation is given.
    """
    shown = printable(source)
    try:
        images = sources.load(source, image_size, decoder)
    except OSError as error:
        raise SetupError(f"the images of {shown} can't be read or kept on disk ({error}); repair this") from error
    if fold and VALIDATION in images.given:
        raise SetupError(
            f"option fold is {fold}, and {shown} has a validation part of its own, which is used in every fold: leave "
            "fold at 0, or remove that part"
        )
    tell(source, fold, images)


def tell(source: str, fold: int, images: Images) -> None:
    """Log the classes, the images by part and class, copies, and what was ignored or assumed.

    Raises:
        SetupError: a class is too small.
    """
    try:
        data.check_classes(images.labels, images.classes, images.first, images.given)
    except SetupError as error:
        raise SetupError(f"{printable(source)}: {error}") from error
    places = data.split_indices(images.labels, fold, images.first, images.given)
    for level, text in [*_parts(source, fold, images, places), *images.remarks, *_copies(images)]:
        logger.log(level, "%s", text)


def _parts(source: str, fold: int, images: Images, places: dict[str, NDArray[np.int64]]) -> Iterator[Remark]:
    names = ", ".join(map(printable, images.classes[:MOST_CLASSES]))
    more = f" and {len(images.classes) - MOST_CLASSES} more" if len(images.classes) > MOST_CLASSES else ""
    yield (
        logging.INFO,
        f"data {printable(source)}: {len(images)} images of {len(images.classes)} classes: {names}{more}",
    )
    for part, chosen in places.items():
        how = "given" if part in images.given else f"split by class, fold {fold}" if part != TEST else "split by class"
        counts = np.bincount(images.labels[chosen], minlength=len(images.classes))
        yield logging.INFO, f"{part} ({how}): {len(chosen)} images: {_counted(images.classes, counts)}"


def _counted(classes: Sequence[str], counts: Iterable[int]) -> str:
    """By class; the range alone where there are many."""
    found = list(counts)
    if len(found) > MOST_CLASSES:
        return f"{min(found)} to {max(found)} of each class"
    return ", ".join(f"{printable(name)} {n}" for name, n in zip(classes, found, strict=True))


def _copies(images: Images) -> Iterator[Remark]:
    first = images.first
    copies = np.flatnonzero(first != np.arange(len(images)))
    if not len(copies):
        return
    told = f"{len(copies)} images are copies of others, equal in every pixel ({_examples(images, copies, first)})"
    yield logging.WARNING, f"{told}; a picture and its copies are always in one part of the split"
    contrary = copies[images.labels[copies] != images.labels[first[copies]]]
    if len(contrary):
        told = f"{len(contrary)} of these are in different classes ({_examples(images, contrary, first)})"
        yield logging.WARNING, f"{told}: one of the labels must be wrong; correct or remove them"
    for part, leaked in data.leaks(first, images.given).items():
        if len(leaked):
            later = "validation or test" if part == TRAIN else "test"
            told = f"LEAKAGE in the given split: {len(leaked)} images of {part} are in {later}, too"
            yield logging.WARNING, f"{told} ({_leaks(images, leaked)}); they are left out of {part}"


def _examples(images: Images, copies: NDArray[np.int64], first: NDArray[np.int64]) -> str:
    pairs = [f"{_name(images, first[i])} = {_name(images, i)}" for i in copies[:MOST_EXAMPLES]]
    return "; ".join(pairs) + ("; …" if len(copies) > MOST_EXAMPLES else "")


def _leaks(images: Images, leaked: NDArray[np.int64]) -> str:
    order = {part: i for i, part in enumerate(data.PARTS)}
    given = np.array([order[part] for part in images.given])
    pairs = []
    for i in leaked[:MOST_EXAMPLES]:
        same = np.flatnonzero(images.first == images.first[i])
        pairs.append(f"{_name(images, i)} = {_name(images, same[given[same].argmax()])}")
    return "; ".join(pairs) + ("; …" if len(leaked) > MOST_EXAMPLES else "")


def _name(images: Images, index: int) -> str:
    return printable(images.names[index]) if images.names else f"image {index}"
