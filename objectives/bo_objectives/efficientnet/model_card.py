"""The model card, with what users need to know of a model (Mitchell et al. 2019, arXiv:1810.03993)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import shortened

MAX_CLASSES, MAX_NAME = 100, 60
"""Number of classes that the card names, and characters of a name."""

LIMITS = """\
- {knows}
- It was measured on pictures of the same source as those it was trained on; others may look different to it.
- The configuration was chosen by its validation loss among several, so that loss is somewhat too good; the test images
  were looked at once, by this model, after the choice.
- Nothing was measured of fairness, of robustness to attacks, or of {last}.
"""
WHAT = {
    SINGLE_LABEL: "An image classifier.",
    MULTI_LABEL: "A classifier of images that may have any number of labels.",
    REGRESSION: "A network that predicts numbers from images.",
}
CALIBRATION = "how well its probabilities are calibrated"
CODE = {
    SINGLE_LABEL: "probabilities = keras.ops.softmax(model.predict(pixels))",
    MULTI_LABEL: "probabilities = keras.ops.sigmoid(model.predict(pixels))  # a label is there from 0.5",
    REGRESSION: "numbers = model.predict(pixels)  # in the units of the data",
}
KNOWS = {
    SINGLE_LABEL: "It knows these classes alone, and gives one of them for every picture.",
    MULTI_LABEL: "It knows these labels alone, and a picture may have none of them.",
    REGRESSION: "It gives numbers for every picture, and was not measured beyond the range of the data.",
}


def model_card(provenance: Mapping[str, Any], metrics: Mapping[str, float], picture: str) -> str:
    """Return the card as Markdown, from `TrainingRun.provenance`."""
    settings, images = provenance["settings"], provenance["images"]
    size = provenance["parameters"]["image_size"] or settings["image_size"]
    task, names = provenance.get("task", SINGLE_LABEL), provenance["classes"]
    shown = "predictions over true numbers" if task == REGRESSION else "confusion matrix"
    confusion = f"\n![{shown}]({picture})\n" if picture else "\nSee confusion_matrix.csv.\n"
    return f"""\
# {settings["backbone"]}, tuned

{WHAT[task]} `model.keras` takes pixels (B, {size}, {size}, 3) from 0 to 255 and gives \
{"numbers" if task == REGRESSION else "logits"} (B, {len(names)}), in the order of `classes.json`: {_classes(names)}.

    import keras
    model = keras.models.load_model("model.keras")
    {CODE[task]}

## Data

`{settings["data"]}`: {images["train"]} images for training, {images["validation"]} for validation, \
{images["test"]} for the test, at {size} × {size} pixels.
SHA-256 of the pixels: {"; ".join(f"{part} {digest}" for part, digest in provenance["pixels_sha256"].items())}.
{_scale(provenance)}{_depth(provenance["bits"])}{_skipped(provenance["skipped_images"])}
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

{LIMITS.format(knows=KNOWS[task], last="how sure its numbers are" if task == REGRESSION else CALIBRATION)}"""


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


def _scale(provenance: Mapping[str, Any]) -> str:
    """Return the mean and deviation of the numbers that are predicted; empty for other tasks."""
    scale = provenance.get("scale")
    if scale is None:
        return ""
    names = [shortened(name, MAX_NAME).replace("`", "'") for name in provenance["classes"][:MAX_CLASSES]]
    texts = [
        f"{name} {mean:.6g} ± {deviation:.6g}"
        for name, mean, deviation in zip(names, scale["mean"], scale["standard_deviation"], strict=False)
    ]
    return f"Mean and standard deviation in training: {'; '.join(texts)}.\n"


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
