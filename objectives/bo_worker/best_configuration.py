"""Comparison of the best configuration with the textbook's, on the test set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

from bo_client import Failure, Study, Trial, Value
from bo_client.outcomes import FinalMetrics
from bo_objectives.base import TEXTBOOK_ROLE, Exportable, HasTestSet
from bo_objectives.errors import SetupError
from rich.table import Table

from bo_worker.evaluation import EvaluationTask, Report, SetupFailure, Stopped, Task
from bo_worker.evaluators import ChildEvaluator
from bo_worker.objective_comparison import may_have_test_set, objective_spec, require_same

DASH = "–"
BEST, BASELINE = "best", "textbook defaults"
REPEATS = 3


@dataclass(frozen=True)
class TestResult:
    """A configuration with its result as a trial and its result on the test set."""

    title: str
    trial: Trial
    held_back: Mapping[str, float]
    repeats: Sequence[float] = ()
    """Values of the first metric in repeats, if the choice was confirmed."""

    def as_json(self) -> dict[str, object]:
        final = self.trial.final_measurement
        return {
            "trial": self.trial.number,
            "parameters": dict(self.trial.parameters),
            "metrics": dict(final.metrics) if final else {},
            "held_back": dict(self.held_back),
            "repeats": list(self.repeats),
        }


class NullWatch:
    """A watch that reports nothing to the server."""

    stop_reason: str | None = None
    pause_reason: str | None = None
    until_step: int | None = None
    has_unsent = False
    is_over = False

    def beat(self) -> None:
        """Send nothing."""

    def report(self, report: Report) -> None:
        """Ignore the report."""

    def label(self, labels: Mapping[str, str]) -> None:
        """Ignore the labels."""


def leaders(study: Study, count: int) -> list[Trial]:
    """Return the best trials, best first.

    Raises:
        SetupError: no trial has a result yet.
    """
    trials = study.best_trials(count)[:count]
    if not trials:
        raise SetupError(f"{study.name} has no result yet; run trials first")
    return trials


def candidates(study: Study, best: Trial) -> dict[str, Trial]:
    """Return the best trial and that of the textbook defaults, if there is one, by title."""
    textbook = next((t for t in study.trials() if TEXTBOOK_ROLE.items() <= dict(t.labels).items()), None)
    return {BEST: best} if textbook is None else {BEST: best, BASELINE: textbook}


def confirm(study: Study, evaluation: EvaluationTask, directory: Path, count: int) -> dict[int, list[float]]:
    """Repeat the best trials, and return REPEATS values of the first metric by trial number, best mean first.

    The best of many noisy results is partly luck, so the trial's own result is not used. A configuration that failed in
    a repeat comes last, with fewer values.

    Args:
        study: the study.
        evaluation: the objective and its options.
        directory: folder of the repeats.
        count: number of trials to repeat.

    Raises:
        SetupError: no trial has a result yet, or the objective cannot repeat.
    """
    metric = study.definition.metrics[0]
    values_by_trial: dict[int, list[float]] = {}
    evaluator = ChildEvaluator(evaluation, trials_per_process=10)
    for index, trial in product(range(1, REPEATS + 1), leaders(study, count)):
        folder = directory / f"repeat-{index}-{trial.number:04d}"
        outcome = evaluator.evaluate(
            Task(trial.number, 1, "", folder, dict(trial.parameters), repeat=index), NullWatch()
        )
        if isinstance(outcome, SetupFailure):
            evaluator.close()
            raise SetupError(outcome.message)
        values = values_by_trial.setdefault(trial.number, [])
        if isinstance(outcome, FinalMetrics):
            values.append(outcome.metrics[metric.name])
    evaluator.close()
    return dict(
        sorted(values_by_trial.items(), key=lambda item: (-len(item[1]), -metric.sign * fmean(item[1] or [0.0])))
    )


def evaluate_test(
    study: Study, evaluation: EvaluationTask, directory: Path, export: Path | None = None, confirmed: int = 0
) -> list[TestResult]:
    """Evaluate each candidate once on the test set, resumed from its checkpoint or trained again in a separate process.

    Args:
        study: the study.
        evaluation: the objective and its options.
        directory: folder of the evaluations.
        export: folder for the best model; None to export nothing.
        confirmed: number of best trials to repeat for the choice of the best; 0 to use their results.

    Raises:
        SetupError: no trial has a result yet, an evaluation failed, the objective has nothing to export, or its options
            differ from the study's.
    """
    objective = evaluation.make() if may_have_test_set(evaluation) else None
    if objective is not None:
        require_same(study, objective_spec(evaluation, objective.define()))
    repeats = confirm(study, evaluation, directory, confirmed) if confirmed else {}
    best = study.trial(next(iter(repeats))) if repeats else leaders(study, 1)[0]
    trials = candidates(study, best)
    if export is not None and not isinstance(objective, Exportable):
        raise SetupError(f"objective {evaluation.name} has no model to export; leave --export out")
    if not isinstance(objective, HasTestSet):
        return [TestResult(title, trial, {}, repeats.get(trial.number, ())) for title, trial in trials.items()]
    return [
        TestResult(
            title,
            trial,
            _test_metrics(study, trial, evaluation, directory, export if title == BEST else None),
            repeats.get(trial.number, ()),
        )
        for title, trial in trials.items()
    ]


def _test_metrics(
    study: Study, trial: Trial, evaluation: EvaluationTask, directory: Path, export: Path | None
) -> dict[str, float]:
    """Return the metrics of `evaluate_test` that the study does not measure."""
    evaluator = ChildEvaluator(evaluation, trials_per_process=1)
    folder = directory / f"examination-{trial.number:04d}"
    task = Task(trial.number, trial.attempt, trial.checkpoint_uri, folder, dict(trial.parameters), True, export)
    outcome = evaluator.evaluate(task, NullWatch())
    evaluator.close()
    if isinstance(outcome, Failure | Stopped):
        why = outcome.message if isinstance(outcome, Failure) else "it was stopped"
        raise SetupError(f"trial {trial.number} could not be evaluated on the test set: {why}")
    own = {metric.name for metric in study.definition.metrics}
    return {name: value for name, value in outcome.metrics.items() if name not in own}


def table(study: Study, rows: list[TestResult]) -> Table:
    """Return a table of the configurations side by side, and their results."""
    result = Table(title=f"{study.id}: {study.definition.objective.name}", title_justify="left")
    result.add_column("")
    for row in rows:
        result.add_column(f"{row.title} (trial {row.trial.number})", justify="right")
    for parameter in study.definition.space.parameters:
        result.add_row(parameter.name, *(_shown(row.trial.parameters.get(parameter.name)) for row in rows))
    result.add_section()
    for metric in study.definition.metrics:
        result.add_row(metric.name, *(_shown(row.trial.value(metric.name)) for row in rows))
    if any(row.repeats for row in rows):
        name = study.definition.metrics[0].name
        result.add_row(f"{name} (repeats)", *(" ".join(map(_shown, row.repeats)) or DASH for row in rows))
    held_back = sorted({name for row in rows for name in row.held_back})
    if held_back:
        result.add_section()
    for name in held_back:
        result.add_row(f"{name} (held back)", *(_shown(row.held_back.get(name)) for row in rows))
    return result


def _shown(value: Value | None) -> str:
    if value is None:
        return DASH
    return f"{value:.4g}" if isinstance(value, float) else str(value)
