"""Tables and short texts that `bo` prints, with rich."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table

from bo_client.artifacts import Artifact
from bo_client.cli.console import Console, Text
from bo_client.cli.layout import Column, FittedTable, Hanging
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
    one_line,
    printable,
    progress,
    resumable,
    short,
    trained_in_parts,
)
from bo_client.machines import MachineAttempts, by_machine, machine_columns, machine_row, span, suspects
from bo_client.models import ConfigurationPrediction, Metric, Origin, StudyInfo, StudyState, Trial, TrialState
from bo_client.outcomes import completed

STYLES = {
    TrialState.QUEUED: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.SUCCEEDED: "green",
    TrialState.FAILED: "red",
    TrialState.INFEASIBLE: "yellow",
    TrialState.STOPPED: "magenta",
    TrialState.PAUSED: "blue",
}
VIOLATED = "✗"
FIELD_WIDTH = 10
MACHINE_RANKS = (0, 3, 0, 0, 2, 0, 4, 5)
"""Rank of each column in the table of machines; see `Column`."""
ORIGINS = {
    Origin.DEFAULT: "the default configuration",
    Origin.QUASI_RANDOM: "the initial design (quasi-random)",
    Origin.WARM_START: "the best trials of earlier studies",
    Origin.SURROGATE: "the model",
    Origin.USER: "a user",
    Origin.CUSTOM_ALGORITHM: "the algorithm of the study",
    Origin.RANDOM: "a random draw",
    Origin.GRID: "the grid",
    Origin.CONFIRMATION: "a repetition of the best configuration",
}
PIPED_WIDTH = 10_000
"""Width without a terminal: lines are never folded."""
DETAILS = ("diagnosis.", "note.", "warning.")
"""Prefixes of labels that are too long for a line."""


def console() -> Console:
    """Return a console for the current standard output; without colors and folding if it is no terminal."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else PIPED_WIDTH)


def within(value: float, error: float) -> str:
    """Format value ± error, with two digits of the error and as many decimals of the value."""
    if not (0.0 < error < math.inf and 1e-6 < abs(error) < 1e6):
        return f"{short(value)} ± {error:.2g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def studies_table(studies: Iterable[StudyInfo]) -> RenderableType:
    """Return a table with a row for each study."""
    infos = list(studies)
    failing = [info for info in infos if info.recent_failures]
    table = FittedTable(
        [
            Column("study", [Text(info.id) for info in infos]),
            Column("state", [Text(info.state.value) for info in infos]),
            Column("ended", [Text(progress(info)) for info in infos]),
            Column("running", [Text(str(info.counts[TrialState.RUNNING])) for info in infos], rank=2),
            Column("goal", [Text(goals(info)) for info in infos], is_flexible=True),
            Column("changed (UTC)", [Text(_moment(info.update_time)) for info in infos], rank=1),
        ]
    )
    return Group(table, *(Text(f"{info.id}: {one_line(str(info.recent_failures))}", style="red") for info in failing))


def study_text(info: StudyInfo, best: Sequence[Trial], trials: Sequence[Trial] = ()) -> RenderableType:
    """Return a summary of a study: its objectives, progress and best trials, and machines that fail."""
    counts = ", ".join(f"{count} {state.lower()}" for state, count in info.counts.items() if count)
    lines = [
        ("study", info.id + (f" ({info.display_name})" if info.display_name not in ("", info.id) else "")),
        ("state", f"{info.state.value}, {progress(info)} trials ended"),
        ("goal", goals(info)),
        ("trials", counts or "none yet"),
        ("best", best_line(info, best)),
    ]
    if info.warm_start_studies:
        lines.append(("starts", f"from {', '.join(info.warm_start_studies)}"))
    if info.objective_spec:
        options = " ".join(f"{key}={one_line(text)}" for key, text in info.objective_spec.options.items())
        lines.append(("objective", f"{one_line(info.objective_spec.name)} {options}".rstrip()))
    if info.labels:
        lines.append(("labels", " ".join(f"{k}={v}" for k, v in sorted(info.labels.items()))))
    if trained := trained_in_parts(info, trials):
        lines.append(("trained", trained))
    if left := budget(info):
        lines.append(("budget", left))
    if info.state is StudyState.COMPLETED:
        lines.append(("ended", completed(info)))
    if info.resumable_count:
        lines.append(("waiting", resumable(info)))
    shown = [_field(name, Text(text)) for name, text in lines]
    if info.recent_failures:
        shown.append(_field("failing", Text(one_line(str(info.recent_failures)), style="bold red")))
    shown += [_field("machine", Text(one_line(line), style="bold red")) for line in suspects(by_machine(trials))]
    return Group(*shown)


