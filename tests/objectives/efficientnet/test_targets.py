"""Several labels for an image, and numbers: what is read and refused, how it is split, and the figures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bo_objectives.efficientnet import data, data_sources, look, targets
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.settings import TrainingSettings
from bo_objectives.efficientnet.targets import TargetSpec
from bo_objectives.errors import SetupError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics as oracle

MULTI, NUMBERS = "multi-label", "regression"
SETS = ([], ["cat"], ["cat", "dog"], ["dog"])
Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 images that all differ."""
    for i in range(24):
        Image.new("RGB", (8, 8), (i * 10, 90, 40)).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.fixture
def table(folder: Path) -> Write:
    """Writes a table with the columns given, each a function of the image's number."""

    def write(count: int = 24, suffix: str = ".csv", **columns: Callable[[int], Any]) -> Path:
        rows = [{"path": f"{i}.png", **{name: value(i) for name, value in columns.items()}} for i in range(count)]
        path = folder / f"table{suffix}"
        if suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            lines = [list(rows[0]), *([f'"{value}"'.replace("'", '""') for value in row.values()] for row in rows)]
            path.write_text("".join(",".join(line) + "\n" for line in lines))
        return path

    return write


def refused(path: Path, task: str, columns: str = "", **options: str) -> str:
    """The message; what is refused at the start is refused when images are loaded, too."""
    given_options = {"data": str(path), "task": task, "targets": columns, "weights": "random", **options}
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(**given_options).define()
    return str(caught.value)


def loaded(path: Path, task: str, *columns: str) -> data.Images:
    return data_sources.load(str(path), 32, spec=TargetSpec(task, columns))


# ── what is read


