"""The protocol of objectives, which define what is tuned and evaluate configurations.

A factory, `factory(**options)`, creates an objective from options, which are texts. The worker asks for its definition
once, and then evaluates configurations in processes that each run several trials.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from bo_client import Metric, SearchSpace, TrialFailed, Value

__all__ = [
    "ARTIFACTS",
    "TEXTBOOK_ROLE",
    "Definition",
    "Exportable",
    "HasData",
    "HasTestSet",
    "Objective",
    "Repeatable",
    "Run",
    "TrialFailed",
]

ARTIFACTS = "artifacts"
"""Folder in a trial's directory whose files the worker adds to the trial when it ends."""
TEXTBOOK_ROLE = {"role": "textbook-defaults"}
"""Labels of the trial that runs `Definition.defaults`."""


@dataclass(frozen=True)
class Definition:
    """The search space and the metrics of an objective."""

    space: SearchSpace
    metrics: tuple[Metric, ...]
    defaults: Mapping[str, Value] | None = None
    """The textbook configuration, in its active parameters; the worker that creates the study queues it first."""
    step: str = "step"
    """Name of a step of the learning curve, such as epoch. It is stored in the study's labels."""
    steps: int | None = None
    """Usual number of steps."""
    whole: SearchSpace | None = None
    """All parameters of the objective, if `space` lacks some: these can be pinned too."""
    options: Mapping[str, str] | None = None
    """Options that affect the metrics, with defaults filled in; options for speed or location are omitted.

    The study stores them, shows them to all its readers, and rejects workers with other options. A key with a dot, such
    as data.contents, describes the content of an option's file. The default is all options of the factory.
    """
    can_resume: bool = False
    """Whether `evaluate` resumes from `Run.checkpoint_uri`, and has a checkpoint of each step that it reports.

    In a study with a fidelity such trials are trained in parts; others are trained to their end in one go.
    """


class Run(Protocol):
    """A trial, as the objective sees it."""

    @property
    def number(self) -> int:
        """The trial's number in its study, from 1."""

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""

    @property
    def checkpoint_uri(self) -> str:
        """The URI that an earlier attempt reported last; empty without one."""

    @property
    def until_step(self) -> int | None:
        """The step up to which the trial is trained now; None if it is trained to its end in one go.

        The report of that step raises `bo_client.PauseTrial`, or returns once this is a larger step. At the last step
        of a whole trial it does neither: end the trial.
        """

    @property
    def directory(self) -> Path:
        """A folder of this trial, kept between attempts on one machine.

        When the trial ends, the worker adds the files in its folder `ARTIFACTS` to it: up to 32, of at most 1 MiB each.
        """

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:
        """Add a point to the learning curve.

        Args:
            step: position on the curve, such as the epoch.
            metrics: values by metric name.
            checkpoint_uri: where another attempt can resume.

        Raises:
            bo_client.StopTrial: the trial should end now; let the exception propagate.
            bo_client.PauseTrial: the trial should pause at its checkpoint; let the exception propagate.
        """

    def label(self, labels: Mapping[str, str]) -> None:
        """Add labels to the trial, which are stored with its result or failure."""


class Objective(Protocol):
    """The interface of an objective that a worker can run."""

    def define(self) -> Definition:
        """Return the search space and the metrics."""

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Evaluate a configuration.

        Args:
            parameters: values of the active parameters.
            run: the trial.

        Returns:
            The final metrics by name.

        Raises:
            TrialFailed: the trial failed for a reason; any other exception counts as a crash.
        """


@runtime_checkable
class HasTestSet(Objective, Protocol):
    """An objective with a separate test set."""

    def evaluate_test(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Return metrics on the test set, in addition to those of `evaluate`."""


@runtime_checkable
class HasData(Objective, Protocol):
    """An objective that can describe its data before a study is created."""

    def look(self, pictures: Path | None = None) -> str:
        """Return a description of the data.

        Args:
            pictures: a PNG file to write with examples of the data.

        Raises:
            SetupError: the data cannot be used.
        """


@runtime_checkable
class Repeatable(Objective, Protocol):
    """An objective that can repeat an evaluation with other random numbers and data."""

    def repeat(self, parameters: Mapping[str, Value], run: Run, index: int) -> Mapping[str, float]:
        """Evaluate as `evaluate` does, with the random numbers and data of an index.

        Args:
            index: counts from 1.
        """


@runtime_checkable
class Exportable(HasTestSet, Protocol):
    """An objective that can export its trained model."""

    def export(self, parameters: Mapping[str, Value], run: Run, directory: Path) -> Mapping[str, float]:
        """Write the model and its documentation into a folder, and return the metrics of `evaluate_test`."""
