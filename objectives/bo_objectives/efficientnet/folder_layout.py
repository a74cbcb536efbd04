"""Images in folders: which subfolders are classes, and which are parts of a given split.

Three layouts are supported, each also one or more folders deeper: CLASS/IMAGE; PART/CLASS/IMAGE, if every subfolder is
named like a part of a split (train, validation, test, and usual synonyms) and the parts share class names; and
CLASS/PART/IMAGE. Images may be in subfolders of a class. Hidden files are skipped.
"""

import logging
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bo_objectives.efficientnet.data import TEST, TRAIN, VALIDATION, Remark
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.efficientnet.rgb import SUFFIXES, is_image
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")

LAYOUTS = (
    "give a folder that has one subfolder of images for each class, or subfolders train, validation and test (or "
    "train and one of the others) that each have these"
)
_RENAME = f"{LAYOUTS}; if these are class names, rename them"
HIDDEN = {
    "__macosx", "__pycache__", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "lost+found",
    "system volume information", "thumbs.db", "desktop.ini",
}  # fmt: skip
"""Lower-case names of files that systems create, besides names with a leading dot."""
PART_NAMES = {
    TRAIN: r"train(ing)?|trn|tr",
    VALIDATION: r"val(id(ation|ate)?)?|va|dev|eval(uation)?",
    TEST: r"test(ing)?|tst|te|hold ?out|held ?out",
}
PART_SUFFIXES = r"( ?(set|data ?set|data|images?|imgs?|split|folder|\d{4}))*"
"""Words that may follow part names, as in `training_set` and `val2017`."""


@dataclass(frozen=True)
class Folder:
    """The content of a folder, without hidden files."""

    path: Path
    folders: tuple["Folder", ...]
    images: tuple[Path, ...]
    """Images directly in the folder."""
    ignored: Counter[str]
    """Files that are not images, by extension, directly in the folder."""
    hidden: int

    @property
    def name(self) -> str:
        """Name, normalized; undecodable bytes are replaced."""
        return unicodedata.normalize("NFC", os.fsencode(self.path.name).decode("utf-8", "replace"))

    @property
    def shown(self) -> str:
        """The path for messages."""
        return printable(str(self.path))

    def all(self) -> Iterator["Folder"]:
        """Yield the folder and all its subfolders."""
        yield self
        for folder in self.folders:
            yield from folder.all()

    def all_images(self) -> list[Path]:
        """Return the images at any depth, sorted."""
        return sorted(path for folder in self.all() for path in folder.images)

    @property
    def has_images(self) -> bool:
        """Whether there are images at any depth."""
        return any(folder.images for folder in self.all())

    @property
    def filled(self) -> tuple["Folder", ...]:
        """Subfolders with images at any depth."""
        return tuple(folder for folder in self.folders if folder.has_images)


@dataclass(frozen=True)
class Layout:
    """Classes and their images, by part of the split."""

    root: Path
    parts: dict[str, dict[str, list[Path]]]
    """Part → class → images; a single part, "", without a given split."""
    remarks: tuple[Remark, ...] = ()
    """Assumptions and omissions."""

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({name for classes in self.parts.values() for name in classes}))

    def images(self) -> list[tuple[str, str, Path]]:
        """Return (part, class, image) in an order that does not depend on the machine."""
        return [
            (part, name, path)
            for part, classes in self.parts.items()
            for name, paths in sorted(classes.items())
            for path in paths
        ]


def find(path: Path) -> Layout:
    """Find the classes, and a given split, without decoding images.

    Raises:
        SetupError: the layout is not supported; the message says what was found.
    """
    top = _scan(path, ())
    root = _inner(top)
    given_split = _given_split(root)
    parts = {"": _classes(root)} if given_split is None else given_split
    return Layout(
        root.path, parts, tuple(_assumption_remarks(top, root, parts)) + tuple(_omission_remarks(top, root, parts))
    )


def _scan(path: Path, above: tuple[tuple[int, int], ...]) -> Folder:
    """Scan a folder. Links are followed, except links to a folder above."""
    try:
        status = path.stat()
        here = (*above, (status.st_dev, status.st_ino))
        entries = sorted(path.iterdir())
    except OSError as error:
        raise SetupError(
            f"{printable(str(path))} can't be read ({error.strerror}); repair it, or give another folder"
        ) from error
    shown = [entry for entry in entries if not _is_hidden(entry.name)]
    folders, images, ignored = [], [], Counter[str]()
    for entry in shown:
        if entry.is_dir():
            if (target := entry.stat()) and (target.st_dev, target.st_ino) in here:
                ignored["links to a folder above"] += 1
            else:
                folders.append(_scan(entry, here))
        elif not entry.is_file():
            ignored["broken links"] += 1
        elif entry.suffix.lower() in SUFFIXES or (not entry.suffix and is_image(entry)):
            images.append(entry)
        else:
            ignored[printable(entry.suffix.lower()) or "without an ending"] += 1
    return Folder(path, tuple(folders), tuple(images), ignored, len(entries) - len(shown))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN


