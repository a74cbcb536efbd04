"""The objective's options: one set of them holds for a whole study, while parameters differ from trial to trial."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bo_objectives.efficientnet import sources, weight_files
from bo_objectives.efficientnet.names import BACKBONES, IMAGENET, LITE0
from bo_objectives.errors import SetupError

BACKENDS = ("tensorflow", "jax", "torch")
CACHES = ("on", "off")
IMAGE_STEP = 32  # a backbone halves the image five times


def default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "bo-objectives"


@dataclass(frozen=True)
class Settings:
    """What holds for every trial of a study.

    data: emoji (the bundled images), a folder with a subfolder for each class, an .npz file, or tfds:NAME.
    backbone: one of `names.BACKBONES`.
    weights: imagenet, the path of a weights file, or random (which is asked for, never fallen back to).
    image_size: side in pixels, a multiple of 32.
    epochs: of every trial.
    head_width: channels of the head's 1×1 convolution.
    cache: whether features below the trained blocks are computed once and kept; off runs the whole network each step.
    cache_dir: where they are kept on disk, for the next process.
    seed: of initial weights, dropout and the order of batches; the split of the data doesn't depend on it.
    backend: tensorflow, jax or torch; empty for Keras's own choice.
    """

    data: str = "emoji"
    backbone: str = LITE0
    weights: str = IMAGENET
    image_size: int = 96
    epochs: int = 6
    head_width: int = 128
    cache: str = "on"
    cache_dir: str = ""
    seed: int = 0
    backend: str = ""

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> "Settings":
        """From texts, as on a command line. Raises SetupError naming the option, what was given and what is allowed."""
        types = {field.name: type(field.default) for field in fields(cls)}
        unknown = sorted(set(options) - set(types))
        if unknown:
            raise SetupError(f"unknown option {', '.join(unknown)}; efficientnet has {', '.join(types)}")
        values: dict[str, Any] = {name: _typed(name, types[name], text) for name, text in options.items()}
        return cls(**values)

    def __post_init__(self) -> None:
        rules: list[tuple[str, Callable[[Any], bool], str]] = [
            ("backbone", BACKBONES.__contains__, f"one of {', '.join(BACKBONES)}"),
            ("image_size", lambda v: v >= IMAGE_STEP and v % IMAGE_STEP == 0, f"a multiple of {IMAGE_STEP}"),
            ("epochs", lambda v: v >= 1, "1 or more"),
            ("head_width", lambda v: v >= 1, "1 or more"),
            ("cache", CACHES.__contains__, f"one of {', '.join(CACHES)}"),
            ("seed", lambda v: 0 <= v < 2**31, "from 0 to 2147483647"),
            ("backend", ("", *BACKENDS).__contains__, f"one of {', '.join(BACKENDS)}"),
        ]
        for name, allowed, words in rules:
            if not allowed(getattr(self, name)):
                raise SetupError(f"option {name} is {getattr(self, name)!r}; it must be {words}")

    def check(self) -> None:
        """Raises SetupError where the data or the weights aren't there; reads neither."""
        sources.check(self.data)
        weight_files.find(self.backbone, self.weights)

    @property
    def features_directory(self) -> Path:
        return (Path(self.cache_dir).expanduser() if self.cache_dir else default_cache()) / "features"


def _typed(name: str, kind: type, text: str) -> int | str:
    if kind is str:
        return text
    try:
        return int(text)
    except ValueError:
        raise SetupError(f"option {name} is {text!r}; it must be a whole number") from None