def _field(name: str, text: Text) -> Hanging:
    return Hanging(name.ljust(FIELD_WIDTH), text, FIELD_WIDTH)


def best_line(info: StudyInfo, best: Sequence[Trial]) -> str:
    """Return the best trial in one line, or the numbers of the Pareto set."""
    if not best:
        return nothing_yet(info)
    if len(info.objectives) > 1:
        numbers = ", ".join(str(trial.number) for trial in best)
        return f"Pareto set of {len(best)}: trial{'s' if len(best) > 1 else ''} {numbers}"
    (trial, *_) = best
    return f"{results(info, trial)} in trial {trial.number}: {assignments(in_order(trial.parameters, info.space))}"


def results(info: StudyInfo, trial: Trial) -> str:
    """Return the final objectives and constraint metrics in one line; violated bounds are marked."""
    return ", ".join(
        f"{m.name} {result(m, v).plain}" for m in info.modelled_metrics if (v := trial.value(m.name)) is not None
    )


def result(metric: Metric, value: float | None) -> Text:
    """Return a metric's value; a violated bound is marked."""
    if value is None:
        return Text("")
    return Text(short(value)) if metric.admits(value) else Text(f"{short(value)} {VIOLATED}", style="red")


def trials_table(
    info: StudyInfo,
    trials: Sequence[Trial],
    best: Sequence[Trial],
    selected: int | None = None,
    total: int | None = None,
) -> RenderableType:
    """Return a table with a row for each trial and a column for each modelled metric; a star marks the best.

    Args:
        info: the study.
        trials: the trials to show.
        best: the best trials.
        selected: number of trials that match the options; by default as many as are shown.
        total: number of all trials; by default as many as are shown.
    """
    starred = {trial.number for trial in best}
    bounds = [metric for metric in info.modelled_metrics if metric.role == "constraint"]
    columns = [
        Column("trial", [Text(f"{t.number}{' *' if t.number in starred else ''}") for t in trials]),
        Column("state", [Text(t.state.value, style=STYLES[t.state]) for t in trials]),
        *(
            Column(
                heading(metric), [result(metric, t.value(metric.name)) for t in trials], 1 if metric in bounds else 0
            )
            for metric in info.modelled_metrics
        ),
        Column("time", [Text("" if (took := duration(t)) is None else clock(took)) for t in trials], rank=2),
        Column("from", [Text((t.origin or "").lower()) for t in trials], rank=3),
        Column("worker", [Text(t.worker_id) for t in trials], rank=4),
        Column("parameters", [_configuration(info, t) for t in trials], is_flexible=True),
    ]
    table = FittedTable(columns, ["bold" if t.number in starred else "" for t in trials])
    selected = len(trials) if selected is None else selected
    notes = []
    if total is not None and selected < total:
        notes.append(f"{selected} of {total} trials match.")
    if len(trials) < selected:
        notes.append(f"{len(trials)} of {selected} trials are shown; --limit 0 shows all.")
    return Group(table, *([Text(" ".join(notes), style="dim")] if notes else []))


def _configuration(info: StudyInfo, trial: Trial) -> Text:
    """Return the failure, the parameters, and remarks."""
    text = Text(f"{trial.failure.reason.value}  " if trial.failure else "", style="dim")
    text.append(assignments(in_order(trial.parameters, info.space)), style="default")
    return text.append(_remark(trial), style="dim")


