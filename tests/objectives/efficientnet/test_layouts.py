"""Folders as people have them: which are classes, which are parts of a given split, and what is left out and said.

Each test goes through the objective's `define`, as a worker does when it starts, and through `load` and `split`.
"""

import logging
import os
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.data import TEST, TRAIN, VALIDATION, Split
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from PIL import Image

CLASSES = ("cat", "dog")
Pictures = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """Makes folders of pictures that all differ."""
    numbers = count()

    def make(*folders: str, each: int = 6, suffix: str = ".png") -> Path:
        for folder in folders:
            place = tmp_path / "data" / folder
            place.mkdir(parents=True, exist_ok=True)
            for i in range(each):
                n = next(numbers)
                Image.new("RGB", (8, 8), (n % 32 * 8, n // 32 * 8, 7)).save(place / f"{i}{suffix}")
        return tmp_path / "data"

    return make


def defined(folder: Path, caplog: pytest.LogCaptureFixture, **options: str) -> str:
    """What the worker logs when it starts."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(data=str(folder), weights="random", **options).define()
    return caplog.text


def split(folder: Path, fold: int = 0) -> Split:
    return data.split(data_sources.load(str(folder), 32), fold)


def sizes(found: Split) -> tuple[int, int, int]:
    return len(found.train), len(found.validation), len(found.test)


def refused(folder: Path, **options: str) -> str:
    """The message; what is refused at the start is refused by a trial, too."""
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(data=str(folder), weights="random", **options).define()
    with pytest.raises(SetupError):
        split(folder)
    return str(caught.value)


def parts(*names: str, classes: tuple[str, ...] = CLASSES) -> list[str]:
    return [f"{name}/{label}" for name in names for label in classes]


# ── a given split is used


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("training", "validation", "testing"),
        ("Train", "Val", "TEST"),
        ("train", "dev", "test"),
        ("training_set", "validation-set", "test set"),
        ("train_images", "val_images", "test_images"),
        ("train2017", "val2017", "test2017"),
        ("seg_train", "seg_val", "seg_test"),
        ("birds-train", "birds-val", "birds-test"),
        ("deeper/and/train", "deeper/and/val", "deeper/and/test"),
        ("train/train", "val/val", "test/test"),
        ("1_train", "2_val", "3_test"),
        ("tr", "va", "te"),
    ],
)
def test_a_given_split_is_used_and_the_classes_are_logged(pictures: Pictures, caplog, names: tuple[str, ...]) -> None:
    """keras-team/keras#14042."""
    for name, each in zip(names, (9, 4, 3), strict=True):
        folder = pictures(*parts(name), each=each)
    told = defined(folder, caplog)
    assert "36 images" not in told
    assert f"data {folder}: 32 images of 2 classes: cat, dog" in told
    for part, each in {TRAIN: 9, VALIDATION: 4, TEST: 3}.items():
        assert f"{part} (given): {2 * each} images: cat {each}, dog {each}" in told
    found = split(folder)
    assert found.train.classes == CLASSES
    assert sizes(found) == (18, 8, 6)
    given = {p.tobytes() for p in data_sources.load(str(folder), 32).pixels}
    assert len(given) == 32
    for part, name in zip((found.train, found.validation, found.test), names, strict=True):
        expected = {data_sources._decoded(path, "", 32, 8)[0].tobytes() for path in (folder / name).rglob("*.png")}
        assert {p.tobytes() for p in part.pixels} == expected


def test_a_given_split_is_used_where_each_class_has_its_parts(pictures: Pictures, caplog) -> None:
    folder = pictures("cat/train", "dog/train", each=9)
    pictures("cat/test", "dog/test", each=3)
    assert "test (given): 6 images: cat 3, dog 3" in defined(folder, caplog)
    assert split(folder).train.classes == CLASSES


def test_without_validation_it_is_a_quarter_of_training_by_fold(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train"), each=10)
    pictures(*parts("test"), each=3)
    told = defined(folder, caplog)
    assert "test (given): 6 images" in told
    assert "validation (split by class, fold 0): 4 images: cat 2, dog 2" in told
    folds = [split(folder, fold) for fold in range(data.FOLDS)]
    assert len({found.test.pixels_sha256 for found in folds}) == 1
    validated = [p.tobytes() for found in folds for p in found.validation.pixels]
    assert len(validated) == len(set(validated)) == 20


def test_without_a_test_it_is_taken_from_training(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train"), each=10)
    pictures(*parts("val"), each=3)
    told = defined(folder, caplog)
    assert "validation (given): 6 images" in told
    assert "test (split by class): 4 images: cat 2, dog 2" in told
    assert sizes(split(folder)) == (16, 6, 4)


def test_a_single_training_part_is_split_and_said(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train"), each=10)
    told = defined(folder, caplog)
    assert f"the images are those in {folder / 'train'}" in told
    assert sizes(split(folder)) == (12, 4, 4)


def test_a_given_validation_part_is_the_same_in_every_fold_and_a_fold_is_refused(pictures: Pictures) -> None:
    folder = pictures(*parts("train", "val", "test"))
    assert len({split(folder, fold).validation.pixels_sha256 for fold in range(data.FOLDS)}) == 1
    with pytest.raises(SetupError, match=r"option fold is 2, and .*has a validation part of its own.*leave fold at 0"):
        EfficientNetObjective(data=str(folder), weights="random", fold="2").define()


def test_a_class_missing_from_a_part_is_said(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train", "val"), "test/cat")
    assert "the given test part has no images of dog" in defined(folder, caplog)
    assert split(folder).test.classes == CLASSES


def test_a_part_of_one_class_may_have_its_images_deeper(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train"), "test/cat/2019", "test/cat/2020")
    assert "test (given): 12 images: cat 12, dog 0" in defined(folder, caplog)


def test_folders_beside_a_split_that_hold_no_images_are_left_out(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train", "test"))
    (folder / "annotations").mkdir()
    (folder / "annotations" / "boxes.xml").touch()
    told = defined(folder, caplog)
    assert "ignored folders without images: annotations" in told
    assert "of 2 classes: cat, dog" in told


# ── names that only look like parts


@pytest.mark.parametrize("name", ["test", "train", "val"])
def test_a_class_named_like_a_part_beside_others_is_a_class_and_said(pictures: Pictures, caplog, name: str) -> None:
    folder = pictures(name, "bus", "car")
    told = defined(folder, caplog)
    assert re.search(rf"WARNING .*{name} in .*: taken for a class and not for a part of a split.*: bus, car", told)
    assert split(folder).train.classes == tuple(sorted((name, "bus", "car")))


def test_classes_whose_names_begin_like_parts_are_classes(pictures: Pictures, caplog) -> None:
    folder = pictures("train_station", "test_tube", "valley")
    assert "WARNING" not in defined(folder, caplog)
    assert split(folder).train.classes == ("test_tube", "train_station", "valley")


def test_classes_that_are_perhaps_none_are_said(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("fold1", "fold2", "fold3"))
    told = defined(folder, caplog)
    assert re.search(r"WARNING .*fold1, fold2, fold3 in .*the same subfolders, cat, dog; if these", told)
    folder = pictures("../more/Cat", "../more/cat", "../more/dog") / ".." / "more"
    assert re.search(r"WARNING .*the classes Cat, cat differ in case or spaces alone", defined(folder, caplog))


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["train", "test"], r"train is named like a part of a split and has no class folders .*6 images right in it"),
        (
            [*parts("train"), "test"],
            r"test is named like a part .*\(6 images right in it\).*move it away, or give .*train",
        ),
        ([*parts("train"), "unlabeled"], r"has train, named like parts of a split, beside unlabeled: move away or"),
        ([*parts("train", "test"), "more/cat"], r"has test, train, named like parts of a split, beside more"),
        ([*parts("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred"], r"seg_train, .*beside seg_pred"),
        (parts("train", "val", "valid"), r"has val, valid, all for validation: keep one"),
        (parts("train", "Train", "test"), r"has Train, train, all for train: keep one"),
        (parts("train1", "train2", "test"), r"has test, named like parts of a split, beside train1, train2: move"),
        (parts("part-a", "part-b", "val", "test"), r"has test, val, named like .*beside part-a, part-b"),
        (parts("val", "test"), r"has test, val and no train: give a folder .*subfolders train, validation and test"),
        ([*parts("train"), "test/cat", "test/Dog"], r"test has the class folder Dog, and .*train has only cat, dog"),
        (
            [*parts("train"), "test/owl", "test/eel"],
            r"test has the class folders eel, owl, and .*train has only cat, dog",
        ),
        (["train/cat", "test/cat"], r"train has one subfolder, cat; a classifier needs at least 2 classes"),
    ],
)
def test_what_is_neither_is_refused_with_what_was_found(pictures: Pictures, folders: list[str], words: str) -> None:
    folder = pictures(*folders)
    told = refused(folder)
    assert str(folder) in told
    assert re.search(words, told)


def test_an_empty_part_is_refused(pictures: Pictures) -> None:
    folder = pictures(*parts("train", "test"))
    (folder / "val").mkdir()
    assert re.search(r"val is named like a part .*\(no images\)", refused(folder))


def test_an_empty_class_is_refused_with_what_is_there_instead(pictures: Pictures) -> None:
    folder = pictures("cat", "dog")
    (folder / "eel").mkdir()
    (folder / "eel" / "a.heic").touch()
    told = refused(folder)
    assert "no images in eel" in told
    assert "found there: 1 .heic" in told


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            {"train/dog": 3, "test/dog": 5},
            r"dog \(3\): a class needs at least 4 for training, .*validation.*\(4 folds\)",
        ),
        ({"train/dog": 1, "val/dog": 5}, r"dog \(1\): a class needs at least 2 for training, from which test is taken"),
    ],
)
def test_too_few_images_for_what_is_taken_from_training(pictures: Pictures, counts: dict[str, int], words: str) -> None:
    for name, each in counts.items():
        pictures(name, each=each)
        folder = pictures(name.replace("dog", "cat"))
    told = refused(folder)
    assert f"{folder}: too few images in " in told
    assert re.search(words, told)


# ── what is skipped, and what is read


def test_hidden_files_and_folders_are_skipped_at_any_depth(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", "dog", "cat/more", each=5)
    pictures("cat/.ipynb_checkpoints", "cat/more/.thumbnails/x", "__MACOSX/cat", "dog/__MACOSX", "dog/@eaDir", ".trash")
    pictures("#recycle/cat", "dog/lost+found")
    for place in (folder, folder / "dog", folder / "cat" / "more"):
        for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".jpg"):
            (place / name).write_bytes(b"no picture")
    told = defined(folder, caplog)
    assert "15 images of 2 classes: cat, dog" in told
    assert "ignored 23 hidden files and folders" in told
    assert "WARNING" not in told


def test_a_folder_below_a_hidden_one_may_be_given(pictures: Pictures) -> None:
    pictures(".cache/flowers/cat", ".cache/flowers/dog")
    assert sizes(split(pictures() / ".cache" / "flowers")) == (8, 2, 2)


def test_ignored_files_are_counted_and_named_by_ending(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", "dog")
    for name in ("a.heic", "b.HEIC", "c.txt", "d.xml", "README", "0.png.part"):
        (folder / "dog" / name).write_text("no picture")
    assert re.search(
        r"WARNING .*ignored 6 files that are no images by their ending: 2 \.heic, .*1 without an ending",
        defined(folder, caplog),
    )


@pytest.mark.parametrize(
    "suffix",
    [
        ".jpg",
        ".JPG",
        ".jpeg",
        ".jfif",
        ".png",
        ".PNG",
        ".bmp",
        ".gif",
        ".tif",
        ".TIFF",
        ".webp",
        ".ppm",
        ".jp2",
        ".tga",
    ],
)
def test_every_usual_ending_is_read_beside_others(pictures: Pictures, caplog, suffix: str) -> None:
    folder = pictures("cat", "dog", each=5)
    pictures("eel", each=5, suffix=suffix)
    assert "eel 3" in defined(folder, caplog)
    assert "ignored" not in caplog.text


def test_pictures_without_an_ending_are_known_by_their_content(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", "dog")
    for path in (folder / "dog").iterdir():
        path.rename(path.with_suffix(""))
    (folder / "dog" / "LICENSE").write_text("no picture")
    told = defined(folder, caplog)
    assert "12 images of 2 classes" in told
    assert "1 without an ending" in told


def test_images_outside_the_class_folders_are_said(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", "dog")
    pictures("", each=2)
    assert re.search(
        r"WARNING .*ignored 2 images outside the class folders, the first: .*0\.png", defined(folder, caplog)
    )


def test_links_are_followed_and_circles_end(pictures: Pictures, tmp_path: Path, caplog) -> None:
    folder = pictures("cat", "dog")
    pictures("../elsewhere/eel", "../elsewhere/more")
    (folder / "eel").symlink_to(tmp_path / "elsewhere" / "eel")
    (folder / "dog" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (folder / "dog" / "up").symlink_to(folder)
    (folder / "dog" / "self").symlink_to(folder / "dog")
    (folder / "dog" / "gone.png").symlink_to(tmp_path / "gone.png")
    (folder / "dog" / "extra.png").symlink_to(tmp_path / "extra.png")
    Image.new("RGB", (8, 8), "white").save(tmp_path / "extra.png")
    told = defined(folder, caplog)
    assert "25 images of 3 classes: cat, dog, eel" in told
    assert "2 links to a folder above" in told
    assert "1 broken links" in told


def test_names_of_classes_are_alike_whatever_system_wrote_them(pictures: Pictures, caplog) -> None:
    folder = pictures("train/caf\u00e9", "train/tea", "test/cafe\u0301", "test/tea")
    assert "of 2 classes: caf\u00e9, tea" in defined(folder, caplog)


def test_names_that_are_no_text_and_escapes_reach_no_terminal(pictures: Pictures, tmp_path: Path, caplog) -> None:
    folder = pictures("cat", "d\x1b[31mog")
    raw = os.fsencode(folder / "cat") + b"/\xff.png"
    with open(raw, "wb") as file:
        Image.new("RGB", (8, 8), "white").save(file, "PNG")
    with open(os.fsencode(folder / "cat") + b"/\xfe.png", "wb") as file:
        Image.new("RGB", (8, 8), "white").save(file, "PNG")
    told = defined(folder, caplog, pipeline="disk", cache_dir=str(tmp_path / "cache"))
    assert "\x1b" not in told
    assert "d\\x1b[31mog" in told
    assert "1 images are copies of others" in told
    told.encode()


def test_many_classes_take_few_lines(pictures: Pictures, caplog) -> None:
    folder = pictures(*(f"c{i:03}" for i in range(60)), each=5)
    told = defined(folder, caplog)
    assert "of 60 classes: c000, c001" in told
    assert "and 40 more" in told
    assert max(map(len, told.splitlines())) < 400


# ── copies


def test_copies_are_in_one_part_and_said(pictures: Pictures, caplog) -> None:
    """Whatever the file: the pixels count."""
    folder = pictures("cat", "dog", each=20)
    for i in range(0, 20, 2):
        with Image.open(folder / "dog" / f"{i}.png") as picture:
            picture.save(folder / "dog" / f"copy{i}.bmp")
    told = defined(folder, caplog)
    assert re.search(r"WARNING .*10 images are copies of others, equal in every pixel \(.*0\.png = .*copy0\.bmp;", told)
    assert "always in one part of the split" in told
    for fold in range(data.FOLDS):
        found = split(folder, fold)
        assert sum(sizes(found)) == 50
        held = [{p.tobytes() for p in part.pixels} for part in (found.train, found.validation, found.test)]
        assert not held[0] & held[1]
        assert not (held[0] | held[1]) & held[2]


def test_copies_in_different_classes_are_said_and_in_one_part(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", "dog", each=10)
    for i in range(3):
        (folder / "dog" / f"cat{i}.png").write_bytes((folder / "cat" / f"{i}.png").read_bytes())
    assert "3 of these are in different classes" in defined(folder, caplog)
    found = split(folder)
    held = [{p.tobytes() for p in part.pixels} for part in (found.train, found.validation, found.test)]
    assert not held[0] & held[1]
    assert not (held[0] | held[1]) & held[2]


def test_a_class_of_copies_alone_is_too_small(pictures: Pictures) -> None:
    folder = pictures("cat", "dog", each=1)
    pictures("cat", each=9)
    for i in range(1, 9):
        (folder / "dog" / f"{i}.png").write_bytes((folder / "dog" / "0.png").read_bytes())
    assert f"{folder}: too few images in dog (9, of which 1 differ from each other and from other" in refused(folder)


def test_leakage_of_a_given_split_is_said_and_left_out_of_training(pictures: Pictures, caplog) -> None:
    folder = pictures(*parts("train", "val", "test"), each=8)
    for i in range(3):
        (folder / "train" / "cat" / f"leak{i}.png").write_bytes((folder / "test" / "cat" / f"{i}.png").read_bytes())
    (folder / "train" / "dog" / "leak.png").write_bytes((folder / "val" / "dog" / "0.png").read_bytes())
    (folder / "val" / "dog" / "leak.png").write_bytes((folder / "test" / "dog" / "0.png").read_bytes())
    told = defined(folder, caplog)
    assert re.search(
        r"WARNING .*LEAKAGE in the given split: 4 images of train are in validation or test, too "
        r"\(.*train/cat/leak0\.png = .*test/cat/0\.png; .*; …\); they are left out of train",
        told,
    )
    assert re.search(
        r"LEAKAGE .*: 1 images of validation are in test, too \(.*\); they are left out of validation", told
    )
    assert sizes(split(folder)) == (16, 16, 16)
    assert split(folder).left_out == 5


def test_a_class_whose_training_images_all_leak_is_refused(pictures: Pictures) -> None:
    folder = pictures(*parts("train", "val", "test"))
    for i in range(6):
        (folder / "train" / "dog" / f"{i}.png").write_bytes((folder / "test" / "dog" / f"{i}.png").read_bytes())
    assert "dog (6, of which 0 differ from each other and from other parts): a class needs at least 1" in refused(
        folder
    )


# ── pictures that can't be read


def test_a_corrupt_picture_is_refused_at_the_start(pictures: Pictures) -> None:
    folder = pictures("cat", "dog")
    (folder / "dog" / "3.png").write_bytes(b"no picture")
    assert re.search(r"dog/3\.png can't be read as an image \(.*\); repair or remove it", refused(folder))


def test_a_wholly_corrupt_class_is_refused_although_pictures_may_be_skipped(pictures: Pictures) -> None:
    folder = pictures("cat", "dog", "eel")
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(SetupError, match=r"no picture can be read of dog \(6\): repair the pictures, or remove"):
        EfficientNetObjective(data=str(folder), weights="random", corrupt="skip").define()


def test_a_wholly_corrupt_part_is_refused_although_pictures_may_be_skipped(pictures: Pictures) -> None:
    folder = pictures(*parts("train", "val", "test"))
    for path in (folder / "val").rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(SetupError, match=r"no picture can be read of validation \(12\)"):
        EfficientNetObjective(data=str(folder), weights="random", corrupt="skip").define()


def test_skipped_pictures_are_counted_by_class(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", "dog", each=8)
    for i in range(2):
        (folder / "dog" / f"{i}.png").write_bytes(b"")
    told = defined(folder, caplog, corrupt="skip")
    assert re.search(r"WARNING .*2 pictures can't be read and are left out \(dog 2 of 8\), the first: .*0\.png", told)
    assert "14 images of 2 classes" in told
    (folder / "dog" / "2.png").write_bytes(b"")
    (folder / "dog" / "3.png").write_bytes(b"")
    with pytest.raises(SetupError, match=r"too few images in dog \(4\): a class needs at least 5"):
        EfficientNetObjective(data=str(folder), weights="random", corrupt="skip").define()


def test_the_counts_that_are_logged_are_those_of_the_trial(pictures: Pictures, caplog) -> None:
    folder = pictures("cat", each=13)
    pictures("dog", each=27)
    told = defined(folder, caplog)
    found = split(folder)
    for part in data.PARTS:
        images = getattr(found, part)
        cats, dogs = np.bincount(images.labels)
        assert re.search(rf"{part} \(.*\): {len(images)} images: cat {cats}, dog {dogs}", told)
