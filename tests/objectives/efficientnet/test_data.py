"""Where images come from, what is refused, and that the three parts never meet."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.decoding import Decoder
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

EMOJI = [
    {"train": "78c21cb08beae37d", "validation": "ecf53e50ed859fad", "test": "f141bd6d79d87eaa"},
    {"train": "493f406e49fa8a11", "validation": "8445c2a00b9ed7be", "test": "f141bd6d79d87eaa"},
    {"train": "17fa6460b9b0da62", "validation": "b09eb29165868b12", "test": "f141bd6d79d87eaa"},
]
"""By fold: SHA-256 of the indices in each part. The last fold lost the image that was in the first one, too."""


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a subfolder of so many gray pictures for each class."""

    def make(counts: dict[str, int], suffix: str = ".png") -> Path:
        folder = tmp_path / "pictures"
        for shade, (label, count) in enumerate(counts.items()):
            (folder / label).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (48, 32), (60 * shade, i, 0)).save(folder / label / f"{i}{suffix}")
        return folder

    return make


# ── the three parts


@given(counts=st.lists(st.integers(data.MIN_PER_CLASS, 40), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_the_parts_are_disjoint_and_hold_everything_and_every_class(counts: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = data.split_indices(labels)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    for part, indices in parts.items():
        held = np.bincount(labels[indices], minlength=len(counts))
        assert all(held >= 1)
        assert held == pytest.approx(data.PARTS[part] * np.array(counts), abs=1.01)


@given(counts=st.lists(st.integers(data.MIN_PER_CLASS, 40), min_size=2, max_size=3))
def test_folds_share_the_test_images_and_every_other_image_validates_in_one(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    folds = [data.split_indices(labels, fold) for fold in range(data.FOLDS)]
    tests, validations = ([fold[part] for fold in folds] for part in ("test", "validation"))
    assert all(list(test) == list(tests[0]) for test in tests)
    assert all(sorted(np.concatenate(list(fold.values()))) == list(range(len(labels))) for fold in folds)
    often = np.bincount(np.concatenate(validations), minlength=len(labels))
    assert list(often) == [0 if i in set(tests[0]) else 1 for i in range(len(labels))]
    for label, count in enumerate(counts):
        assert sum(labels[tests[0]] == label) == max(1, round(0.2 * count))
        sizes = [sum(labels[validation] == label) for validation in validations]
        assert sizes[0] == max(1, round(0.2 * count))
        assert max(sizes) - min(sizes) <= 1


def test_eight_images_of_a_class_make_four_folds_that_differ() -> None:
    labels = np.repeat([0, 1], 8)
    folds = [frozenset(data.split_indices(labels, fold)["validation"]) for fold in range(data.FOLDS)]
    assert len(set(folds)) == 4
    assert sorted(i for fold in folds for i in fold) == sorted(set(range(16)) - set(data.split_indices(labels)["test"]))


@given(
    groups=st.lists(st.lists(st.integers(1, 4), min_size=data.MIN_PER_CLASS, max_size=20), min_size=2, max_size=3),
    seed=st.integers(0, 99),
)
def test_copies_never_meet_and_every_class_is_in_every_part_and_fold(groups: list[list[int]], seed: int) -> None:
    """`groups`: by class, how many copies there are of each picture."""
    pictures = [(label, size) for label, sizes in enumerate(groups) for size in sizes]
    order = np.random.default_rng(seed).permutation(sum(size for _, size in pictures))
    picture = np.repeat(np.arange(len(pictures)), [size for _, size in pictures])[order]
    labels = np.array([label for label, _ in pictures])[picture]
    images = data.Images(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, ("a", "b", "c"), digests=picture + 1)
    validated = []
    for fold in range(data.FOLDS):
        parts = data.split_indices(labels, fold, images.first)
        assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
        held = {part: set(picture[indices]) for part, indices in parts.items()}
        assert not held["train"] & held["validation"]
        assert not (held["train"] | held["validation"]) & held["test"]
        assert all(set(labels[indices]) == set(range(len(groups))) for indices in parts.values())
        validated += sorted(held["validation"])
    assert len(validated) == len(set(validated)) == len(pictures) - len(held["test"])


@given(
    counts=st.lists(st.integers(data.FOLDS, 30), min_size=2, max_size=3),
    tests=st.integers(1, 9),
    lacks=st.sampled_from(["validation", "test", ""]),
)
def test_a_given_split_stays_and_what_it_lacks_is_taken_from_training(
    counts: list[int], tests: int, lacks: str
) -> None:
    sizes = {"train": counts, "validation": [tests] * len(counts), "test": [tests] * len(counts)}
    rows = [(part, label) for part in sizes if part != lacks for label, n in enumerate(sizes[part]) for _ in range(n)]
    given_parts, labels = tuple(part for part, _ in rows), np.array([label for _, label in rows])
    folds = [data.split_indices(labels, fold, given_parts=given_parts) for fold in range(data.FOLDS)]
    for fold in folds:
        assert sorted(np.concatenate(list(fold.values()))) == list(range(len(labels)))
        assert all(set(labels[indices]) == set(range(len(counts))) for indices in fold.values())
        for part in set(sizes) - {lacks, "train"}:
            assert list(fold[part]) == [i for i, name in enumerate(given_parts) if name == part]
    if lacks == "validation":
        validated = sorted(i for fold in folds for i in fold["validation"])
        assert validated == [i for i, name in enumerate(given_parts) if name == "train"]


def test_the_split_of_the_bundled_images_is_the_one_it_always_was() -> None:
    """Benchmarks and checkpoints depend on it; these were taken before copies and given splits were looked at."""
    images = data_sources.load("emoji", 32)
    assert list(np.bincount(images.labels)) == [85, 140, 129, 140, 140, 140, 140]
    for fold, expected in enumerate(EMOJI):
        parts = data.split_indices(images.labels, fold, images.first)
        assert {part: hashlib.sha256(i.tobytes()).hexdigest()[:16] for part, i in parts.items()} == expected


def test_the_bundled_images_are_split_alike_each_time_and_no_picture_is_in_two_parts() -> None:
    first, second = (data.split(data_sources.load("emoji", 32)) for _ in range(2))
    assert len(first.train.classes) == 7
    pictures = {part: {p.tobytes() for p in getattr(first, part).pixels} for part in data.PARTS}
    assert not pictures["train"] & pictures["validation"]
    assert not (pictures["train"] | pictures["validation"]) & pictures["test"]
    for part in data.PARTS:
        assert getattr(first, part).pixels_sha256 == getattr(second, part).pixels_sha256
        assert len(pictures[part]) >= 0.9 * len(getattr(first, part))


# ── sources


def test_a_folder_with_a_subfolder_for_each_class(make_folder) -> None:
    images = data_sources.load(str(make_folder({"cat": 5, "dog": 7})), 32)
    assert images.classes == ("cat", "dog")
    assert images.pixels.shape == (12, 32, 32, 3)
    assert list(np.bincount(images.labels)) == [5, 7]
    assert images.pixels[images.labels == 1].mean(axis=(0, 1, 2))[0] == 60
    assert images.one_hot.sum(axis=0).tolist() == [5, 7]


def test_transparent_and_gray_pictures_become_rgb_on_white(tmp_path: Path) -> None:
    for label, mode in {"clear": "RGBA", "gray": "L"}.items():
        (tmp_path / label).mkdir()
        for i in range(5):
            Image.new(mode, (32, 32), (0, 0, 0, 0) if mode == "RGBA" else 9).save(tmp_path / label / f"{i}.png")
    images = data_sources.load(str(tmp_path), 32)
    assert images.pixels[images.labels == 0].min() == 255
    assert set(images.pixels[images.labels == 1].reshape(-1)) == {9}


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y")])
@pytest.mark.parametrize("shape", [(10, 40, 50), (10, 40, 50, 1), (10, 40, 50, 3)])
def test_an_npz(tmp_path: Path, names: tuple[str, str], shape: tuple[int, ...]) -> None:
    pixels = np.full(shape, 255, np.uint8)
    for kind, arrays in {"bytes": pixels, "floats": pixels / np.float32(255)}.items():
        path = tmp_path / f"{kind}.npz"
        np.savez(path, **dict(zip(names, (arrays, np.repeat([3, 8], 5)), strict=True)))
        images = data_sources.load(str(path), 32)
        assert images.classes == ("3", "8")
        assert images.pixels.shape == (10, 32, 32, 3)
        assert images.pixels.min() == 255


def test_tensorflow_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package, which is large and downloads."""
    features = {"image": None, "label": SimpleNamespace(names=["ant", "bee"])}
    splits = {"train": 10}

    class Builder:
        info = SimpleNamespace(features=features, splits=splits)

        def download_and_prepare(self) -> None: ...

        def as_dataset(self, split: str, as_supervised: bool):
            assert as_supervised
            sizes = {"all": 10, **splits}
            return [(np.full((20, 30, 1), 200 - i, np.uint8), labels[i]) for i in range(sizes[split])]

    labels = [0, 1] * 5

    module = ModuleType("tensorflow_datasets")
    module.__spec__ = SimpleNamespace()  # type: ignore[assignment]  # so that it counts as installed
    module.builder = lambda name: Builder()  # type: ignore[attr-defined]
    module.as_numpy = iter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    images = data_sources.load("tfds:insects", 32)
    assert images.classes == ("ant", "bee")
    assert set(images.pixels.reshape(-1)) == set(range(191, 201))
    assert images.given_parts == ()
    splits.update({"test": 4, "unsupervised": 9})
    images = data_sources.load("tfds:insects", 32)
    assert images.given_parts == ("train",) * 10 + ("test",) * 4
    assert len(images.pixels) == 14
    labels[3] = -1
    with pytest.raises(SetupError, match=r"label\[3\] is -1, and 1 more are wrong; allowed are 0 to 1"):
        data_sources.load("tfds:insects", 32)
    del features["label"]
    with pytest.raises(SetupError, match=r"'tfds:insects', which has image; it needs image and label"):
        data_sources.load("tfds:insects", 32)


# ── what is refused, before a study is made


def told(source: Path | str) -> str:
    """The message when the objective is defined on the source."""
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(data=str(source)).define()
    return str(caught.value)


def test_a_missing_source_is_told_with_what_is_allowed(tmp_path: Path) -> None:
    message = told(tmp_path / "absent")
    assert (
        "absent', which doesn't exist; give emoji, a folder, a manifest (.csv, .tsv, .jsonl, .ndjson), an .npz"
        in message
    )


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "images.txt").touch()
    assert "an .npz file, TFRecord files, or tfds:NAME" in told(tmp_path / "images.txt")


def test_images_right_in_the_folder(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    message = told(tmp_path)
    assert "has no subfolders (there are images right in it)" in message
    assert "one subfolder of images for each class" in message


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "has no subfolders: give a folder that has one subfolder" in told(tmp_path)


def test_one_class(make_folder) -> None:
    assert "has one subfolder, cat; a classifier needs at least 2" in told(make_folder({"cat": 9}))


def test_a_class_without_images_of_a_known_kind(make_folder) -> None:
    folder = make_folder({"cat": 5, "dog": 5})
    for path in folder.rglob("*.png"):
        path.rename(path.with_suffix(".heic"))
    assert "no images in cat, dog" in told(folder)
    assert ".jpeg, .jpg, .jpx, .pbm" in told(folder)


def test_a_class_that_is_too_small(make_folder) -> None:
    assert "too few images in dog (4): a class needs at least 5" in told(make_folder({"cat": 5, "dog": 4}))


def test_tensorflow_datasets_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert "needs TensorFlow Datasets: pip install tensorflow-datasets" in told("tfds:mnist")


# ── larger than memory


def test_mapped_files_hold_the_pixels_that_memory_holds(make_folder, tmp_path: Path) -> None:
    folder = make_folder({"cat": 9, "dog": 7, "eel": 6})
    kept = data.split(data_sources.load(str(folder), 32, Decoder(1)))
    mapped = data.split(data_sources.load(str(folder), 32, Decoder(4, directory=tmp_path / "pixels")))
    for part in data.PARTS:
        ours, theirs = getattr(mapped, part), getattr(kept, part)
        assert isinstance(ours.pixels, data.Rows)
        assert ours.pixels_sha256 == theirs.pixels_sha256
        assert np.array_equal(ours.pixels[np.array([1, 0])], theirs.pixels[[1, 0]])
        assert np.array_equal(ours.labels, theirs.labels)


def test_a_folder_is_decoded_once_and_anew_where_a_picture_has_changed(
    make_folder, tmp_path: Path, monkeypatch
) -> None:
    folder, decoder = make_folder({"cat": 5, "dog": 5}), Decoder(2, directory=tmp_path / "pixels")
    first = data_sources.load(str(folder), 32, decoder)
    with monkeypatch.context() as patched:
        patched.setattr(data_sources, "_decoded", lambda *_: pytest.fail("decoded again"))
        assert np.array_equal(data_sources.load(str(folder), 32, decoder).pixels, first.pixels)
    Image.new("RGB", (48, 32), (9, 9, 9)).save(folder / "cat" / "0.png")
    assert not np.array_equal(data_sources.load(str(folder), 32, decoder).pixels, first.pixels)
    assert not [p for p in (tmp_path / "pixels").iterdir() if "partial" in p.name]


# ── what is refused on reading


def test_a_damaged_picture_is_named(make_folder) -> None:
    folder = make_folder({"cat": 5, "dog": 5})
    (folder / "dog" / "3.png").write_bytes(b"no picture")
    with pytest.raises(SetupError, match=r"dog.3\.png can't be read as an image .*repair or remove it"):
        data_sources.load(str(folder), 32)


def damaged(make_folder, damaged: int = 1) -> Path:
    folder = make_folder({"cat": 8, "dog": 8})
    for i in range(damaged):
        (folder / "dog" / f"{i}.png").write_bytes((folder / "dog" / f"{i}.png").read_bytes()[:40])
    return folder


@pytest.mark.parametrize("pipeline", ["memory", "disk"])
def test_damaged_pictures_may_be_left_out_and_are_told(make_folder, tmp_path: Path, caplog, pipeline: str) -> None:
    folder = damaged(make_folder, 2)
    decoder = Decoder(2, skips=True, directory=tmp_path / "pixels" if pipeline == "disk" else None)
    found = data_sources.load(str(folder), 32, decoder)
    assert found.skipped == (str(folder / "dog" / "0.png"), str(folder / "dog" / "1.png"))
    assert list(np.bincount(found.labels)) == [8, 6]
    assert found.pixels.shape == (14, 32, 32, 3)
    assert "2 pictures can't be read and are left out" in caplog.text
    assert data.split(found).skipped == found.skipped
    clean = data_sources.load(str(folder), 32, decoder)  # from the file, where there is one
    assert np.array_equal(clean.pixels, found.pixels)


def test_where_none_can_be_read_there_is_nothing_to_leave_out(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(5):
            (tmp_path / label / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(SetupError, match="none of the images can be read"):
        data_sources.load(str(tmp_path), 32, Decoder(skips=True))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(3)}, r"holds a; it needs images and labels"),
        ({"images": np.zeros((10, 4, 4, 2), np.uint8)}, r"shape \(10, 4, 4, 2\).*1 or 3 channels last"),
        ({"images": np.zeros((10, 4), np.uint8)}, r"shape \(10, 4\)"),
        ({"images": np.full((10, 4, 4), 300.0)}, r"is float64 from 300 to 300; give uint8, .*floats from 0 to 1 or"),
        ({"images": np.zeros((9, 4, 4), np.uint8)}, r"9 images and 10 labels"),
        ({"images": np.zeros((10, 4, 4), np.uint8), "labels": np.zeros(10)}, r"has 1 class; .*at least 2"),
        ({"images": np.array([None] * 10)}, r"can't be read as an \.npz of plain arrays"),
    ],
)
def test_an_npz_of_another_kind(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    if "images" in arrays:
        arrays = {"labels": np.repeat([0, 1], 5), **arrays}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SetupError, match=words):
        data_sources.load(str(tmp_path / "a.npz"), 32)


def test_a_broken_npz_and_a_single_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(SetupError, match=r"can't be read as an \.npz"):
        data_sources.load(str(path), 32)
    with path.open("wb") as file:
        np.save(file, np.zeros((10, 4, 4), np.uint8))
    with pytest.raises(SetupError, match=r"can't be read as an \.npz"):
        data_sources.load(str(path), 32)
