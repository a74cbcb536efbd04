"""The history of a training, for its diagnosis, its logs and its next attempt; plain numbers without Keras."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EVALUATED_PARTS = ("train", "validation")
Point = Mapping[str, float]
"""The train_loss, val_loss, train_accuracy and val_accuracy of an epoch.

Other tasks have another metric than accuracy.
"""


@dataclass(frozen=True)
class LayerStats:
    """Statistics of a layer's outputs for a batch."""

    name: str
    rms: float
    """Root mean square of the outputs."""
    dead: float
    """Share of the channels that are 0 for every image; 0 for layers without rectifier."""
    alike: bool
    """Whether all channels have the same weights, and so the same gradient; only for the head's convolution."""


@dataclass(frozen=True)
class Outcome:
    """Predictions for images of a part, in inference. Means weigh each class by its share of the part."""

    images: int
    """Number of images predicted, about as many of each class."""
    loss: float
    """The task's loss."""
    loss_std: float
    """Standard deviation of the loss between images."""
    accuracy: float
    """This and what follows are 0 or empty for other tasks than single-label."""
    entropy: float
    """Mean entropy of the predicted distributions, in nats."""
    commonest: float
    """Share of the class that is predicted most often."""
    recalls: Sequence[float | None]
    """Recall by class; None for a class without images."""
    counts: Sequence[int]
    """Number of predicted images by class."""


@dataclass(frozen=True)
class NetworkInspection:
    """The state of a network, in inference, at one moment."""

    loss: float
    """The task's loss of training images."""
    layers: Sequence[LayerStats]
    """Layers that a trial may train, from the lowest to the logits."""
    commonest: float
    """Share of the class that is predicted most often for validation images."""
    batch_noise: float | None
    """Standard deviation of batch means, in standard deviations of the images; None without a norm that depends on the
    batch, or with fewer than two batches of inspected images.
    """
    statistics: Mapping[str, float] = field(default_factory=dict)
    """For each batch normalization below the head, a number that changes with its moving averages."""
    train: Outcome | None = None
    validation: Outcome | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "NetworkInspection":
        """Return the inspection from its `asdict`."""
        outcomes = {
            part: outcome and Outcome(**outcome)
            for part in EVALUATED_PARTS
            if (outcome := content.get(part)) is not None
        }
        return cls(**{**content, **outcomes, "layers": [LayerStats(**layer) for layer in content["layers"]]})


@dataclass
class TrainingHistory:
    """The history of a training. Epochs count from 1: the curve's first point is epoch 1."""

    curve: list[Point] = field(default_factory=list)
    gradients: list[dict[str, float]] = field(default_factory=list)
    """By epoch: root mean square of each kernel's gradient, averaged over steps, lowest kernel first."""
    gradient_norms: list[float] = field(default_factory=list)
    """By epoch: norm of all gradients together."""
    first_gradients: dict[str, float] = field(default_factory=dict)
    """As `gradients`, of the first step, before any weight has changed."""
    first_gradient_norm: float | None = None
    updates: list[dict[str, float]] = field(default_factory=list)
    """By epoch: root mean square of the change of each kernel, relative to that of the kernel before the epoch."""
    steps: list[int] = field(default_factory=list)
    """By epoch: number of optimizer steps."""
    before: NetworkInspection | None = None
    after: NetworkInspection | None = None
    diverged: int = 0
    """The epoch in which a loss became infinite or NaN; 0 for none."""
    seconds: list[float] = field(default_factory=list)
    """By epoch, including validation."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.curve)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the least validation loss; 0 before the first epoch."""
        losses = [point["val_loss"] for point in self.curve]
        return losses.index(min(losses)) + 1 if losses else 0

    @property
    def best(self) -> Point:
        return self.curve[self.best_epoch - 1]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "TrainingHistory":
        """Return the history from its `as_json`."""
        probes = {name: content[name] and NetworkInspection.of(content[name]) for name in ("before", "after")}
        return cls(**{**content, **probes})