def _inner(folder: Folder) -> Folder:
    """Return the folder with the classes or parts, descending through folders that contain only one folder."""
    while len(folder.folders) == 1 and not folder.images and folder.folders[0].filled and not folder.folders[0].images:
        folder = folder.folders[0]
    return folder


def part_of(name: str, root: Folder) -> str:
    """Return the part that a subfolder's name means, without the common prefix of all names; "" for none."""
    names = [folder.name for folder in root.folders]
    common = os.path.commonprefix(names) if len(names) > 1 else ""  # noqa: RUF071  by character
    prefix = re.match(r".*[_\-. ]|", common, re.DOTALL)
    return part_named(name[len(prefix[0]) if prefix else 0 :])


def part_named(name: str) -> str:
    """Return the part of a split that a name means; "" for none."""
    words = re.sub(r"[_\-. ]+", " ", name.lower()).strip()
    words = re.sub(r"^\d+ ", "", words)  # 1_train, 2_test
    return next((part for part, form in PART_NAMES.items() if re.fullmatch(f"({form}){PART_SUFFIXES}", words)), "")


def parts_of_splits(splits: Sequence[str]) -> dict[str, str]:
    """Return split → part for the splits of a published data set; empty without a usable given split."""
    parts = {split: part for split in splits if (part := part_named(split))}
    if TRAIN not in parts.values() or len(set(parts.values())) < 2 or len(set(parts.values())) < len(parts):
        return {}
    rest = sorted(set(splits) - set(parts))
    if rest:
        logger.warning("ignored the splits %s, which are neither train nor validation nor test", join_names(rest))
    return parts


def _named(root: Folder) -> tuple[dict[str, list[Folder]], list[Folder]]:
    """Return the subfolders by the part that their name means, and the others that contain images."""
    named: dict[str, list[Folder]] = defaultdict(list)
    for folder in root.folders:
        named[part_of(folder.name, root)].append(folder)
    others = [folder for folder in named.pop("", []) if folder.has_images]
    return dict(named), others


def _given_split(root: Folder) -> dict[str, dict[str, list[Path]]] | None:
    """Return the given split; None if the subfolders are classes."""
    named, others = _named(root)
    if not named:
        return _given_split_by_class(root)
    if others and not _looks_split(named, others):
        return None
    if others:
        parts, beside = (
            join_names(f.name for folders in named.values() for f in folders),
            join_names(f.name for f in others),
        )
        raise SetupError(
            f"{root.shown} has {parts}, named like parts of a split, beside {beside}: move away or rename what isn't "
            f"one; {LAYOUTS}"
        )
    return _parts(root, named)


def _given_split_by_class(root: Folder) -> dict[str, dict[str, list[Path]]] | None:
    """Return the given split of the layout CLASS/PART/IMAGE; None for another layout."""
    parts: dict[str, dict[str, list[Path]]] = {}
    for folder in root.filled:
        named, others = _named(folder)
        if folder.images or others or TRAIN not in named or any(len(folders) > 1 for folders in named.values()):
            return None
        for part, (inner,) in named.items():
            if inner.has_images:
                parts.setdefault(part, {})[folder.name] = inner.all_images()
    is_split = len(parts) > 1 and set(parts.get(TRAIN, {})) == {folder.name for folder in root.folders}
    return {part: parts[part] for part in (TRAIN, VALIDATION, TEST) if part in parts} if is_split else None


def _looks_split(named: dict[str, list[Folder]], others: list[Folder]) -> bool:
    """Return whether folders named like parts are parts, although there are other folders with images."""
    all_named = [folder for folders in named.values() for folder in folders]
    first = named.get(TRAIN, all_named)  # without one, perhaps train1 and train2 are among the others
    whole = [inner for inner in map(_inner, first) if not inner.images and len(inner.filled) > 1]
    classes = {f.name for inner in whole for f in inner.filled}
    beside = [*others, *(folder for folder in all_named if folder not in first)]
    rest = [{f.name for f in _inner(folder).filled} for folder in beside]
    is_alone = TRAIN in named and all(len(names) < 2 for names in rest)
    return bool(whole) and (is_alone or any(classes & names for names in rest))


def _parts(root: Folder, named: dict[str, list[Folder]]) -> dict[str, dict[str, list[Path]]]:
    for part, folders in named.items():
        if len(folders) > 1:
            raise SetupError(
                f"{root.shown} has {join_names(f.name for f in folders)}, all for {part}: keep one; {_RENAME}"
            )
    if TRAIN not in named:
        raise SetupError(f"{root.shown} has {join_names(f.name for f in root.filled)} and no train: {_RENAME}")
    inner = {part: _inner(named[part][0]) for part in (TRAIN, VALIDATION, TEST) if part in named}
    classes_trained = {f.name for f in inner[TRAIN].filled}
    for part, (folder,) in named.items():
        if classes_trained & {f.name for f in folder.filled}:
            inner[part] = folder  # with a single class, perhaps, whose images are deeper
    for part, folder in inner.items():
        if not folder.filled:
            what = f"{len(folder.images)} images right in it" if folder.images else "no images"
            rest = "" if part == TRAIN else f", or move it away, or give {named[TRAIN][0].shown} alone"
            raise SetupError(
                f"{folder.shown} is named like a part of a split and has no class folders with images ({what}): sort "
                f"the images into class folders{rest}; {_RENAME}"
            )
    parts = {part: _classes(folder) if part == TRAIN else _filled_classes(folder) for part, folder in inner.items()}
    for part, classes in parts.items():
        unknown = sorted(set(classes) - set(parts[TRAIN]))
        if unknown:
            raise SetupError(
                f"{inner[part].shown} has the class folder{'s' * (len(unknown) > 1)} {join_names(unknown)}, and "
                f"{inner[TRAIN].shown} has only {join_names(parts[TRAIN])}: use the same class names in every part; "
                f"{_RENAME}"
            )
    return parts


