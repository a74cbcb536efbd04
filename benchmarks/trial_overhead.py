"""What a trial of the bundled objective costs beside its epochs: the first of a structure, and later ones.

python -m benchmarks.trial_overhead

Frozen trials on cached features of the bundled images, one after the other in one process. The overhead is the
processor time of a trial less that of its epochs, of which the first counts as the median of the others.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from bo_objectives.efficientnet.names import FROZEN
from bo_objectives.efficientnet.objective import EfficientNetObjective

NORMS: tuple[Mapping[str, Any], ...] = (
    {"norm": "layer"},
    {"norm": "batch"},
    *({"norm": "group", "groups": groups} for groups in (2, 8)),
)
TRIALS: tuple[Mapping[str, Any], ...] = (
    {"kernel_initializer": "glorot_uniform", "lr_head": 1e-3, "dropout": 0.2, "batch_size": 32},
    {"kernel_initializer": "he_normal", "lr_head": 4e-3, "dropout": 0.5, "batch_size": 16},
    {"kernel_initializer": "normal_0.01", "lr_head": 2e-3, "dropout": 0.1, "batch_size": 64},
)
"""Trials of one structure: what differs is in variables and batches."""


class Timing:
    """What the objective reports to: it keeps the processor time of each epoch's end."""

    number, attempt, checkpoint_uri = 1, 1, ""
    until_step: int | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ends: list[float] = []

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:  # noqa: ARG002
        """Keep the time."""
        self.ends.append(time.process_time())

    def label(self, labels: Mapping[str, str]) -> None:
        """Labels are not kept."""


def overhead(objective: EfficientNetObjective, parameters: Mapping[str, Any]) -> tuple[float, float]:
    """Return the processor seconds of a trial beside its epochs, and of all its epochs."""
    with tempfile.TemporaryDirectory() as folder:
        timing = Timing(Path(folder))
        began = time.process_time()
        objective.evaluate({"mode": FROZEN, **parameters}, timing)
        whole = time.process_time() - began
    epochs = [later - earlier for earlier, later in zip(timing.ends, timing.ends[1:], strict=False)]
    trained = len(timing.ends) * statistics.median(epochs)
    return whole - trained, trained


@click.command(help=__doc__)
@click.option("--epochs", type=click.IntRange(min=3), default=6, show_default=True)
@click.option("--option", "options", multiple=True, help="Further options of the objective, as name=value.")
def main(epochs: int, options: tuple[str, ...]) -> None:
    """Measure, and print a line for each trial."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    given = dict(option.split("=", 1) for option in options)
    objective = EfficientNetObjective(epochs=str(epochs), checkpoints="off", logs="", **given)
    overhead(objective, {**TRIALS[0], "norm": "none"})  # loads Keras, the images and the features
    ratios = []
    for norm in NORMS:
        measured = [overhead(objective, {**trial, **norm}) for trial in TRIALS]
        ratios += [later[0] / measured[0][0] for later in measured[1:]]
        told = ", ".join(f"{beside:.2f} s (and {trained:.2f} s of epochs)" for beside, trained in measured)
        click.echo(f"{' '.join(map(str, norm.values()))}: {told}")
    click.echo(f"a later trial's overhead is {statistics.median(ratios):.2f} of the first's (median)")


if __name__ == "__main__":
    main()
