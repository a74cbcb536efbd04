"""The content of a report, read once: plain values that the template escapes."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bo_client import figures
from bo_client.artifacts import IMAGE_TYPES, Artifact, image_type
from bo_client.diagnosis import HEALTHY, KINDS_LABEL, diagnose, kinds
from bo_client.diagnosis_words import Findings, in_brief, study_findings, trial_lines
from bo_client.errors import NotSupported
from bo_client.figures import FigureSpec
from bo_client.figures.fetch import analysis_of
from bo_client.formatting import (
    artifact_line,
    assignments,
    attempt_line,
    budget,
    clock,
    duration,
    goals,
    heading,
    in_order,
    note_head,
    nothing_yet,
    progress,
    short,
    with_unit,
)
from bo_client.insight import Analysis
from bo_client.machines import MachineAttempts, by_machine, machine_columns, machine_row, span, suspects
from bo_client.models import Metric, Origin, StudyInfo, StudyState, Trial
from bo_client.outcomes import completed
from bo_client.parameters import Parameter
from bo_client.ranking import best_of
from bo_client.report.definition import Table, definition

if TYPE_CHECKING:
    from bo_client.study import Study

GROUPS = {
    "convergence": "Convergence",
    "front": "Objectives against each other",
    "curves": "Learning curves",
    "parallel": "Every trial as a line through its parameters",
    "workers": "Attempts by machine, and which failed",
    "importance": "Which parameters matter",
    "slice": "Expected along",
    "contour": "Expected over",
    "uncertainty": "Uncertain over",
}
"""Headings of figures, by the first word of their name."""


@dataclass(frozen=True)
class Figure:
    """A figure with its heading."""

    name: str
    heading: str
    picture: FigureSpec


@dataclass(frozen=True)
class TrialRow:
    """A row of the table of trials."""

    number: int
    is_best: bool
    state: str
    cells: Sequence[str]
    parameters: str
    more: Sequence[str]
    """The explanation, failure and findings, one line each."""


@dataclass(frozen=True)
class TrialFile:
    """An artifact of a trial."""

    line: str
    image: str
    """The image as a data URI; empty if it is none."""


@dataclass(frozen=True)
class Content:
    """All content of a report."""

    title: str
    facts: Sequence[tuple[str, str]]
    best: Table | None
    no_best: str
    """The reason why there is no best trial, if there is none."""
    best_files: Sequence[TrialFile]
    """The artifacts of the best trial; none with several objectives."""
    figures: Sequence[Figure]
    brief: str
    findings: Sequence[Findings]
    trust: Sequence[Findings]
    machines: Table | None
    suspects: Sequence[str]
    """A sentence for each machine that fails more often than the others."""
    trial_columns: Sequence[str]
    trials: Sequence[TrialRow]
    tables: Sequence[Table]


def read(study: "Study", now: datetime) -> Content:
    """Return the content of a report on the study as it is now."""
    info, trials, analysis = study.info(), list(study.trials(full=True)), analysis_of(study)
    best = best_of(info, trials)
    diagnosis = diagnose(info, trials, analysis)
    machines = by_machine(trials)
    first = best[0] if best and len(info.objectives) == 1 else None
    return Content(
        title=info.display_name or info.id,
        facts=_facts(info, trials, best, now),
        best=_best(info, best),
        no_best=f"There is none: {nothing_yet(info)}.",
        best_files=_files(study, first) if first else (),
        figures=[Figure(*named) for named in _named(figures.pictures(study, trials, analysis))],
        brief=in_brief(info, diagnosis),
        findings=list(study_findings(diagnosis, first)),
        trust=list(_trust(analysis)),
        machines=_machines(machines),
        suspects=list(suspects(machines)),
        trial_columns=["trial", "state", *(heading(m) for m in info.modelled_metrics), "time", "from"],
        trials=[_row(info, t, t in best) for t in trials],
        tables=definition(info),
    )


def _facts(info: StudyInfo, trials: Sequence[Trial], best: Sequence[Trial], now: datetime) -> list[tuple[str, str]]:
    counts = ", ".join(f"{count} {state.lower()}" for state, count in info.counts.items() if count)
    labels = ", ".join(f"{name} = {text}" for name, text in sorted(info.labels.items()))
    took = sum(seconds for t in trials if (seconds := duration(t)) is not None)
    best_text = f"trial{'s' if len(best) > 1 else ''} {', '.join(str(t.number) for t in best)}" if best else "none yet"
    facts = {
        "study": info.id,
        "goal": goals(info),
        "state": f"{info.state.value}, {progress(info)} trials ended",
        "trials": counts or "none yet",
        "best": best_text,
        "budget": budget(info),
        "ended": completed(info) if info.state is StudyState.COMPLETED else "",
        "time of all trials": clock(took),
        "begins from": ", ".join(info.warm_start_studies),
        "objective": _objective(info),
        "labels": labels,
        "failing": str(info.recent_failures) if info.recent_failures else "",
        "made": f"{info.create_time:%Y-%m-%d %H:%M} UTC" if info.create_time else "",
        "report of": f"{now:%Y-%m-%d %H:%M} UTC",
    }
    return [(name, text) for name, text in facts.items() if text]


def _objective(info: StudyInfo) -> str:
    if info.objective_spec is None:
        return ""
    options = ", ".join(f"{key} = {text}" for key, text in info.objective_spec.options.items())
    return f"{info.objective_spec.name} with {options}" if options else info.objective_spec.name


def _best(info: StudyInfo, best: Sequence[Trial]) -> Table | None:
    """Return a table of the best trial's values, or a row for each trial of the Pareto set."""
    if not best:
        return None
    metrics = [m for m in info.metrics if any(t.value(m.name) is not None for t in best)]
    if len(best) == 1:
        (trial,) = best
        reached = [(with_unit(m), _value(m, trial)) for m in metrics]
        parameter_rows = [
            (_named_parameter(info.space[n]), short(v)) for n, v in in_order(trial.parameters, info.space).items()
        ]
        return Table(f"Trial {trial.number}", ("what", "value"), [*reached, *parameter_rows])
    columns = ("trial", *(heading(m) for m in metrics), *info.space.names)
    rows = [
        (
            str(t.number),
            *(_value(m, t) for m in metrics),
            *(short(t.parameters[n]) if n in t.parameters else "–" for n in info.space.names),
        )
        for t in best
    ]
    return Table(f"The Pareto set: {len(best)} trials", columns, rows)


