"""The model card: what a stranger must know of a model before using it (Mitchell et al. 2019, arXiv:1810.03993)."""

from collections.abc import Mapping
from typing import Any

LIMITS = """\
- It knows these classes alone, and gives one of them for every picture.
- It was measured on pictures of the same source as those it was trained on; others may look different to it.
- The configuration was chosen by its validation loss among several, so that loss is somewhat too good; the test images
  were looked at once, by this model, after the choice.
- Nothing was measured of fairness, of robustness to attacks, or of how well its probabilities are calibrated.
"""


def model_card(traced: Mapping[str, Any], metrics: Mapping[str, float], picture: str) -> str:
    """Markdown, of what `Trial.traced` tells."""
    settings, images = traced["settings"], traced["images"]
    size = traced["parameters"]["image_size"] or settings["image_size"]
    confusion = f"\n![confusion matrix]({picture})\n" if picture else "\nSee confusion_matrix.csv.\n"
    return f"""\
# {settings["backbone"]}, tuned

An image classifier. `model.keras` takes pixels (B, {size}, {size}, 3) from 0 to 255 and gives logits (B, \
{len(traced["classes"])}), in the order: {", ".join(traced["classes"])}.

    import keras
    model = keras.models.load_model("model.keras")
    probabilities = keras.ops.softmax(model.predict(pixels))

## Data

`{settings["data"]}`: {images["train"]} images for training, {images["validation"]} for validation, \
{images["test"]} for the test, at {size} × {size} pixels.
SHA-256 of the pixels: {"; ".join(f"{part} {digest}" for part, digest in traced["pixels_sha256"].items())}.
{_skipped(traced["skipped_images"])}
## Weights it began with

{traced["weights"]["source"]}{_hash(traced["weights"]["sha256"])}

## Metrics

{_table("metric", metrics)}
{confusion}
## Parameters

{_table("parameter", traced["parameters"])}

Keras {traced["keras"]["version"]} on {traced["keras"]["backend"]}, seed {settings["seed"]}, \
at most {settings["epochs"]} epochs, {settings["precision"]}.

## Diagnosis

{_diagnosis(traced)}
## Limits

{LIMITS}"""


def _table(title: str, values: Mapping[str, Any]) -> str:
    shown = {name: f"{v:.6g}" if isinstance(v, float) else str(v) for name, v in values.items()}
    return "\n".join([f"| {title} | value |", "|---|---|", *(f"| {name} | {text} |" for name, text in shown.items())])


def _hash(digest: str) -> str:
    return f", SHA-256 {digest}" if digest else ""


def _skipped(names: list[str]) -> str:
    return f"\n{len(names)} pictures could not be read and were left out.\n" if names else ""


def _diagnosis(traced: Mapping[str, Any]) -> str:
    told = [f"- {f['kind']}: {f['evidence']}; {f['remedy']}" for f in traced["diagnosis"]]
    return "\n".join([*told, *(f"- {text}" for text in traced["warnings"])] or ["Healthy."]) + "\n"
