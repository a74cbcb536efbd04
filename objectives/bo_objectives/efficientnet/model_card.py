"""The model card, with what users need to know of a model (Mitchell et al. 2019, arXiv:1810.03993)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bo_objectives.efficientnet.printing import shortened

MAX_CLASSES, MAX_NAME = 100, 60
"""Number of classes that the card names, and characters of a name."""

LIMITS = """\
- It knows these classes alone, and gives one of them for every picture.
- It was measured on pictures of the same source as those it was trained on; others may look different to it.
- The configuration was chosen by its validation loss among several, so that loss is somewhat too good; the test images
  were looked at once, by this model, after the choice.
- Nothing was measured of fairness, of robustness to attacks, or of how well its probabilities are calibrated.
"""


def model_card(provenance: Mapping[str, Any], metrics: Mapping[str, float], picture: str) -> str:
    """Return the card as Markdown, from `TrainingRun.provenance`."""
    settings, images = provenance["settings"], provenance["images"]
    size = provenance["parameters"]["image_size"] or settings["image_size"]
    confusion = f"\n![confusion matrix]({picture})\n" if picture else "\nSee confusion_matrix.csv.\n"
    return f"""\
# {settings["backbone"]}, tuned

An image classifier. `model.keras` takes pixels (B, {size}, {size}, 3) from 0 to 255 and gives logits (B, \
{len(provenance["classes"])}), in the order of `classes.json`: {_classes(provenance["classes"])}.

    import keras
    model = keras.models.load_model("model.keras")
    probabilities = keras.ops.softmax(model.predict(pixels))

## Data

`{settings["data"]}`: {images["train"]} images for training, {images["validation"]} for validation, \
{images["test"]} for the test, at {size} × {size} pixels.
SHA-256 of the pixels: {"; ".join(f"{part} {digest}" for part, digest in provenance["pixels_sha256"].items())}.
{_depth(provenance["bits"])}{_skipped(provenance["skipped_images"])}
## Weights it began with

{provenance["weights"]["source"]}{_hash(provenance["weights"]["sha256"])}

## Metrics

{_table("metric", metrics)}
{confusion}
## Parameters

{_table("parameter", provenance["parameters"])}

Keras {provenance["keras"]["version"]} on {provenance["keras"]["backend"]}, seed {settings["seed"]}, \
at most {settings["epochs"]} epochs, {settings["precision"]}.

## Diagnosis

{_diagnosis(provenance)}
## Limits

{LIMITS}"""


def _table(title: str, values: Mapping[str, Any]) -> str:
    shown = {name: f"{v:.6g}" if isinstance(v, float) else str(v) for name, v in values.items()}
    return "\n".join([f"| {title} | value |", "|---|---|", *(f"| {name} | {text} |" for name, text in shown.items())])


def _classes(names: Sequence[str]) -> str:
    """Return the first names as JSON texts in a code span, which no name can end."""
    texts = [json.dumps(shortened(name, MAX_NAME), ensure_ascii=False) for name in names[:MAX_CLASSES]]
    more = f" and {len(names) - MAX_CLASSES} more" if len(names) > MAX_CLASSES else ""
    return "`" + ", ".join(texts).replace("`", "\\u0060") + "`" + more


def _hash(digest: str) -> str:
    return f", SHA-256 {digest}" if digest else ""


def _depth(bits: int) -> str:
    if bits == 8:
        return ""
    return (
        f"\nThe pictures have {bits} bits. Prepare others alike: divide their values by {1 << (bits - 8)}, drop the "
        "fraction, and limit them to 255; never stretch a picture to its own least and largest value.\n"
    )


def _skipped(names: list[str]) -> str:
    return f"\n{len(names)} pictures could not be read and were left out.\n" if names else ""


def _diagnosis(provenance: Mapping[str, Any]) -> str:
    findings = [f"- {f['kind']}: {f['evidence']}; {f['remedy']}" for f in provenance["diagnosis"]]
    return "\n".join([*findings, *(f"- {text}" for text in provenance["warnings"])] or ["Healthy."]) + "\n"
