"""Groups of images never cross a split or a fold; where that is impossible, it is said before the study."""

import logging
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.data import Images
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

CLASSES = ("a", "b", "c")


def images(labels: list[int], groups: list[str], picture: list[int] | None = None, **more: tuple[str, ...]) -> Images:
    """Images without pixels; equal numbers in `picture` are copies."""
    digests = np.arange(1, len(labels) + 1) if picture is None else np.array(picture) + 1
    pixels = np.zeros((len(labels), 1, 1, 3), np.uint8)
    classes = CLASSES[: max(labels) + 1]
    return Images(
        pixels, np.array(labels), classes, digests=digests.astype(np.uint64), groups=tuple(groups), **more
    )  # fmt: skip


grouped_images = st.lists(
    st.lists(st.integers(1, 6), min_size=8, max_size=20), min_size=2, max_size=3
)  # for each class, the sizes of its groups


@given(sizes=grouped_images, seed=st.integers(0, 99))
def test_no_group_crosses_a_part_and_every_class_is_in_every_part_of_every_fold(
    sizes: list[list[int]], seed: int
) -> None:
    rows = [(label, f"{label}.{i}") for label, of in enumerate(sizes) for i, size in enumerate(of) for _ in range(size)]
    order = np.random.default_rng(seed).permutation(len(rows))
    labels, groups = [rows[i][0] for i in order], np.array([rows[i][1] for i in order])
    found = images(labels, list(groups))
    folds = [data.places_of(found, fold) for fold in range(data.FOLDS)]
    for parts in folds:
        assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
        held = {part: set(groups[indices]) for part, indices in parts.items()}
        assert not held["train"] & held["validation"]
        assert not (held["train"] | held["validation"]) & held["test"]
        for indices in parts.values():
            assert set(np.array(labels)[indices]) == set(range(len(sizes)))
    assert all(list(parts["test"]) == list(folds[0]["test"]) for parts in folds)
    validated = np.concatenate([parts["validation"] for parts in folds])
    assert len(set(validated)) == len(validated) == len(labels) - len(folds[0]["test"])


def test_groups_of_several_classes_are_spread_evenly() -> None:
    rng = np.random.default_rng(0)
    rows = [(int(label), f"g{g}") for g in range(60) for label in rng.choice(3, 5, p=[0.7, 0.2, 0.1])]
    labels, groups = zip(*rows, strict=True)
    found = images(list(labels), list(groups))
    whole = np.bincount(labels)
    for fold in range(data.FOLDS):
        for part, indices in data.places_of(found, fold).items():
            assert np.bincount(np.array(labels)[indices]) / whole == pytest.approx(data.PARTS[part], abs=0.08)


def test_groups_that_share_a_copy_stay_together() -> None:
    labels = [0, 1] * 12
    groups = [f"g{i // 2}" for i in range(24)]
    picture = list(range(24))
    picture[2] = picture[20]  # g1 and g10
    found = images(labels, groups, picture)
    for fold in range(data.FOLDS):
        parts = data.places_of(found, fold)
        assert any({2, 3, 20, 21} <= set(map(int, indices)) for indices in parts.values())


def test_folds_of_a_given_training_part_keep_groups_whole() -> None:
    labels = [0, 1] * 20
    groups = [f"g{i // 4}" for i in range(40)]
    found = images(labels, groups, given_parts=("train",) * 32 + ("test",) * 8)
    validated = [set(map(int, data.places_of(found, fold)["validation"])) for fold in range(data.FOLDS)]
    assert [len(fold) for fold in validated] == [8] * 4
    assert set.union(*validated) == set(range(32))
    assert all(len({groups[i] for i in fold}) == 2 for fold in validated)
    assert list(data.places_of(found, 0)["test"]) == list(range(32, 40))


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (["g0"] * 20, r"too few groups of a \(10 images in 1 groups\), b \(10 images in 1 groups\)"),
        ([f"g{i // 5}" for i in range(20)], r"a \(10 images in 4 groups\).*at least 5 groups"),
    ],
)
def test_too_few_groups_are_refused(groups: list[str], told: str) -> None:
    with pytest.raises(SetupError, match=told):
        data.split(images([0, 1] * 10, groups))


def test_groups_that_cannot_give_every_part_every_class_are_refused() -> None:
    """Each class is in five groups; 5 and 6 must share a part for b, which leaves four parts with c."""
    held = {0: (1, 2, 3, 4, 5), 1: (1, 2, 3, 4, 6), 2: (5, 6, 7, 8, 9)}
    rows = [(label, f"g{g}") for label, numbers in held.items() for g in numbers]
    with pytest.raises(SetupError, match="found no split of the 9 groups with every class"):
        data.split(images([label for label, _ in rows], [group for _, group in rows]))
    possible = images([*(label for label, _ in rows), 2], [*(group for _, group in rows), "g10"])
    assert set(data.split(possible).test.labels) == {0, 1, 2}


def test_a_group_column_is_read_told_and_part_of_the_study(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_table(tmp_path, groups=lambda i: f"patient {i // 2}")
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(data=str(path), weights="random").define()
    assert "12 groups, each in one part of the split; the largest is patient 0 with 2 of 24 images" in caplog.text
    assert "validation (split by group and class, fold 0)" in caplog.text
    before = data_sources.contents(str(path))
    assert data_sources.contents(str(write_table(tmp_path, groups=lambda i: f"patient {i // 3}"))) != before


@pytest.mark.parametrize("value", ["", "nan"])
def test_a_missing_group_is_told_with_its_line(tmp_path: Path, value: str) -> None:
    path = write_table(tmp_path, groups=lambda i: value if i == 5 else "p")
    with pytest.raises(SetupError, match=f"line 7: group is '{value}'; allowed is the name of a group"):
        data_sources.load(str(path), 32)


def test_a_group_in_two_given_parts_is_told_with_its_lines(tmp_path: Path) -> None:
    path = write_table(tmp_path, lambda i: f"p{i // 2}", lambda i: "train" if i < 19 else "test")
    told = "line 21: split is 'test'; allowed is train, as in line 20, whose group is 'p9', too"
    with pytest.raises(SetupError, match=told):
        data_sources.load(str(path), 32)


def test_too_few_groups_are_refused_before_the_study(tmp_path: Path) -> None:
    path = write_table(tmp_path, groups=lambda i: f"p{i // 8}")
    with pytest.raises(SetupError, match=r"table.csv: too few groups of cat \(12 images in 3 groups\)"):
        EfficientNetObjective(data=str(path), weights="random").define()


def test_copies_in_different_groups_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_table(tmp_path, groups=lambda i: f"p{i // 2}")
    (tmp_path / "5.png").write_bytes((tmp_path / "13.png").read_bytes())
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(data=str(path), weights="random").define()
    assert "1 of these are in different groups" in caplog.text


def write_table(folder: Path, groups, split=lambda _: "") -> Path:
    """A table of 24 pictures that all differ; every second is a cat."""
    rows = ["path,label,group,split"]
    for i in range(24):
        Image.new("RGB", (8, 8), (i * 10, 90, 40)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{('cat', 'dog')[i % 2]},{groups(i)},{split(i)}")
    path = folder / "table.csv"
    path.write_text("\n".join(rows))
    return path
