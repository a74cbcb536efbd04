"""A summary of the data, logged before the first trial: classes, parts, copies, ignored files."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.data import TEST, TRAIN, VALIDATION, Images, Remark
from bo_objectives.efficientnet.decoding import Decoder
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.efficientnet.targets import USUAL, TargetSpec
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")

BY = {SINGLE_LABEL: "class", MULTI_LABEL: "label", REGRESSION: "range of numbers"}
"""What the split keeps about equal in every part."""
MAX_CLASSES = 20
MAX_EXAMPLES = 3


def inspect(source: str, fold: int, image_size: int, decoder: Decoder, spec: TargetSpec = USUAL) -> None:
    """Read every image once and log a summary.

    Raises:
        SetupError: as in `loaded` and `remarks`.
    """
    log_summary(source, fold, loaded(source, fold, image_size, decoder, spec))


def loaded(source: str, fold: int, image_size: int, decoder: Decoder, spec: TargetSpec = USUAL) -> Images:
    """Read every image.

    Args:
        source: the image source.
        fold: the fold that validates.
        image_size: side in pixels.
        decoder: decodes the images.
        spec: what is predicted, and from which columns.

    Raises:
        SetupError: an image cannot be read, a class is too small, or a fold is set although validation is given.
    """
    shown = printable(source)
    try:
        images = data_sources.load(source, image_size, decoder, spec)
    except OSError as error:
        raise SetupError(f"the images of {shown} can't be read or kept on disk ({error}); repair this") from error
    if fold and VALIDATION in images.given_parts:
        raise SetupError(
            f"option fold is {fold}, and {shown} has a validation part of its own, which is used in every fold: leave "
            "fold at 0, or remove that part"
        )
    return images


def log_summary(source: str, fold: int, images: Images) -> None:
    """Log the remarks.

    Raises:
        SetupError: as in `remarks`.
    """
    for level, text in remarks(source, fold, images):
        logger.log(level, "%s", text)


def remarks(source: str, fold: int, images: Images) -> list[Remark]:
    """Return the classes, the images by part and class, groups, copies, and what was ignored or assumed.

    Raises:
        SetupError: a class has too few images or groups.
    """
    try:
        places = data.places_of(images, fold)
    except SetupError as error:
        raise SetupError(f"{printable(source)}: {error}") from error
    return [*_parts(source, fold, images, places), *_groups(images), *images.remarks, *_copies(images)]


def _parts(source: str, fold: int, images: Images, places: dict[str, NDArray[np.int64]]) -> Iterator[Remark]:
    names = ", ".join(map(printable, images.classes[:MAX_CLASSES]))
    more = f" and {len(images.classes) - MAX_CLASSES} more" if len(images.classes) > MAX_CLASSES else ""
    yield logging.INFO, f"data {printable(source)}: {len(images)} images {_outputs(images)}: {names}{more}"
    if images.task == MULTI_LABEL:
        yield from _labels(images)
    for part, chosen in places.items():
        how = (
            "given"
            if part in images.given_parts
            else f"split by {'group and ' * bool(images.groups)}{BY[images.task]}"
            + (f", fold {fold}" if part != TEST else "")
        )
        said = _counted(images.classes, images.counts(chosen)) if images.task != REGRESSION else _ranges(images, chosen)
        yield logging.INFO, f"{part} ({how}): {len(chosen)} images: {said}"


def _outputs(images: Images) -> str:
    """Return how many classes, labels or numbers there are, in words."""
    count = len(images.classes)
    if images.task == REGRESSION:
        return f"with {count} number{'' if count == 1 else 's'}"
    return f"with {count} labels" if images.task == MULTI_LABEL else f"of {count} classes"


def _labels(images: Images) -> Iterator[Remark]:
    """Yield the labels of an image, and what is the same for all images."""
    assert images.targets is not None
    each = images.targets.sum(1)
    message = f"an image has {int(each.min())} to {int(each.max())} labels, {each.mean():.2f} in the mean"
    yield logging.INFO, f"{message}; {int((each == 0).sum())} images have none"
    everywhere = [name for name, share in zip(images.classes, images.shares, strict=True) if share == 1]
    if everywhere:
        yield logging.WARNING, f"every image has the label {join_names(everywhere)}: nothing can be learned of it"


def _ranges(images: Images, rows: NDArray[np.int64]) -> str:
    """Return the range, mean and standard deviation of each number in some images."""
    assert images.targets is not None
    values = images.targets[rows]
    if not len(values):
        return "none"
    texts = [
        f"{printable(name)} {column.min():.4g} to {column.max():.4g}, mean {column.mean():.4g}, standard deviation "
        f"{column.std():.4g}"
        for name, column in zip(images.classes[:MAX_CLASSES], values.T, strict=False)
    ]
    return "; ".join(texts)


def _groups(images: Images) -> Iterator[Remark]:
    if not images.groups:
        return
    counts = Counter(images.groups)
    (largest, count), *_ = counts.most_common(1)
    message = f"{len(counts)} groups, each in one part of the split; the largest is {printable(largest)}"
    yield logging.INFO, f"{message} with {count} of {len(images)} images"


def _counted(classes: Sequence[str], counts: Iterable[int]) -> str:
    """Return the counts by class, or only their range if there are many."""
    numbers = list(counts)
    if len(numbers) > MAX_CLASSES:
        return f"{min(numbers)} to {max(numbers)} of each class"
    return ", ".join(f"{printable(name)} {n}" for name, n in zip(classes, numbers, strict=True))


def _copies(images: Images) -> Iterator[Remark]:
    first = images.first
    copies = np.flatnonzero(first != np.arange(len(images)))
    if not len(copies):
        return
    message = f"{len(copies)} images are copies of others, equal in every pixel ({_examples(images, copies, first)})"
    yield logging.WARNING, f"{message}; a picture and its copies are always in one part of the split"
    said = images.labels[:, None] if images.targets is None else images.targets
    mislabeled = copies[(said[copies] != said[first[copies]]).any(-1)]
    if len(mislabeled):
        kind = data_sources.KINDS[images.task]
        where = "in different classes" if images.targets is None else f"given different {kind}"
        message = f"{len(mislabeled)} of these are {where} ({_examples(images, mislabeled, first)})"
        what = "labels" if images.task != REGRESSION else kind
        yield logging.WARNING, f"{message}: one of the {what} must be wrong; correct or remove them"
    if images.groups:
        crossing = copies[[images.groups[i] != images.groups[first[i]] for i in copies]]
        if len(crossing):
            message = f"{len(crossing)} of these are in different groups ({_examples(images, crossing, first)})"
            yield logging.WARNING, f"{message}: such groups stay together, except in a given split"
    for part, leaked in data.leaks(first, images.given_parts).items():
        if len(leaked):
            later = "validation or test" if part == TRAIN else "test"
            message = f"LEAKAGE in the given split: {len(leaked)} images of {part} are in {later}, too"
            yield logging.WARNING, f"{message} ({_leaks(images, leaked)}); they are left out of {part}"


def _examples(images: Images, copies: NDArray[np.int64], first: NDArray[np.int64]) -> str:
    pairs = [f"{_name(images, first[i])} = {_name(images, i)}" for i in copies[:MAX_EXAMPLES]]
    return "; ".join(pairs) + ("; …" if len(copies) > MAX_EXAMPLES else "")


def _leaks(images: Images, leaked: NDArray[np.int64]) -> str:
    order = {part: i for i, part in enumerate(data.PARTS)}
    given_parts = np.array([order[part] for part in images.given_parts])
    pairs = []
    for i in leaked[:MAX_EXAMPLES]:
        same = np.flatnonzero(images.first == images.first[i])
        pairs.append(f"{_name(images, i)} = {_name(images, same[given_parts[same].argmax()])}")
    return "; ".join(pairs) + ("; …" if len(leaked) > MAX_EXAMPLES else "")


def _name(images: Images, index: int) -> str:
    return printable(images.names[index]) if images.names else f"image {index}"