def _files(study: "Study", trial: Trial) -> list[TrialFile]:
    """Return the artifacts of a trial, with the images; none where the server is of an older version."""
    try:
        artifacts = study.artifacts(trial.number)
    except NotSupported:
        return []
    return [TrialFile(artifact_line(each), _image(study, trial, each)) for each in artifacts]


def _image(study: "Study", trial: Trial, artifact: Artifact) -> str:
    if artifact.uri or artifact.media_type not in IMAGE_TYPES:
        return ""
    content = study.read_artifact(trial.number, artifact.artifact_id)
    kind = image_type(content)
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}" if kind else ""


def _named_parameter(parameter: Parameter) -> str:
    return f"{parameter.name} ({parameter.unit})" if parameter.unit else parameter.name


def _value(metric: Metric, trial: Trial) -> str:
    value = trial.value(metric.name)
    if value is None:
        return "–"
    return short(value) if metric.admits(value) else f"{short(value)} ✗"


def _named(shown: dict[str, FigureSpec]) -> Iterator[tuple[str, str, FigureSpec]]:
    for name, picture in shown.items():
        kind, *along = name.split(" ")
        yield name, f"{GROUPS[kind]} {' and '.join(along)}".strip(), picture


def _trust(analysis: Analysis | None) -> Iterator[Findings]:
    """Yield how certain the best configuration and the predictions are, for each objective."""
    for metric_analysis in analysis.metrics if analysis else ():
        likely = tuple(
            f"trial {c.trial}: the best with a probability of {c.probability:.0%}, observed {short(c.observed)}, "
            f"predicted {short(c.prediction.mean)} ± {short(c.prediction.std)}"
            for c in metric_analysis.best.contenders
        )
        stopped = metric_analysis.best.stopped_count
        apart = (f"{stopped} trials that a stopping rule ended early are not included",) if stopped else ()
        yield Findings(
            f"Is the best {metric_analysis.metric} really the best?", (metric_analysis.best.summary, *likely, *apart)
        )
        yield Findings(f"How well is {metric_analysis.metric} predicted?", (metric_analysis.calibration.summary,))


def _machines(machines: Sequence[MachineAttempts]) -> Table | None:
    """Return a table of the attempts by machine; None before the first attempt."""
    within = span(machines)
    rows = [machine_row(machine, within) for machine in machines]
    return Table("Attempts by machine", machine_columns(within), rows) if rows else None


ORIGINS = {
    Origin.SURROGATE: "surrogate",
    Origin.QUASI_RANDOM: "quasi-random",
    Origin.DEFAULT: "default",
    Origin.WARM_START: "earlier study",
    Origin.USER: "user",
    Origin.CUSTOM_ALGORITHM: "own algorithm",
    Origin.RANDOM: "random",
    Origin.GRID: "grid",
    Origin.CONFIRMATION: "repetition",
}


def _row(info: StudyInfo, trial: Trial, is_best: bool) -> TrialRow:
    seconds = duration(trial)
    cells = [
        *(_value(m, trial) if trial.final_measurement else "" for m in info.modelled_metrics),
        "" if seconds is None else clock(seconds),
        ORIGINS[trial.origin] if trial.origin else "",
    ]
    parameters = assignments(in_order(trial.parameters, info.space))
    return TrialRow(trial.number, is_best, trial.state.value, cells, parameters, list(_more(trial)))


def _more(trial: Trial) -> Iterator[str]:
    if trial.explanation and trial.explanation.summary:
        yield f"why: {trial.explanation.summary}"
    if trial.failure:
        yield f"{trial.failure.reason.value}: {trial.failure.message}".removesuffix(": ")
    if trial.note:
        yield f"{note_head(trial.note)}: {trial.note.text}"
    if trial.stop_reason:
        yield f"stopped: {trial.stop_reason}"
    if trial.is_cut_short and trial.expected:
        prediction = trial.expected
        yield f"expected at its full length: {prediction.metric} {short(prediction.mean)} ± {short(prediction.std)}"
    yield from (attempt_line(attempt) for attempt in trial.attempts)
    if set(kinds(trial)) - {HEALTHY}:
        yield from trial_lines(trial)
    plain = {k: v for k, v in sorted(trial.labels.items()) if not f"{k}.".startswith(f"{KINDS_LABEL}.")}
    yield from (f"{name} = {text}" for name, text in plain.items())
