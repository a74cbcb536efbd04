"""The best configuration beside the textbook's, on data that no trial has seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bo_client import Study, Trial, Value
from rich.table import Table

from bo_objectives.base import TEXTBOOK_ROLE, Examinable, Exportable
from bo_objectives.errors import SetupError
from bo_objectives.worker.evaluation import Failed, Recipe, Report, Stopped, Task
from bo_objectives.worker.evaluators import ChildEvaluator

DASH = "–"
BEST = "best"


@dataclass(frozen=True)
class Examined:
    """One configuration, what it reached as a trial, and what it reaches on data held back."""

    title: str
    trial: Trial
    held_back: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        final = self.trial.final_measurement
        return {
            "trial": self.trial.number,
            "parameters": dict(self.trial.parameters),
            "metrics": dict(final.metrics) if final else {},
            "held_back": dict(self.held_back),
        }


class Quiet:
    """Nobody is told of an examination."""

    stop_reason = None
    is_over = False

    def report(self, report: Report) -> None:
        """Dropped."""

    def label(self, labels: Mapping[str, str]) -> None:
        """Dropped."""

    def beat(self) -> None:
        """Nothing is leased."""


def contenders(study: Study) -> dict[str, Trial]:
    """By title: the best trial, and that of the textbook defaults where there is one.

    Raises:
        SetupError: no trial has a result yet.
    """
    best = study.best()
    if best is None:
        raise SetupError(f"{study.name} has no result yet; run trials first")
    found = {BEST: best}
    textbook = next((t for t in study.trials() if TEXTBOOK_ROLE.items() <= dict(t.labels).items()), None)
    if textbook is not None:
        found["textbook defaults"] = textbook
    return found


def examine(study: Study, recipe: Recipe, directory: Path, export: Path | None = None) -> list[Examined]:
    """Each contender, taken up from its checkpoint or trained anew, in a process of its own, and measured once on the
    data held back. Where there is a folder to export to, the best one's model is written there.

    Raises:
        SetupError: no trial has a result yet, an examination failed, or the objective has nothing to export.
    """
    found = contenders(study)
    objective = recipe.make()
    if export is not None and not isinstance(objective, Exportable):
        raise SetupError(f"objective {recipe.name} has no model to export; leave --export out")
    if not isinstance(objective, Examinable):
        return [Examined(title, trial, {}) for title, trial in found.items()]
    return [
        Examined(title, trial, _held_back(study, trial, recipe, directory, export if title == BEST else None))
        for title, trial in found.items()
    ]


def _held_back(study: Study, trial: Trial, recipe: Recipe, directory: Path, export: Path | None) -> dict[str, float]:
    """What `examine` measures beyond the study's own metrics."""
    evaluator = ChildEvaluator(recipe, trials_per_process=1)
    where = directory / f"examination-{trial.number:04d}"
    task = Task(trial.number, trial.attempt, trial.checkpoint_uri, where, dict(trial.parameters), True, export)
    outcome = evaluator.evaluate(task, Quiet())
    evaluator.close()
    if isinstance(outcome, Failed | Stopped):
        why = outcome.message if isinstance(outcome, Failed) else "it was stopped"
        raise SetupError(f"trial {trial.number} could not be examined: {why}")
    own = {metric.name for metric in study.definition.metrics}
    return {name: value for name, value in outcome.metrics.items() if name not in own}


def table(study: Study, rows: list[Examined]) -> Table:
    """Configurations side by side, then what they reached."""
    found = Table(title=f"{study.id}: {study.definition.objective.name}", title_justify="left")
    found.add_column("")
    for row in rows:
        found.add_column(f"{row.title} (trial {row.trial.number})", justify="right")
    for parameter in study.definition.space.parameters:
        found.add_row(parameter.name, *(_shown(row.trial.parameters.get(parameter.name)) for row in rows))
    found.add_section()
    for metric in study.definition.metrics:
        found.add_row(metric.name, *(_shown(row.trial.value(metric.name)) for row in rows))
    held_back = sorted({name for row in rows for name in row.held_back})
    if held_back:
        found.add_section()
    for name in held_back:
        found.add_row(f"{name} (held back)", *(_shown(row.held_back.get(name)) for row in rows))
    return found


def _shown(value: Value | None) -> str:
    if value is None:
        return DASH
    return f"{value:.4g}" if isinstance(value, float) else str(value)
