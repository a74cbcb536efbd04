"""A trial's parameters, complete and checked. No Keras here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bo_client import FailureReason, Value

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.names import FROZEN, INITIALIZERS, MODES, NORMS
from bo_objectives.efficientnet.space import FALLBACKS

Rule = tuple[Callable[[Any], bool], str]

FRACTION: Rule = (lambda v: 0 <= v < 1, "at least 0 and below 1")
POSITIVE: Rule = (lambda v: 0 < v < float("inf"), "above 0")
COUNT: Rule = (lambda v: v >= 1 and v % 1 == 0, "a whole number from 1")


def one_of(names: tuple[str, ...]) -> Rule:
    """Only these names."""
    return names.__contains__, f"one of {', '.join(names)}"


RULES: Mapping[str, Rule] = {
    "mode": one_of(MODES),
    "kernel_initializer": one_of(INITIALIZERS),
    "norm": one_of(NORMS),
    "groups": COUNT,
    "lr_head": POSITIVE,
    "lr_backbone_ratio": POSITIVE,
    "unfreeze_top": COUNT,
    "dropout": FRACTION,
    "label_smoothing": FRACTION,
    "batch_size": COUNT,
}


@dataclass(frozen=True)
class Choice:
    """What is trained with. `unfreeze_top` is 0 where the backbone is frozen."""

    mode: str
    kernel_initializer: str
    norm: str
    groups: int
    lr_head: float
    lr_backbone_ratio: float
    unfreeze_top: int
    dropout: float
    label_smoothing: float
    batch_size: int

    @classmethod
    def of(cls, parameters: Mapping[str, Value]) -> "Choice":
        """Parameters that the study's space lacks are the textbook's.

        Raises:
            TrialFailed: INVALID_CONFIGURATION, for a name that isn't known or a value that isn't allowed.
        """
        unknown = sorted(set(parameters) - set(FALLBACKS))
        if unknown:
            raise invalid(f"efficientnet has no parameter {', '.join(unknown)}; it has {', '.join(FALLBACKS)}")
        values: dict[str, Any] = {**FALLBACKS, **parameters}
        for name, (allowed, words) in RULES.items():
            if not _obeys(values[name], allowed, like=FALLBACKS[name]):
                raise invalid(f"{name} is {values[name]!r}; it must be {words}")
            values[name] = type(FALLBACKS[name])(values[name])
        if values["mode"] == FROZEN:
            values["unfreeze_top"] = 0
        return cls(**values)


def _obeys(value: Value, allowed: Callable[[Any], bool], like: Value) -> bool:
    return isinstance(value, str) == isinstance(like, str) and allowed(value)


def invalid(message: str) -> TrialFailed:
    """The failure of a trial whose parameters can't be trained with."""
    return TrialFailed(FailureReason.INVALID_CONFIGURATION, message)
