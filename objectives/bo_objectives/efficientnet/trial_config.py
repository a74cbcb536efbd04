"""The complete and validated parameters of a trial, without Keras."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bo_client import FailureReason, Value

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.names import (
    BIAS_INITIALIZERS,
    CLASS_WEIGHTS,
    FINE_TUNE,
    FROZEN,
    IMAGE_STEP,
    INITIALIZERS,
    MODES,
    NETWORK,
    NORM_SCOPES,
    NORMS,
    SCHEDULES,
    SCRATCH,
    TWO_STAGE,
)
from bo_objectives.efficientnet.space import FALLBACKS

Rule = tuple[Callable[[Any], bool], str]

FRACTION: Rule = (lambda v: 0 <= v < 1, "at least 0 and below 1")
SHARE: Rule = (lambda v: 0 <= v <= 1, "from 0 to 1")
POSITIVE: Rule = (lambda v: 0 < v < float("inf"), "above 0")
NOT_NEGATIVE: Rule = (lambda v: 0 <= v < float("inf"), "0 or more")
COUNT: Rule = (lambda v: v >= 1 and v % 1 == 0, "a whole number from 1")
SIDE: Rule = (lambda v: v >= 0 and v % IMAGE_STEP == 0, f"a multiple of {IMAGE_STEP}, or 0 for the option image_size")


def one_of(names: tuple[str, ...]) -> Rule:
    """Return a rule that allows only some names."""
    return names.__contains__, f"one of {', '.join(names)}"


RULES: Mapping[str, Rule] = {
    "mode": one_of(MODES),
    "kernel_initializer": one_of(INITIALIZERS),
    "bias_initializer": one_of(BIAS_INITIALIZERS),
    "norm": one_of(NORMS),
    "groups": COUNT,
    "norm_scope": one_of(NORM_SCOPES),
    "lr_head": POSITIVE,
    "lr_backbone_ratio": POSITIVE,
    "unfreeze_top": COUNT,
    "head_share": FRACTION,
    "schedule": one_of(SCHEDULES),
    "warmup": FRACTION,
    "weight_decay": NOT_NEGATIVE,
    "clip_norm": NOT_NEGATIVE,
    "dropout": FRACTION,
    "label_smoothing": FRACTION,
    "class_weights": one_of(CLASS_WEIGHTS),
    "augmentation": SHARE,
    "batch_size": COUNT,
    "image_size": SIDE,
    "rand_augment": SHARE,
    "mixup": SHARE,
    "ema_momentum": FRACTION,
}
ADDED = ("rand_augment", "mixup", "ema_momentum")
"""Parameters that checkpoints of earlier versions lack; then they have their fallbacks."""


@dataclass(frozen=True)
class TrialConfig:
    """The configuration of a trial: one field for each parameter of `space.FALLBACKS`.

    `unfreeze_top` is 0 if no pretrained block is trained. `image_size` and `clip_norm` are 0 if they are not set.
    """

    mode: str
    kernel_initializer: str
    bias_initializer: str
    norm: str
    groups: int
    norm_scope: str
    lr_head: float
    lr_backbone_ratio: float
    unfreeze_top: int
    head_share: float
    schedule: str
    warmup: float
    weight_decay: float
    clip_norm: float
    dropout: float
    label_smoothing: float
    class_weights: str
    augmentation: float
    batch_size: int
    image_size: int
    rand_augment: float
    mixup: float
    ema_momentum: float
    others: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """Parameters that only the user's functions know."""

    @classmethod
    def of(cls, parameters: Mapping[str, Value], allows_others: bool = False) -> "TrialConfig":
        """Return the configuration; parameters that the study's space lacks get the textbook's values.

        Args:
            parameters: values by name.
            allows_others: whether a user's function may know other parameters.

        Raises:
            TrialFailed: INVALID_CONFIGURATION, as a name is unknown or a value invalid.
        """
        unknown = sorted(set(parameters) - set(FALLBACKS))
        if unknown and not allows_others:
            raise invalid(f"efficientnet has no parameter {', '.join(unknown)}; it has {', '.join(FALLBACKS)}")
        values: dict[str, Any] = {**FALLBACKS, **{n: v for n, v in parameters.items() if n in FALLBACKS}}
        for name, (allowed, requirement) in RULES.items():
            if not _obeys(values[name], allowed, example=FALLBACKS[name]):
                raise invalid(f"{name} is {values[name]!r}; it must be {requirement}")
            values[name] = type(FALLBACKS[name])(values[name])
        if values["mode"] not in (FINE_TUNE, TWO_STAGE):
            values["unfreeze_top"] = 0
        return cls(**values, others={name: parameters[name] for name in unknown})

    def as_dict(self) -> dict[str, Value]:
        """Return all parameters by name."""
        return {**{name: getattr(self, name) for name in FALLBACKS}, **self.others}

    @property
    def is_augmented(self) -> bool:
        """Whether images change from step to step, so that their features cannot be computed once."""
        return self.augmentation > 0 or self.rand_augment > 0 or self.mixup > 0

    @property
    def is_pretrained(self) -> bool:
        return self.mode != SCRATCH

    @property
    def has_two_rates(self) -> bool:
        """Whether the backbone is trained beside the head, with its own rate."""
        return self.mode == FINE_TUNE

    def warnings(self) -> list[str]:
        """Return warnings about the configuration."""
        if self.norm_scope != NETWORK or self.mode == SCRATCH:
            return []
        if self.mode == FROZEN:
            return [
                "norm_scope=network changes nothing here: a frozen backbone keeps its norms; set mode=scratch for it"
            ]
        return [
            f"norm_scope=network replaces the batch norms of the top {self.unfreeze_top} blocks by norm={self.norm}, "
            "which discards their pretrained statistics; set norm_scope=head, or mode=scratch"
        ]


def _obeys(value: Value, allowed: Callable[[Any], bool], example: Value) -> bool:
    return isinstance(value, str) == isinstance(example, str) and allowed(value)


def invalid(message: str) -> TrialFailed:
    """Return the failure of a trial with invalid parameters."""
    return TrialFailed(FailureReason.INVALID_CONFIGURATION, message)