def machines_text(machines: Sequence[MachineAttempts]) -> RenderableType:
    """Return a table with a row for each machine, after a sentence for each that fails more often than the others."""
    within = span(machines)
    rows = [[Text(one_line(cell)) for cell in machine_row(machine, within)] for machine in machines]
    titles = machine_columns(within)
    columns = [
        Column(title, [row[i] for row in rows], MACHINE_RANKS[i], i in (5, 7), "timeline" if i == 6 else "")
        for i, title in enumerate(titles)
    ]
    sentences = [Text(one_line(line), style="bold red") for line in suspects(machines)]
    return Group(*sentences, FittedTable(columns, ["red" if machine.failed else "" for machine in machines]))


def trial_text(info: StudyInfo, trial: Trial, artifacts: Iterable[Artifact] = ()) -> RenderableType:
    """Return a trial with a row for each parameter and final metric, its note, and its artifacts."""
    table = Table.grid(padding=(0, 2))
    for name, value in in_order(trial.parameters, info.space).items():
        table.add_row(Text(f"  {name}"), Text(short(value)), Text(info.space[name].unit))
    head = Text(f"trial {trial.number}  {trial.state.value}", style="bold")
    details = [Text(about, style="dim") for about in _about(trial)]
    details += [Text(f"{name}: {text}", style="dim") for name, text in trial.labels.items()]
    if trial.failure:
        details.append(Text(f"{trial.failure.reason.value}: {printable(trial.failure.message)}", style="red"))
    details += [Text(attempt_line(attempt), style="dim") for attempt in trial.attempts]
    if trial.note:
        details += [Text(note_head(trial.note), style="dim"), Text(printable(trial.note.text))]
    details += [Text(f"artifact {artifact_line(artifact)}", style="dim") for artifact in artifacts]
    lines = [Hanging("", text) for text in details]
    if trial.final_measurement is None:
        return Group(head, table, *lines)
    declared = {m.name: m for m in info.metrics}
    reached = Table.grid(padding=(0, 2))
    metrics = trial.final_measurement.metrics
    for name in sorted(metrics, key=lambda name: list(declared).index(name) if name in declared else len(declared)):
        metric, value = declared.get(name, Metric(name, role="information")), metrics[name]
        bound = heading(metric).removeprefix(name).strip()
        reached.add_row(Text(f"  {name}"), result(metric, value), Text(metric.unit), Text(bound, style="dim"))
    return Group(head, reached, Text("with"), table, *lines)


def _about(trial: Trial) -> Iterator[str]:
    """Yield where a trial comes from, how long it took, and why it ends early or waits."""
    if trial.origin:
        yield f"from {ORIGINS[trial.origin]}"
    took = duration(trial)
    if took is not None:
        yield f"took {clock(took)}"
    if trial.state is TrialState.RUNNING and trial.latest_measurement:
        latest = trial.latest_measurement
        yield f"step {latest.step}: {assignments(latest.metrics)}"
    if trial.stop_reason is not None:
        yield f"stopped by {trial.stop_rule or 'a user'}: {one_line(trial.stop_reason)}".rstrip(": ")
    if trial.state is TrialState.PAUSED and trial.pause:
        yield f"paused at step {trial.pause.step}: {one_line(trial.pause.reason)}"
    if trial.checkpoint_uri and not trial.state.is_ended:
        yield f"checkpoint {trial.checkpoint_uri}"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def prediction_text(info: StudyInfo, prediction: ConfigurationPrediction) -> RenderableType:
    """Return the prediction: mean, and standard deviation of the noise-free value."""
    units = {m.name: f" {m.unit}" if m.unit else "" for m in info.metrics}
    lines = [f"{p.metric} {within(p.mean, p.std)}{units[p.metric]}" for p in prediction.predictions]
    lines.append(f"acquisition value {short(prediction.acquisition_value)}; larger values are more promising")
    return Text("\n".join(lines))


def _remark(trial: Trial) -> str:
    remarks = [f"attempt {trial.attempt}"] if trial.attempt > 1 else []
    brief = {name: text for name, text in trial.labels.items() if not name.startswith(DETAILS)}
    return "".join(f"  {mark}" for mark in [*remarks, *(f"{k}={v}" for k, v in sorted(brief.items()))])


def table_of(*columns: str) -> Table:
    """Return an empty table whose last column folds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns[:-1]:
        table.add_column(Text(column), no_wrap=True)
    table.add_column(Text(columns[-1]), overflow="fold")
    return table
