"""Folders that Hugging Face Datasets saved. Where the package is missing, a stand-in reads the same files."""

import importlib.util
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.targets import TargetSpec
from bo_objectives.errors import SetupError
from PIL import Image

Splits = dict[str, list[Any]]
"""Labels by split; a single split, "", is saved alone."""
Save = Callable[..., Path]
NAMES = ["cat", "dog"]
LISTS, FLOATS = "lists of classes", "floats"


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value % 256, value // 256, 90)).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True)
class ImageFeature:
    decode: bool = True


@dataclass(frozen=True)
class ClassLabel:
    names: list[str]


class Rows:
    """A stand-in for `datasets.Dataset`."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / "rows.json").read_text())
        labels = ClassLabel(NAMES) if content["is_class"] else SimpleNamespace()
        labels = SimpleNamespace(feature=ClassLabel(NAMES)) if content["kind"] == LISTS else labels
        self.features = {"image": ImageFeature(), "label": labels, "id": SimpleNamespace()}
        self.features = {name: self.features[name] for name in content["columns"]}
        self._content = content

    def __len__(self) -> int:
        return len(self._content["label"])

    def __getitem__(self, key: Any) -> Any:
        if key == "label":
            return self._content["label"]
        value = self._content["first"] + key
        return {"image": None if value == self._content["missing"] else {"bytes": png(value), "path": None}}

    def cast_column(self, name: str, feature: ImageFeature) -> "Rows":
        assert name == "image"
        assert not feature.decode
        return self


def save_standing_in(
    folder: Path, splits: Splits, columns: tuple[str, ...], is_class: bool, missing: int, kind: str
) -> None:  # fmt: skip
    first = 0
    for split, labels in splits.items():
        (folder / split).mkdir(parents=True)
        content = {"label": labels, "columns": columns, "is_class": is_class, "first": first, "missing": missing}
        content["kind"] = kind
        (folder / split / "rows.json").write_text(json.dumps(content))
        (folder / split / "state.json").write_text(json.dumps({"_fingerprint": str(content)}))
        first += len(labels)
    if "" not in splits:
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))


def save_really(
    folder: Path, splits: Splits, columns: tuple[str, ...], is_class: bool, missing: int, kind: str
) -> None:  # fmt: skip
    import datasets

    whole, first = {}, 0
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES), "id": datasets.Value("int64")}
    if not is_class:
        kinds["label"] = datasets.Value("string")
    if kind:
        several = datasets.Sequence(datasets.ClassLabel(names=NAMES))
        kinds["label"] = several if kind == LISTS else datasets.Value("float64")
    for split, labels in splits.items():
        places = range(first, first + len(labels))
        images = [None if i == missing else {"bytes": png(i), "path": None} for i in places]
        values = {"image": images, "label": labels, "id": list(places)}
        features = datasets.Features({name: kinds[name] for name in columns})
        whole[split] = datasets.Dataset.from_dict({name: values[name] for name in columns}, features)
        first += len(labels)
    saved = whole[""] if "" in whole else datasets.DatasetDict(whole)
    saved.save_to_disk(str(folder))


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    is_real = importlib.util.find_spec("datasets") is not None
    if not is_real:
        module = ModuleType("datasets")
        module.__spec__ = SimpleNamespace()  # type: ignore[assignment]  # so that it counts as installed
        module.load_from_disk = lambda folder: Rows(Path(folder))  # type: ignore[attr-defined]
        module.Image, module.ClassLabel = ImageFeature, ClassLabel  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", module)

    def make(
        splits: Splits, columns: tuple[str, ...] = ("image", "label", "id"), is_class: bool = True, missing: int = -1,
        kind: str = "",
    ) -> Path:  # fmt: skip
        folder = tmp_path / f"data{len(list(tmp_path.iterdir()))}"
        (save_really if is_real else save_standing_in)(folder, splits, columns, is_class, missing, kind)
        return folder

    return make


def refused(folder: Path) -> str:
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(data=str(folder), weights="random").define()
    return str(caught.value)


def test_its_splits_are_the_given_ones(save: Save) -> None:
    images = data_sources.load(str(save({"train": [0, 1] * 6, "validation": [0, 1] * 2, "test": [1, 0]})), 32)
    assert images.classes == ("cat", "dog")
    assert images.given_parts == ("train",) * 12 + ("validation",) * 4 + ("test",) * 2
    assert list(images.labels) == [0, 1] * 8 + [1, 0]
    assert list(images.pixels[:, 0, 0, 0]) == list(range(18))


@pytest.mark.parametrize("splits", [{"": [0, 1] * 6}, {"train": [0, 1] * 6}, {"a": [0, 1] * 3, "b": [0, 1] * 3}])
def test_other_data_sets_are_split_by_class(save: Save, splits: Splits) -> None:
    folder = save(splits)
    images = data_sources.load(str(folder), 32)
    assert images.given_parts == ()
    assert len(data.split(images).validation) == 2
    definition = EfficientNetObjective(data=str(folder), weights="random").define()
    assert definition.options["data.contents"].startswith("Hugging Face, sha256 ")


def test_texts_are_labels_too(save: Save) -> None:
    assert data_sources.load(str(save({"": ["01", "1"] * 6}, is_class=False)), 32).classes == ("01", "1")


def test_lists_of_classes_are_labels_and_floats_are_numbers(save: Save) -> None:
    several = save({"": [[0], [0, 1], [], [1]] * 5}, kind=LISTS)
    found = data_sources.load(str(several), 32, spec=TargetSpec("multi-label"))
    assert found.classes == ("cat", "dog")
    assert found.targets is not None
    assert found.targets[:4].tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]
    numbers = save({"train": [i / 4 for i in range(12)], "test": [7.5, 0.0]}, is_class=False, kind=FLOATS)
    found = data_sources.load(str(numbers), 32, spec=TargetSpec("regression", ("label",)))
    assert found.classes == ("label",)
    assert found.targets is not None
    assert found.targets[:, 0].tolist() == [*(i / 4 for i in range(12)), 7.5, 0.0]
    wrong = save({"": [[0], [2]] * 6}, kind=LISTS)
    with pytest.raises(SetupError, match=r"\[1\]: label is \[2\]; allowed is numbers from 0 to 1"):
        data_sources.load(str(wrong), 32, spec=TargetSpec("multi-label"))
    with pytest.raises(SetupError, match="has the columns image, label, id; one column of images, and age"):
        data_sources.load(str(numbers), 32, spec=TargetSpec("regression", ("age",)))


def test_the_content_is_that_of_the_saved_files(save: Save) -> None:
    first, other = save({"train": [0, 1] * 6, "test": [0, 1]}), save({"train": [1, 0] * 6, "test": [0, 1]})
    assert data_sources.contents(str(first)) == data_sources.contents(str(first))
    assert data_sources.contents(str(first)) != data_sources.contents(str(other))


def test_a_missing_picture_is_told_or_left_out(save: Save) -> None:
    folder = save({"": [0, 1] * 7}, missing=3)
    assert f"{folder}[3] has no image" in refused(folder)
    assert len(data_sources.load(str(folder), 32, data_sources.Decoder(skips=True))) == 13


def test_an_unlabeled_row_is_told(save: Save) -> None:
    folder = save({"train": [0, 1] * 6, "test": [0, -1]})
    assert "label[13] is -1; allowed are 0 to 1" in refused(folder)


def test_a_missing_label_is_told(save: Save) -> None:
    folder = save({"": ["a", "b"] * 5 + [None]}, is_class=False)
    assert f"label of {folder}[10] is None" in refused(folder)


def test_columns_that_are_missing_are_told(save: Save) -> None:
    assert "has the columns label, id; it needs one column of images" in refused(
        save({"": [0, 1] * 6}, columns=("label", "id"))
    )
    assert "has the columns image, id; it needs" in refused(save({"": [0, 1] * 6}, columns=("image", "id")))


def test_a_damaged_folder_is_told(save: Save) -> None:
    folder = save({"train": [0, 1] * 6, "test": [0, 1]})
    (folder / "test" / "state.json").unlink()
    assert "isn't a whole data set of Hugging Face" in refused(folder)


def test_the_package_that_is_missing_is_named(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save({"": [0, 1] * 6})
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "needs its package: pip install datasets" in refused(folder)
