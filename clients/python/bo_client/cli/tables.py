"""Tables and short texts that `bo` prints, with rich."""

import math
import sys
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from bo_client.artifacts import Artifact
from bo_client.cli.console import Console, Text
from bo_client.formatting import (
    artifact_line,
    assignments,
    attempt_line,
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
)
from bo_client.machines import MachineAttempts, by_machine, machine_columns, machine_row, span, suspects
from bo_client.models import ConfigurationPrediction, Metric, StudyInfo, Trial, TrialState

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
    table = table_of("study", "state", "ended", "running", "goal", "changed (UTC)")
    failing = []
    for info in studies:
        failing += (
            [Text(f"{info.id}: {one_line(str(info.recent_failures))}", style="red")] if info.recent_failures else []
        )
        changed = f"{info.update_time:%Y-%m-%d %H:%M:%S}" if info.update_time else ""
        running = str(info.counts[TrialState.RUNNING])
        table.add_row(Text(info.id), info.state.value, progress(info), running, Text(goals(info)), changed)
    return Group(table, *failing)


def study_text(info: StudyInfo, best: Sequence[Trial], trials: Sequence[Trial] = ()) -> RenderableType:
    """Return a summary of a study: its objectives, progress and best trials, and machines that fail."""
    counts = ", ".join(f"{count} {state.lower()}" for state, count in info.counts.items() if count)
    lines = [
        f"study     {info.id}" + (f" ({info.display_name})" if info.display_name not in ("", info.id) else ""),
        f"state     {info.state.value}, {progress(info)} trials ended",
        f"goal      {goals(info)}",
        f"trials    {counts or 'none yet'}",
        f"best      {best_line(info, best)}",
    ]
    if info.warm_start_studies:
        lines.append(f"starts    from {', '.join(info.warm_start_studies)}")
    if info.objective_spec:
        options = " ".join(f"{key}={one_line(text)}" for key, text in info.objective_spec.options.items())
        lines.append(f"objective {one_line(info.objective_spec.name)} {options}".rstrip())
    if info.labels:
        lines.append("labels    " + " ".join(f"{k}={v}" for k, v in sorted(info.labels.items())))
    if info.resumable_count:
        lines.append(f"waiting   {resumable(info)}")
    text = Text("\n".join(lines))
    if info.recent_failures:
        text.append(f"\nfailing   {one_line(str(info.recent_failures))}", style="bold red")
    for line in suspects(by_machine(trials)):
        text.append(f"\nmachine   {one_line(line)}", style="bold red")
    return text


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


def trials_table(info: StudyInfo, trials: Iterable[Trial], best: Sequence[Trial]) -> RenderableType:
    """Return a table with a row for each trial and a column for each modelled metric; a star marks the best."""
    table = table_of(
        "trial", "state", *(heading(m) for m in info.modelled_metrics), "time", "from", "worker", "parameters"
    )
    starred = {trial.number for trial in best}
    for trial in trials:
        seconds = duration(trial)
        table.add_row(
            f"{trial.number}{' *' if trial.number in starred else ''}",
            Text(trial.state.value, style=STYLES[trial.state]),
            *(result(metric, trial.value(metric.name)) for metric in info.modelled_metrics),
            "" if seconds is None else clock(seconds),
            (trial.origin or "").lower(),
            Text(trial.worker_id),
            Text(assignments(in_order(trial.parameters, info.space))).append(_remark(trial), style="dim"),
            style="bold" if trial.number in starred else "",
        )
    return table


def machines_text(machines: Sequence[MachineAttempts]) -> RenderableType:
    """Return a table with a row for each machine, after a sentence for each that fails more often than the others."""
    within = span(machines)
    table = table_of(*machine_columns(within))
    for machine in machines:
        row = [Text(one_line(cell)) for cell in machine_row(machine, within)]
        table.add_row(*row, style="red" if machine.failed else "")
    return Group(*(Text(one_line(line), style="bold red") for line in suspects(machines)), table)


def trial_text(info: StudyInfo, trial: Trial, artifacts: Iterable[Artifact] = ()) -> RenderableType:
    """Return a trial with a row for each parameter and final metric, its note, and its artifacts."""
    table = Table.grid(padding=(0, 2))
    for name, value in in_order(trial.parameters, info.space).items():
        table.add_row(Text(f"  {name}"), Text(short(value)), Text(info.space[name].unit))
    head = Text(f"trial {trial.number}  {trial.state.value}", style="bold")
    details = [Text(f"{name}: {text}", style="dim") for name, text in trial.labels.items()]
    if trial.failure:
        details.append(Text(f"{trial.failure.reason.value}: {printable(trial.failure.message)}", style="red"))
    details += [Text(attempt_line(attempt), style="dim") for attempt in trial.attempts]
    if trial.note:
        details += [Text(note_head(trial.note), style="dim"), Text(printable(trial.note.text))]
    details += [Text(f"artifact {artifact_line(artifact)}", style="dim") for artifact in artifacts]
    if trial.final_measurement is None:
        return Group(head, table, *details)
    declared = {m.name: m for m in info.metrics}
    reached = Table.grid(padding=(0, 2))
    for name, value in trial.final_measurement.metrics.items():
        metric = declared.get(name, Metric(name, role="information"))
        bound = heading(metric).removeprefix(name).strip()
        reached.add_row(Text(f"  {name}"), result(metric, value), Text(metric.unit), Text(bound, style="dim"))
    return Group(head, reached, Text("with"), table, *details)


def prediction_text(info: StudyInfo, prediction: ConfigurationPrediction) -> RenderableType:
    """Return the prediction: mean, and standard deviation of the noise-free value."""
    units = {m.name: f" {m.unit}" if m.unit else "" for m in info.metrics}
    lines = [f"{p.metric} {short(p.mean)} ± {short(p.std)}{units[p.metric]}" for p in prediction.predictions]
    return Text("\n".join([*lines, f"acquisition {short(prediction.acquisition_value)}"]))


def _remark(trial: Trial) -> str:
    remarks = [trial.failure.reason.value] if trial.failure else []
    if trial.attempt > 1:
        remarks.append(f"attempt {trial.attempt}")
    brief = {name: text for name, text in trial.labels.items() if not name.startswith(DETAILS)}
    return "".join(f"  {mark}" for mark in [*remarks, *(f"{k}={v}" for k, v in sorted(brief.items()))])


def table_of(*columns: str) -> Table:
    """Return an empty table whose last column folds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns[:-1]:
        table.add_column(Text(column), no_wrap=True)
    table.add_column(Text(columns[-1]), overflow="fold")
    return table
