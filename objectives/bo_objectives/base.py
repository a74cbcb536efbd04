"""The protocol of objectives: what may be tuned, and how good a configuration is.

An objective is made by a factory, `factory(**options)`, where options are texts. The worker asks for its definition
once, then evaluates configurations in processes that each live on for several trials.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from bo_client import Metric, SearchSpace, TrialFailed, Value

__all__ = [
    "TEXTBOOK_ROLE",
    "Definition",
    "Examinable",
    "Exportable",
    "Objective",
    "Repeatable",
    "Run",
    "TrialFailed",
]

TEXTBOOK_ROLE = {"role": "textbook-defaults"}
"""Labels of the trial that runs `Definition.defaults`."""


@dataclass(frozen=True)
class Definition:
    """What an objective tunes and measures."""

    space: SearchSpace
    metrics: tuple[Metric, ...]
    defaults: Mapping[str, Value] | None = None
    """The textbook configuration, in its active parameters; the worker that creates the study queues it first."""
    step: str = "step"
    """What a step of the learning curve is called: kept in the study's labels, for those who watch."""
    steps: int | None = None
    """How many there usually are."""
    whole: SearchSpace | None = None
    """Every parameter that the objective knows, where the space doesn't hold them all: these can be pinned too."""
    options: Mapping[str, str] | None = None
    """The options that change the metrics' values, with defaults filled in; those that change only speed or place are
    left out. The study keeps them, shows them to everyone who may read it, and refuses workers with others. A key with
    a dot, such as data.contents, is no option: it tells what an option's file holds. By default these are all options
    that the factory takes or was given."""


class Run(Protocol):
    """One trial, as the objective sees it."""

    @property
    def number(self) -> int:
        """The trial's number in its study, from 1."""

    @property
    def attempt(self) -> int:
        """1, or more where earlier attempts at this trial were lost."""

    @property
    def checkpoint_uri(self) -> str:
        """What an earlier attempt reported last; empty when there is none."""

    @property
    def directory(self) -> Path:
        """A folder of this trial's own, kept between attempts on one machine."""

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:
        """Adds a point to the learning curve.

        Raises:
            bo_client.StopTrial: the trial should end now; let it pass through.
        """

    def label(self, labels: Mapping[str, str]) -> None:
        """Adds labels to the trial, to be kept with its result or failure: what a person should know of it."""


class Objective(Protocol):
    """What a worker can run."""

    def define(self) -> Definition:
        """What is tuned and measured."""

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """The final metrics. Raises TrialFailed; any other exception counts as a crash."""


@runtime_checkable
class Examinable(Objective, Protocol):
    """An objective with data held back for the end."""

    def examine(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Metrics on data that no trial has seen, beside those of `evaluate`."""


@runtime_checkable
class Repeatable(Objective, Protocol):
    """An objective that can tell a good configuration from a lucky one."""

    def repeat(self, parameters: Mapping[str, Value], run: Run, index: int) -> Mapping[str, float]:
        """As `evaluate`, with other random numbers and other data by index, which counts from 1."""


@runtime_checkable
class Exportable(Examinable, Protocol):
    """An objective whose trained model can be given away."""

    def export(self, parameters: Mapping[str, Value], run: Run, directory: Path) -> Mapping[str, float]:
        """Writes the model and what belongs to it into the folder; the metrics that `examine` gives."""
