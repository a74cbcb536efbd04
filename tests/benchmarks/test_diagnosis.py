"""The benchmark of the diagnosis: its plan, its images, and what its records say to the present thresholds."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.diagnosis import datasets, plan, reporting
from benchmarks.diagnosis.__main__ import RESULTS, read

ROWS = read(RESULTS / "diagnosis.jsonl")


@pytest.mark.parametrize("half", datasets.HALVES)
def test_each_half_plants_enough(half: str) -> None:
    cases = plan.cases(half)
    assert sum(bool(case.expected) for case in cases) >= 30
    assert sum(not case.expected for case in cases) >= 15
    assert {case.data for case in cases if not case.expected} == {"emoji", "digits", "drawn"}
    assert max(Counter(case.key for case in cases).values()) == 1


@pytest.mark.parametrize("data", datasets.MAKERS)
def test_the_halves_have_no_image_in_common(data: str, tmp_path) -> None:
    pixels = {}
    for half in datasets.HALVES:
        datasets.write(tmp_path / "images.npz", data, half, None)
        with np.load(tmp_path / "images.npz") as content:
            pixels[half] = {image.tobytes() for image in content["images"]}
            assert content["labels"].max() >= 4
    assert not pixels["development"] & pixels["test"]


def test_a_plant_in_the_images_is_there(tmp_path) -> None:
    datasets.write(tmp_path / "images.npz", "digits", "test", datasets.against_the_rest(5, 20))
    with np.load(tmp_path / "images.npz") as content:
        assert np.bincount(content["labels"]).tolist() == [360, 20]


@pytest.mark.parametrize("half", datasets.HALVES)
def test_the_records_are_diagnosed_as_the_report_says(half: str) -> None:
    """Of the trainings that were recorded, nine tenths of the plants have the right cause, and no control a finding."""
    cases = [case for case in plan.cases(half) if case.key in ROWS]
    right = {case.key: reporting.is_right(case, reporting.findings_of(ROWS[case.key])) for case in cases}
    plants, controls = [c for c in cases if c.expected], [c for c in cases if not c.expected]
    assert len(plants) >= 30
    assert len(controls) >= 15
    assert [c.name for c in controls if not right[c.key]] == []
    assert sum(right[c.key] for c in plants) >= 0.9 * len(plants)


def test_the_report_is_that_of_the_records() -> None:
    assert (RESULTS / "diagnosis.md").read_text("utf-8") == reporting.markdown(ROWS)