@pytest.mark.parametrize(
    ("suffix", "label"),
    [
        (".csv", lambda i: " ; ".join(SETS[i % 4])),
        (".csv", lambda i: str(SETS[i % 4])),
        (".jsonl", lambda i: SETS[i % 4] * 2),
        (".jsonl", lambda i: ";".join(SETS[i % 4])),
    ],
)
def test_labels_are_separated_by_semicolons_or_in_a_json_list(table: Write, suffix: str, label) -> None:
    found = loaded(table(suffix=suffix, label=label), MULTI)
    assert found.classes == ("cat", "dog")
    assert found.targets is not None
    rows = {Path(name).stem: list(row) for name, row in zip(found.names, found.targets, strict=True)}
    assert [rows[str(i)] for i in range(4)] == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_labels_may_have_columns_of_their_own(table: Write) -> None:
    path = table(Dog=lambda i: i % 2, cat=lambda i: ("False", "TRUE")[i // 2 % 2])
    found = loaded(path, MULTI, "Dog", "cat")
    assert found.classes == ("Dog", "cat")
    assert found.targets is not None
    assert found.targets.sum(0).tolist() == [12, 12]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_numbers_are_those_of_the_named_columns(table: Write, suffix: str) -> None:
    path = table(suffix=suffix, age=lambda i: i / 4, label=lambda i: -i, other=lambda i: "x")
    assert loaded(path, NUMBERS).classes == ("label",)
    found = loaded(path, NUMBERS, "label", "AGE")
    assert found.classes == ("label", "AGE")
    assert found.targets is not None
    rows = {int(Path(name).stem): tuple(row) for name, row in zip(found.names, found.targets, strict=True)}
    assert rows == {i: (-i, i / 4) for i in range(24)}


def test_a_class_may_be_in_another_column(table: Write) -> None:
    assert loaded(table(kind=lambda i: "ab"[i % 2]), "single-label", "kind").classes == ("a", "b")


@pytest.mark.parametrize(
    ("task", "y", "names"),
    [
        (MULTI, np.arange(24)[:, None] // [1, 2] % 2, ("0", "1")),
        (MULTI, np.arange(24)[:, None] // [1, 2] % 2 == 1, ("0", "1")),
        (NUMBERS, np.arange(24) / 3, ("y",)),
        (NUMBERS, np.arange(48, dtype=np.int32).reshape(24, 2), ("0", "1")),
    ],
)
def test_arrays_hold_labels_or_numbers(tmp_path: Path, task: str, y: Any, names: tuple[str, ...]) -> None:
    path, x = tmp_path / "a.npz", np.arange(24 * 64, dtype=np.uint16).reshape(24, 8, 8)
    np.savez(path, x=x, y=y)
    found = loaded(path, task)
    assert found.classes == names
    assert np.array_equal(found.targets, y.reshape(24, -1))
    if len(names) == 2:
        np.savez(path, x=x, y=y, classes=np.array(["a", "b"]))
        assert loaded(path, task).classes == ("a", "b")


def test_a_skipped_image_takes_its_target_with_it(table: Write) -> None:
    path = table(label=lambda i: i)
    (path.parent / "3.png").write_bytes(b"no image")
    found = data_sources.load(str(path), 32, data_sources.Decoder(skips=True), TargetSpec(NUMBERS))
    assert found.targets is not None
    assert sorted(found.targets[:, 0]) == [i for i in range(24) if i != 3]


# ── what is refused


@pytest.mark.parametrize(
    ("task", "suffix", "value", "told"),
    [
        (NUMBERS, ".csv", "tall", "line 5: label is 'tall'; allowed is a number from -1e+30 to 1e+30, such as 3.5"),
        (NUMBERS, ".csv", "", "label is ''; allowed is a number"),
        (NUMBERS, ".csv", "nan", "label is 'nan'; allowed is a number"),
        (NUMBERS, ".csv", "1_0", "label is '1_0'; allowed is a number"),
        (NUMBERS, ".csv", "inf", "label is 'inf'; allowed is a number"),
        (NUMBERS, ".jsonl", None, "line 4: label is missing; allowed is a number"),
        (NUMBERS, ".jsonl", True, "label is True; allowed is a number"),
        (MULTI, ".csv", "cat;;dog", "line 5: label is ['cat', '', 'dog']; allowed is names of labels"),
        (MULTI, ".csv", "cat;NaN", "one that means a missing value is no name"),
        (MULTI, ".csv", "[1", "label is '[1'; allowed is names of labels with ';' between, a JSON list"),
        (MULTI, ".jsonl", None, "label is missing; allowed is names of labels"),
        (MULTI, ".jsonl", 1.5, "label is 1.5; allowed is names of labels"),
        (MULTI, ".csv", "rare", "too few images with the label rare (1): a label needs at least 5 different images"),
        ("single-label", ".jsonl", ["cat"], "label is ['cat']; .* set the option task=multi-label"),
        ("single-label", ".jsonl", 1.5, "label is 1.5; .* set the option task=regression"),
    ],
)
def test_a_wrong_value_is_refused_by_column_and_value(table: Write, task, suffix, value, told) -> None:
    usual = {NUMBERS: lambda i: i, MULTI: lambda i: "cat;dog" if i % 2 else "cat"}.get(task, lambda i: "ab"[i % 2])
    message = refused(table(suffix=suffix, label=lambda i: value if i == 3 else usual(i)), task)
    start, _, end = told.partition(" .* ")
    assert start in message
    assert end in message


@pytest.mark.parametrize(
    ("task", "columns", "value", "told"),
    [
        (NUMBERS, "", lambda i: 7, "label is 7 for every image of training"),
        (NUMBERS, "", lambda i: 1.7e9 + i, "subtract 1.7e+09 from every value"),
        (NUMBERS, "age", lambda i: i, "its first line must name the columns, among them path and age"),
        (NUMBERS, "split", lambda i: i, "option targets names split, which a manifest needs"),
        (NUMBERS, "label,Label", lambda i: i, "it must be different names of columns"),
        (MULTI, "", lambda i: "cat", "the data has 1 label (cat); the task multi-label needs at least 2"),
        ("single-label", "a,b", lambda i: i, "one for the task single-label"),
        ("single-label", "", lambda i: i / 8, "; to predict numbers, set the option task=regression"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(table: Write, task, columns, value, told) -> None:
    assert told in refused(table(label=value), task, columns)


@pytest.mark.parametrize(
    ("task", "y", "told"),
    [
        (MULTI, np.full((24, 2), 2), "y[0, 0] is 2, and 47 more are wrong; allowed are 0 and 1"),
        (MULTI, np.arange(24) % 2, "the task multi-label needs a matrix (n, labels) of 0 and 1"),
        (MULTI, np.eye(24, 2), "too few images with the label 0 (1), 1 (1)"),
        (
            MULTI,
            np.arange(24)[:, None] % [2, 1],
            "no image for training, validation and test (4 folds and the test) has ",
        ),
        (NUMBERS, np.array([*range(23), np.nan]), "y[23] is nan; allowed are numbers"),
        (NUMBERS, np.array(["1"] * 24), "the task regression needs numbers (n,) or (n, k)"),
        (NUMBERS, np.zeros(23), "there are 24 images and 23 labels"),
        ("single-label", np.arange(24) / 3, "to predict numbers, set the option task=regression"),
        ("single-label", np.ones((24, 2)), "if images have several labels, set the option task=multi-label"),
    ],
)
def test_wrong_arrays_are_refused_by_field_and_place(tmp_path: Path, task: str, y: Any, told: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(24 * 64, dtype=np.uint16).reshape(24, 8, 8), y=y)
    assert told in refused(path, task)


def test_sources_with_one_class_an_image_have_no_other_task() -> None:
    assert "has one class for each image; give a manifest" in refused(Path("emoji"), MULTI)
    assert "option task is 'ranking'; it must be one of single-label" in refused(Path("emoji"), "ranking")
    assert "which has no columns" in refused(Path("emoji"), "single-label", "kind")


def test_a_label_that_the_given_training_part_lacks_is_refused(table: Write) -> None:
    parts = ["train"] * 18 + ["test"] * 6
    path = table(label=lambda i: "cat;dog" if i % 2 else "cow" if i == 22 else "dog", split=lambda i: parts[i])
    assert "line 24: label is 'cow'; allowed is a class of the split train: cat, dog" in refused(path, MULTI)


# ── the split


@given(seed=st.integers(0, 99), task=st.sampled_from([MULTI, NUMBERS]), is_grouped=st.booleans())
def test_every_part_has_every_label_and_about_the_same_numbers(seed: int, task: str, is_grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 160
    values = (rng.random((n, 3)) < [0.6, 0.3, 0.12]) * 1.0 if task == MULTI else rng.lognormal(0, 1, (n, 1))
    groups = tuple(f"g{i // 2}" for i in range(n)) if is_grouped else ()
    names = tuple("abc"[: values.shape[1]])
    pixels, first = np.zeros((n, 1, 1, 3), np.uint8), np.arange(n) // (1 + (np.arange(n) < 20))
    images = data.Images(
        pixels, np.zeros(n, np.int64), names, digests=first.astype(np.uint64) + 1, groups=groups, task=task,
        targets=values,
    )  # fmt: skip
    folds = [data.places_of(images, fold) for fold in range(data.FOLDS)]
    for parts in folds:
        assert sorted(np.concatenate(list(parts.values()))) == list(range(n))
        units = [set(images.first[rows]) for rows in parts.values()]
        assert sum(map(len, units)) == len(set.union(*units))
        for rows in parts.values():
            if task == MULTI:
                assert values[rows].any(0).all()
            else:
                low, middle, high = np.quantile(values, [0.2, 0.5, 0.8])
                assert low < np.median(values[rows]) < high
                assert values[rows].min() < middle < values[rows].max()
        assert 0.1 * n < len(parts["validation"]) < 0.3 * n
    assert all(list(parts["test"]) == list(folds[0]["test"]) for parts in folds)
    validated = np.concatenate([parts["validation"] for parts in folds])
    assert len(set(validated)) == len(validated) == n - len(folds[0]["test"])


# ── the figures


@settings(max_examples=10)
@given(seed=st.integers(0, 999), ties=st.booleans())
def test_figures_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((30, 4)) < 0.4) * 1.0
    truth[0] = 1
    logits = rng.normal(size=truth.shape)
    logits = np.round(logits) if ties else logits
    figures = targets.multi_label_figures(logits, truth)
    expected = oracle.average_precision_score(truth, logits, average="macro")
    assert figures["average_precision"] == pytest.approx(expected)
    assert figures["f1"] == pytest.approx(oracle.f1_score(truth, logits > 0, average="macro", zero_division=0))
    p = 1 / (1 + np.exp(-logits))
    assert targets.binary_losses(logits, truth).mean() == pytest.approx(
        np.mean([oracle.log_loss(truth[:, j], p[:, j], labels=[0, 1]) for j in range(4)])
    )
    predicted, true = rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
    found = targets.regression_figures(predicted, true)
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(true, predicted))
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(true, predicted))
    assert found["r2"] == pytest.approx(oracle.r2_score(true, predicted))


def test_figures_are_finite_where_a_part_has_too_little() -> None:
    found = targets.multi_label_figures(np.zeros((2, 2)), np.zeros((2, 2)))
    assert found == {"f1": 0.0, "average_precision": 0.0}
    same = targets.regression_by_target(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]))
    assert same["r2"].tolist() == [1.0, 0.0]


# ── what is told


def test_a_first_look_prints_labels_and_histograms(table: Write, tmp_path: Path) -> None:
    path = table(label=lambda i: ";".join(SETS[i % 4]), age=lambda i: i)
    told = look.look(TrainingSettings(data=str(path), task=MULTI), tmp_path / "labels.png")
    assert "24 images with 2 labels: cat, dog" in told
    assert "an image has 0 to 2 labels, 1.00 in the mean; 6 images have none" in told
    assert "label       train  validation        test" in told
    assert sum(map(int, next(line for line in told.splitlines() if line.startswith("cat ")).split()[1:])) == 12
    told = look.look(TrainingSettings(data=str(path), task=NUMBERS, targets="age"), tmp_path / "numbers.png")
    assert "24 images with 1 number: age" in told
    assert "(split by range of numbers)" in told
    rows = [line.split()[-3:] for line in told.splitlines() if " to " in line][-10:]
    assert sum(int(count) for row in rows for count in row) == 24
    for name, labels in (("labels.png", 3), ("numbers.png", 8)):
        with Image.open(tmp_path / name) as picture:
            assert picture.height == labels * (look.CELL + look.GAP)


def test_joined_classes_and_contradicting_copies_are_said(table: Write) -> None:
    told = look.look(TrainingSettings(data=str(table(label=lambda i: ("a", "b", "a;b")[i % 3]))), None)
    assert "1 classes look like several with ';' between, such as a;b; if these are several labels" in told
    path = table(label=lambda i: i)
    (path.parent / "7.png").write_bytes((path.parent / "0.png").read_bytes())
    told = look.look(TrainingSettings(data=str(path), task=NUMBERS), None)
    assert "1 of these are given different numbers" in told


@pytest.mark.parametrize(
    ("task", "measured", "missing"),
    [
        (MULTI, ["val_f1", "val_average_precision"], {"class_weights"}),
        (NUMBERS, ["val_mae", "val_rmse", "val_r2"], {"class_weights", "label_smoothing"}),
    ],
)
def test_a_study_has_the_metrics_and_the_space_of_its_task(table: Write, task, measured, missing) -> None:
    path = table(label=lambda i: "cat;dog" if i % 2 else "cat", age=lambda i: i)
    options = {"data": str(path), "weights": "random", "space": "full"}
    single = EfficientNetObjective(**{**options, "data": "emoji"}).define()
    other = EfficientNetObjective(**options, task=task, targets="age" if task == NUMBERS else "").define()
    assert [metric.name for metric in other.metrics][: 1 + len(measured)] == ["val_loss", *measured]
    assert other.metrics[0].goal == "minimize"
    names = {parameter.name for parameter in other.space.parameters}
    assert names == {parameter.name for parameter in single.space.parameters} - missing
    assert ("prior" in other.space["bias_initializer"].values) is (task == MULTI)
    assert other.options is not None
    assert other.options["task"] == task
    assert single.options is not None
    assert not {"task", "targets"} & set(single.options)  # as in studies of earlier versions
