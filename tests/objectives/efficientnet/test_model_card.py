"""The card of an exported model says how other pictures are prepared."""

from typing import Any

import pytest
from bo_objectives.efficientnet.model_card import model_card


def provenance(bits: int) -> dict[str, Any]:
    return {
        "settings": {"backbone": "b", "data": "d", "image_size": 64, "seed": 0, "epochs": 1, "precision": "float32"},
        "images": {"train": 6, "validation": 2, "test": 2},
        "parameters": {"image_size": 0, "lr_head": 0.001},
        "classes": ["a", "b"],
        "pixels_sha256": {"train": "00"},
        "bits": bits,
        "skipped_images": [],
        "weights": {"source": "random", "sha256": ""},
        "keras": {"version": "3", "backend": "jax"},
        "diagnosis": [],
        "warnings": [],
    }


@pytest.mark.parametrize(("bits", "divisor"), [(10, 4), (12, 16), (16, 256)])
def test_deep_pictures_are_prepared_as_in_training(bits: int, divisor: int) -> None:
    card = model_card(provenance(bits), {"test_accuracy": 0.5}, "")
    assert f"The pictures have {bits} bits." in card
    assert f"divide their values by {divisor}," in card


def test_pictures_of_eight_bits_need_nothing() -> None:
    assert "bits" not in model_card(provenance(8), {"test_accuracy": 0.5}, "")