def _classes(folder: Folder) -> dict[str, list[Path]]:
    """Return the images by class.

    Raises:
        SetupError: there are fewer than two classes, or a class is empty.
    """
    if not folder.folders:
        loose = " (there are images right in it)" if folder.images else ""
        raise SetupError(f"{folder.shown} has no subfolders{loose}: {LAYOUTS}")
    if len(folder.folders) < 2:
        raise SetupError(
            f"{folder.shown} has one subfolder, {printable(folder.folders[0].name)}; a classifier needs at least 2 "
            f"classes: {LAYOUTS}"
        )
    empty = [f for f in folder.folders if not f.has_images]
    if empty:
        endings = sum((f.ignored for e in empty for f in e.all()), Counter[str]())
        endings_text = f" (found there: {_counted(endings)})" if endings else ""
        raise SetupError(
            f"no images in {join_names(f.name for f in empty)} of {folder.shown}{endings_text}; images end in "
            f"{', '.join(sorted(SUFFIXES))}; add some, or remove the folder"
        )
    return _filled_classes(folder)


def _filled_classes(folder: Folder) -> dict[str, list[Path]]:
    classes: dict[str, list[Path]] = defaultdict(list)
    for inner in folder.filled:
        classes[inner.name] += inner.all_images()
    return dict(classes)


def _assumption_remarks(top: Folder, root: Folder, parts: dict[str, dict[str, list[Path]]]) -> Iterator[Remark]:
    if root is not top:
        yield logging.INFO, f"the images are those in {root.shown}, as {top.shown} has no other folder"
    named, others = _named(root)
    if "" in parts and named:
        names = join_names(f.name for folders in named.values() for f in folders)
        message = f"{names} in {root.shown}: taken for a class and not for a part of a split"
        yield logging.WARNING, f"{message}, as other classes are beside: {join_names(f.name for f in others)}"
    below, *different = {tuple(f.name for f in folder.filled) for folder in root.filled if not folder.images} or {()}
    if "" in parts and len(below) > 1 and not different and not any(folder.images for folder in root.filled):
        message = f"{join_names(f.name for f in root.filled)} in {root.shown}: taken for the classes, although each has"
        yield (
            logging.WARNING,
            f"{message} the same subfolders, {join_names(below)}; if these are the classes, move folders",
        )
    yield from similar_remarks(list(parts.get(TRAIN, parts.get("", {}))))


def similar_remarks(classes: Sequence[str]) -> Iterator[Remark]:
    """Yield a remark on names that are hard to tell apart."""
    alike = Counter(name.casefold().strip() for name in classes)
    similar = [name for name in classes if alike[name.casefold().strip()] > 1]
    if similar:
        yield logging.WARNING, f"the classes {join_names(similar)} differ in case or spaces alone"


def _omission_remarks(top: Folder, root: Folder, parts: dict[str, dict[str, list[Path]]]) -> Iterator[Remark]:
    """Yield remarks on unused files, and on classes that a part lacks."""
    used = {path for classes in parts.values() for paths in classes.values() for path in paths}
    outside = [path for folder in top.all() for path in folder.images if path not in used]
    if outside:
        message = f"ignored {len(outside)} images outside the class folders, the first: {printable(str(outside[0]))}"
        yield logging.WARNING, message
    ignored = sum((folder.ignored for folder in top.all()), Counter[str]())
    if ignored:
        message = f"ignored {ignored.total()} files that are no images by their ending: {_counted(ignored)}"
        yield logging.WARNING, message
    hidden = sum(folder.hidden for folder in top.all())
    if hidden:
        yield logging.INFO, f"ignored {hidden} hidden files and folders"
    empty = [folder.name for folder in root.folders if not folder.has_images]
    if empty:
        yield logging.INFO, f"ignored folders without images: {join_names(empty)}"
    yield from lacking_remarks(parts)


def lacking_remarks(classes: Mapping[str, Collection[str]]) -> Iterator[Remark]:
    """Yield remarks on classes that a given part lacks.

    Args:
        classes: the classes by part.
    """
    for part, names in classes.items():
        missing = sorted(set(classes.get(TRAIN, names)) - set(names))
        if missing:
            message = f"the given {part} part has no images of {join_names(missing)}: its metrics tell nothing of them"
            yield logging.WARNING, message


def _counted(endings: Counter[str]) -> str:
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common())
