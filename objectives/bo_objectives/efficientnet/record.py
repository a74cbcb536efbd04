"""What is kept of a training for its diagnosis, its logs and its next attempt. Plain numbers; no Keras here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

JUDGED = ("train", "validation")
Point = Mapping[str, float]
"""An epoch's train_loss, val_loss, train_accuracy and val_accuracy; losses in nats."""


@dataclass(frozen=True)
class Layer:
    """What a layer makes of a batch."""

    name: str
    rms: float
    """Root mean square of its outputs."""
    dead: float
    """Share of its channels that are 0 for every image; of rectifiers alone, else 0."""
    alike: bool
    """Whether all of its channels have the same weights, and so the same gradient; of the head's convolution alone."""


@dataclass(frozen=True)
class Outcome:
    """Predictions for images of one part, in inference. Means weigh each class by its share of the part."""

    images: int
    """Number of images that were predicted, about as many of each class."""
    loss: float
    """Cross-entropy, in nats."""
    loss_std: float
    """Standard deviation of the cross-entropy between images."""
    accuracy: float
    entropy: float
    """Mean entropy of the predicted distributions, in nats."""
    commonest: float
    """Share of the class that is predicted most often."""
    recalls: Sequence[float | None]
    """By class; None for a class without images."""
    counts: Sequence[int]
    """Predicted images by class."""


@dataclass(frozen=True)
class Probe:
    """A look at a network, in inference, at one moment."""

    loss: float
    """Cross-entropy of training images, in nats."""
    layers: Sequence[Layer]
    """Those that a trial may train, from the lowest to the logits."""
    commonest: float
    """Share of the class that is predicted most often, of validation images."""
    batch_noise: float | None
    """Standard deviation of the means of batches, in standard deviations of the images; None where there is no norm
    that depends on the batch, or where two batches are more than was looked at."""
    statistics: Mapping[str, float] = field(default_factory=dict)
    """By batch normalization below the head: a number that changes when its moving averages change."""
    train: Outcome | None = None
    validation: Outcome | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Probe":
        """From `asdict`."""
        outcomes = {part: found and Outcome(**found) for part in JUDGED if (found := content.get(part)) is not None}
        return cls(**{**content, **outcomes, "layers": [Layer(**layer) for layer in content["layers"]]})


@dataclass
class Record:
    """A training as it goes. Epochs count from 1: the curve's first point is epoch 1's."""

    curve: list[Point] = field(default_factory=list)
    gradients: list[dict[str, float]] = field(default_factory=list)
    """By epoch: root mean square of the gradient of each kernel, the lowest first; of it, the average over steps."""
    gradient_norms: list[float] = field(default_factory=list)
    """By epoch: norm of all gradients together."""
    first_gradients: dict[str, float] = field(default_factory=dict)
    """As `gradients`, of the first step alone, before any weight has changed."""
    first_gradient_norm: float | None = None
    updates: list[dict[str, float]] = field(default_factory=list)
    """By epoch: root mean square of the change of each kernel, relative to that of the kernel before the epoch."""
    steps: list[int] = field(default_factory=list)
    """By epoch: optimizer steps."""
    before: Probe | None = None
    after: Probe | None = None
    diverged: int = 0
    """The epoch in which a loss became infinite or no number; 0 for none."""
    seconds: list[float] = field(default_factory=list)
    """By epoch, with its validation."""

    @property
    def epoch(self) -> int:
        """How many are done."""
        return len(self.curve)

    @property
    def best_epoch(self) -> int:
        """The first one with the least validation loss; 0 before there is one."""
        losses = [point["val_loss"] for point in self.curve]
        return losses.index(min(losses)) + 1 if losses else 0

    @property
    def best(self) -> Point:
        return self.curve[self.best_epoch - 1]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Record":
        """From `as_json`."""
        probes = {name: content[name] and Probe.of(content[name]) for name in ("before", "after")}
        return cls(**{**content, **probes})
