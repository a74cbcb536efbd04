"""The options of the objective: they apply to a whole study, while parameters differ between trials."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bo_objectives.efficientnet import data_sources, data_summary, devices, logs, user_code, weight_files
from bo_objectives.efficientnet.data import FOLDS
from bo_objectives.efficientnet.decoding import Decoder
from bo_objectives.efficientnet.names import BACKBONES, IMAGE_STEP, IMAGENET, LITE0, RANDOM, SINGLE_LABEL, TASKS
from bo_objectives.efficientnet.targets import TargetSpec
from bo_objectives.efficientnet.user_code import COMPILE, HEAD, UserFunction
from bo_objectives.errors import SetupError

BACKENDS = ("tensorflow", "jax", "torch")
SWITCH = ("on", "off")
CORE, FULL = SPACES = ("core", "full")
FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bfloat16", "float16")
MEMORY, DISK = PIPELINES = ("memory", "disk")
AUTO, ON, OFF = JIT = ("auto", "on", "off")
FAIL, SKIP = CORRUPT = ("fail", "skip")
COMPARED_OPTIONS = ("backbone", "image_size", "epochs", "patience", "head_width", "precision", "fold", "seed")
"""Options that affect the metrics, besides the data and the weights."""
LOGS = ("csv", "tensorboard", "mlflow")


def default_cache() -> Path:
    """Return the default folder of the cache, by the XDG convention."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "bo-objectives"


