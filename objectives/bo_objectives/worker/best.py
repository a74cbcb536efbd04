"""The best configuration beside the textbook's, on data that no trial has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

from bo_client import Study, Trial, Value
from rich.table import Table

from bo_objectives.base import TEXTBOOK_ROLE, Examinable, Exportable
from bo_objectives.errors import SetupError
from bo_objectives.worker.compared import is_examined, objective_spec, require_same
from bo_objectives.worker.evaluation import Failed, Recipe, Report, Stopped, Succeeded, Task
from bo_objectives.worker.evaluators import ChildEvaluator

DASH = "–"
BEST, TEXTBOOK = "best", "textbook defaults"
REPEATS = 3


@dataclass(frozen=True)
class Examined:
    """One configuration, what it reached as a trial, and what it reaches on data held back."""

    title: str
    trial: Trial
    held_back: Mapping[str, float]
    repeats: Sequence[float] = ()
    """Of the first metric, where the choice was confirmed."""

    def as_json(self) -> dict[str, object]:
        final = self.trial.final_measurement
        return {
            "trial": self.trial.number,
            "parameters": dict(self.trial.parameters),
            "metrics": dict(final.metrics) if final else {},
            "held_back": dict(self.held_back),
            "repeats": list(self.repeats),
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


def leaders(study: Study, count: int) -> list[Trial]:
    """The best trials, the best first. Raises SetupError where no trial has a result yet."""
    found = study.best_trials(count)[:count]
    if not found:
        raise SetupError(f"{study.name} has no result yet; run trials first")
    return found


def contenders(study: Study, best: Trial) -> dict[str, Trial]:
    """By title: the best trial, and that of the textbook defaults where there is one."""
    textbook = next((t for t in study.trials() if TEXTBOOK_ROLE.items() <= dict(t.labels).items()), None)
    return {BEST: best} if textbook is None else {BEST: best, TEXTBOOK: textbook}


def confirm(study: Study, recipe: Recipe, directory: Path, count: int) -> dict[int, list[float]]:
    """By the number of each of the best trials, the first metric in REPEATS repeats; the best mean comes first.

    The best of many noisy results is a lucky one: what it reached as a trial doesn't count here. A configuration that
    failed in a repeat comes last, with fewer values.

    Raises:
        SetupError: no trial has a result yet, or the objective can't repeat.
    """
    metric = study.definition.metrics[0]
    found: dict[int, list[float]] = {}
    evaluator = ChildEvaluator(recipe, trials_per_process=10)
    for index, trial in product(range(1, REPEATS + 1), leaders(study, count)):
        where = directory / f"repeat-{index}-{trial.number:04d}"
        outcome = evaluator.evaluate(Task(trial.number, 1, "", where, dict(trial.parameters), repeat=index), Quiet())
        if isinstance(outcome, Failed) and outcome.is_setup:
            evaluator.close()
            raise SetupError(outcome.message)
        values = found.setdefault(trial.number, [])
        if isinstance(outcome, Succeeded):
            values.append(outcome.metrics[metric.name])
    evaluator.close()
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), -metric.sign * fmean(item[1] or [0.0]))))


def examine(
    study: Study, recipe: Recipe, directory: Path, export: Path | None = None, confirmed: int = 0
) -> list[Examined]:
    """Each contender, taken up from its checkpoint or trained anew, in a process of its own, and measured once on the
    data held back. Where there is a folder to export to, the best one's model is written there. The best is that of so
    many confirmed ones, or, of 0, the trial with the best result.

    Raises:
        SetupError: no trial has a result yet, an examination failed, the objective has nothing to export, or its
            options are others than the study's.
    """
    objective = recipe.make() if is_examined(recipe) else None
    if objective is not None:
        require_same(study, objective_spec(recipe, objective.define()))
    repeats = confirm(study, recipe, directory, confirmed) if confirmed else {}
    best = study.trial(next(iter(repeats))) if repeats else leaders(study, 1)[0]
    found = contenders(study, best)
    if export is not None and not isinstance(objective, Exportable):
        raise SetupError(f"objective {recipe.name} has no model to export; leave --export out")
    if not isinstance(objective, Examinable):
        return [Examined(title, trial, {}, repeats.get(trial.number, ())) for title, trial in found.items()]
    return [
        Examined(
            title,
            trial,
            _held_back(study, trial, recipe, directory, export if title == BEST else None),
            repeats.get(trial.number, ()),
        )
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
    if any(row.repeats for row in rows):
        name = study.definition.metrics[0].name
        found.add_row(f"{name} (repeats)", *(" ".join(map(_shown, row.repeats)) or DASH for row in rows))
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