@dataclass(frozen=True)
class TrainingSettings:
    """The options of a study.

    data: emoji (the bundled images), a folder with a subfolder for each class or by Hugging Face's save_to_disk, a
        manifest (.csv, .tsv, .jsonl), an .npz file, TFRecord files, or tfds:NAME.
    task: single-label (a class for each image), multi-label (any number of labels) or regression (numbers).
    targets: columns of a table that have what is predicted, with commas between; empty for label.
    backbone: one of `names.BACKBONES`.
    weights: imagenet, the path of a weights file, or random (only on request, never as a fallback).
    space: core, the parameters that matter most, or full, all of them.
    image_size: side in pixels, a multiple of 32.
    image_sizes: sides to choose from in the full space, such as 64,96,128; empty where the size isn't tuned.
    epochs: of every trial, at most.
    patience: epochs without a lower validation loss after which a trial ends early; 0 for never.
    head_width: channels of the head's 1×1 convolution.
    head: FILE.py:FUNCTION that builds the head (`user_code`); empty for the objective's own.
    compile: FILE.py:FUNCTION that gives the optimizer and the loss (`user_code`); empty for the objective's own.
    cache: whether features below the trained blocks are computed once; off runs the whole network at each step.
    cache_dir: folder of the features on disk, for the next process.
    pipeline: memory, or disk: images are decoded once, in parallel, into files that are mapped rather than read.
    threads: number of threads that decode images, and prepare batches if the pipeline is disk.
    corrupt: effect of an unreadable image: fail the trial, or skip (the image is counted and named).
    precision: float32; or bfloat16, or float16 with a scaled loss, each with weights and logits in float32.
    steps_per_execution: maximum training steps that run without returning to Python; 1 on PyTorch.
    jit_compile: whether XLA compiles the steps: auto, as Keras chooses, on or off; not on with PyTorch or mirrored.
    strategy: none, mirrored (TensorFlow) or data_parallel (JAX): one trial on all devices of a process.
    checkpoints: whether each epoch writes a checkpoint from which another attempt resumes.
    artifacts: whether a trial gets its confusion matrix and its worst mistakes, which show validation images.
    logs: any of csv, tensorboard, mlflow, separated by commas; each in the trial's folder.
    fold: the validation fold of the images outside the test set, 0 to 3.
    seed: seed of initial weights, dropout and the order of batches, but not of the split of the data.
    backend: tensorflow, jax or torch; empty for Keras's default.
    """

    data: str = "emoji"
    task: str = SINGLE_LABEL
    targets: str = ""
    backbone: str = LITE0
    weights: str = IMAGENET
    space: str = CORE
    image_size: int = 96
    image_sizes: str = ""
    epochs: int = 6
    patience: int = 0
    head_width: int = 128
    head: str = ""
    compile: str = ""
    cache: str = "on"
    cache_dir: str = ""
    pipeline: str = MEMORY
    threads: int = 4
    corrupt: str = FAIL
    precision: str = FLOAT32
    steps_per_execution: int = 1
    jit_compile: str = AUTO
    strategy: str = devices.SINGLE
    checkpoints: str = "on"
    artifacts: str = "on"
    logs: str = "csv"
    fold: int = 0
    seed: int = 0
    backend: str = ""

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> "TrainingSettings":
        """Return the settings from texts, as on a command line.

        Raises:
            SetupError: an option is unknown or invalid.
        """
        types = {field.name: type(field.default) for field in fields(cls)}
        unknown = sorted(set(options) - set(types))
        if unknown:
            raise SetupError(f"unknown option {', '.join(unknown)}; efficientnet has {', '.join(types)}")
        values: dict[str, Any] = {name: _typed(name, types[name], text) for name, text in options.items()}
        return cls(**values)

    def __post_init__(self) -> None:
        rules: list[tuple[str, Callable[[Any], bool], str]] = [
            ("task", TASKS.__contains__, f"one of {', '.join(TASKS)}"),
            ("backbone", BACKBONES.__contains__, f"one of {', '.join(BACKBONES)}"),
            ("space", SPACES.__contains__, f"one of {', '.join(SPACES)}"),
            ("image_size", _is_side, f"a multiple of {IMAGE_STEP}"),
            ("image_sizes", _are_sides, f"multiples of {IMAGE_STEP} with commas between, such as 64,96"),
            ("epochs", lambda v: v >= 1, "1 or more"),
            ("patience", lambda v: v >= 0, "0 or more"),
            ("head_width", lambda v: v >= 1, "1 or more"),
            ("cache", SWITCH.__contains__, f"one of {', '.join(SWITCH)}"),
            ("pipeline", PIPELINES.__contains__, f"one of {', '.join(PIPELINES)}"),
            ("threads", lambda v: v >= 1, "1 or more"),
            ("corrupt", CORRUPT.__contains__, f"one of {', '.join(CORRUPT)}"),
            ("precision", PRECISIONS.__contains__, f"one of {', '.join(PRECISIONS)}"),
            ("steps_per_execution", lambda v: v >= 1, "1 or more"),
            ("jit_compile", JIT.__contains__, f"one of {', '.join(JIT)}"),
            ("strategy", devices.STRATEGIES.__contains__, f"one of {', '.join(devices.STRATEGIES)}"),
            ("checkpoints", SWITCH.__contains__, f"one of {', '.join(SWITCH)}"),
            ("artifacts", SWITCH.__contains__, f"one of {', '.join(SWITCH)}"),
            ("logs", lambda v: set(_parts(v)) <= set(LOGS), f"any of {', '.join(LOGS)}, with commas between"),
            ("fold", range(FOLDS).__contains__, f"from 0 to {FOLDS - 1}"),
            ("seed", lambda v: 0 <= v < 2**31, "from 0 to 2147483647"),
            ("backend", ("", *BACKENDS).__contains__, f"one of {', '.join(BACKENDS)}"),
        ]
        for name, allowed, requirement in rules:
            if not allowed(getattr(self, name)):
                raise SetupError(f"option {name} is {getattr(self, name)!r}; it must be {requirement}")
        columns = [name.casefold() for name in self.target_spec.columns]
        if len(set(columns)) < len(columns) or (self.task == SINGLE_LABEL and len(columns) > 1):
            raise SetupError(
                f"option targets is {self.targets!r}; it must be different names of columns with commas between, and "
                f"one for the task {SINGLE_LABEL}: for several, set task to {' or '.join(TASKS[1:])}"
            )
        if self.precision == FLOAT16 and self.strategy == devices.MIRRORED:
            raise SetupError(
                "option precision is 'float16', whose loss scale each device of the strategy 'mirrored' would "
                "change by itself; set precision=bfloat16, or leave the strategy out"
            )
        if self.jit_compile == ON and self.strategy == devices.MIRRORED:
            raise SetupError(
                "option jit_compile is 'on', and XLA does not compile steps of the strategy 'mirrored': leave one out"
            )

    def check(self) -> None:
        """Check the user's functions, read every image once, and log a summary.

        Raises:
            SetupError: the data or the weights are missing, or the images or the functions cannot be used.
        """
        user_code.check({name: str(value) for name, value in asdict(self).items()}, self.user_functions())
        data_sources.check(self.data, self.target_spec)
        weight_files.find(self.backbone, self.weights)
        logs.check(self.log_kinds)
        if not data_sources.is_downloaded(self.data):
            size = self.image_size if self.pipeline == DISK else 1  # what is kept on disk, trials find there
            data_summary.inspect(self.data, self.fold, size, self.decoder, self.target_spec)

    def compared(self) -> dict[str, str]:
        """Return the options that affect the metrics, as texts.

        Data and weights in files are identified by their content, as their paths may differ between machines.

        Raises:
            SetupError: the data or the weights are missing.
        """
        options = {name: str(getattr(self, name)) for name in COMPARED_OPTIONS}
        if self.task != SINGLE_LABEL:  # a worker of an earlier version has no such option
            options["task"] = self.task
        if self.targets:
            options["targets"] = ",".join(self.target_spec.columns)
        data = data_sources.contents(self.data, self.target_spec)
        options |= {"data": self.data} if data is None else {"data.contents": data}
        options |= {f"{function.option}.contents": function.contents for function in self.user_functions()}
        if self.weights in (IMAGENET, RANDOM):
            return {**options, "weights": self.weights}
        file = weight_files.find(self.backbone, self.weights)
        assert file is not None
        return {**options, "weights.sha256": weight_files.file_sha256(file)}

    def user_functions(self) -> tuple[UserFunction, ...]:
        """Return the functions that replace the head or the compilation, with the present content of their files.

        Raises:
            SetupError: an option has another form, or its file cannot be read.
        """
        named = (UserFunction.of(option, getattr(self, option)) for option in (HEAD, COMPILE))
        return tuple(function for function in named if function is not None)

    @property
    def features_directory(self) -> Path:
        return self.cache_directory / "features"

    @property
    def cache_directory(self) -> Path:
        return Path(self.cache_dir).expanduser() if self.cache_dir else default_cache()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Image sizes to choose from, increasing."""
        return tuple(sorted({int(side) for side in _parts(self.image_sizes)}))

    @property
    def decoder(self) -> Decoder:
        """Decoder of images."""
        directory = self.cache_directory / "pixels" if self.pipeline == DISK else None
        return Decoder(self.threads, self.corrupt == SKIP, directory)

    @property
    def target_spec(self) -> TargetSpec:
        """What is predicted, and from which columns."""
        return TargetSpec(self.task, _parts(self.targets))

    @property
    def batch_threads(self) -> int:
        """Number of threads that prepare batches."""
        return self.threads if self.pipeline == DISK else 1

    @property
    def log_kinds(self) -> tuple[str, ...]:
        return _parts(self.logs)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _is_side(side: int) -> bool:
    return side >= IMAGE_STEP and side % IMAGE_STEP == 0


def _are_sides(text: str) -> bool:
    return all(part.isdecimal() and _is_side(int(part)) for part in _parts(text))


def _typed(name: str, kind: type, text: str) -> int | str:
    if kind is str:
        return text
    try:
        return int(text)
    except ValueError:
        raise SetupError(f"option {name} is {text!r}; it must be a whole number") from None
