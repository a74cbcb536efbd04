"""What `bo` prints for people: tables and short texts, on rich."""

import math
import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bo_client.commands.records import duration, in_order
from bo_client.parameters import Value
from bo_client.values import ConfigurationPrediction, Metric, StudyInfo, Trial, TrialState

STYLES = {
    TrialState.QUEUED: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.SUCCEEDED: "green",
    TrialState.FAILED: "red",
    TrialState.INFEASIBLE: "yellow",
    TrialState.STOPPED: "magenta",
}
PIPED_WIDTH = 10_000
"""Columns where nobody looks: lines are never folded."""


def console() -> Console:
    """Standard output as it is now; without colors and folding where it is no terminal."""
    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if terminal else PIPED_WIDTH, highlight=False, emoji=False)


def short(value: Value) -> str:
    """A value with as many digits as one reads."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def within(value: float, error: float) -> str:
    """value ± error, with two digits of the error and as many places of the value."""
    if not (0.0 < error < math.inf and 1e-6 < abs(error) < 1e6):
        return f"{short(value)} ± {error:.2g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def assignments(parameters: Mapping[str, Value]) -> str:
    """name=value, name=value …"""
    return " ".join(f"{name}={short(value)}" for name, value in parameters.items())


def clock(seconds: float) -> str:
    """h:mm:ss."""
    return str(timedelta(seconds=max(0, round(seconds))))


def with_unit(metric: Metric) -> str:
    """The metric's name, with its unit where it has one."""
    return f"{metric.name} ({metric.unit})" if metric.unit else metric.name


def progress(info: StudyInfo) -> str:
    """`7 of 24`, or `7` without a limit."""
    return f"{info.ended} of {info.max_trials}" if info.max_trials else str(info.ended)


def studies_table(studies: Iterable[StudyInfo]) -> RenderableType:
    """One line a study."""
    table = table_of("study", "state", "ended", "running", "goal", "changed (UTC)")
    for info in studies:
        metric = info.objective
        changed = f"{info.update_time:%Y-%m-%d %H:%M:%S}" if info.update_time else ""
        goal = f"{metric.goal} {metric.name}"
        running = str(info.counts[TrialState.RUNNING])
        table.add_row(Text(info.id), info.state.value, progress(info), running, Text(goal), changed)
    return table


def study_text(info: StudyInfo, best: Trial | None) -> RenderableType:
    """A study: what it optimizes, where it stands, its best trial."""
    counts = ", ".join(f"{count} {state.lower()}" for state, count in info.counts.items() if count)
    lines = [
        f"study     {info.id}" + (f" ({info.display_name})" if info.display_name not in ("", info.id) else ""),
        f"state     {info.state.value}, {progress(info)} trials ended",
        f"goal      {info.objective.goal} {with_unit(info.objective)}",
        f"trials    {counts or 'none yet'}",
        f"best      {best_line(info, best)}",
    ]
    if info.warm_start_studies:
        lines.append(f"starts    from {', '.join(info.warm_start_studies)}")
    if info.labels:
        lines.append("labels    " + " ".join(f"{k}={v}" for k, v in sorted(info.labels.items())))
    return Text("\n".join(lines))


def best_line(info: StudyInfo, best: Trial | None) -> str:
    """The best trial in one line."""
    if best is None:
        return "no trial has a result yet"
    name = info.objective.name
    value = best.value(name)
    shown = "?" if value is None else short(value)
    return f"{name} {shown} in trial {best.number}: {assignments(in_order(best.parameters, info.space))}"


def trials_table(info: StudyInfo, trials: Iterable[Trial], best: Trial | None) -> RenderableType:
    """One line a trial; a star marks the best."""
    name = info.objective.name
    table = table_of("trial", "state", name, "time", "from", "parameters")
    for trial in trials:
        value, seconds = trial.value(name), duration(trial)
        starred = best is not None and trial.number == best.number
        table.add_row(
            f"{trial.number}{' *' if starred else ''}",
            Text(trial.state.value, style=STYLES[trial.state]),
            "" if value is None else short(value),
            "" if seconds is None else clock(seconds),
            (trial.origin or "").lower(),
            Text(assignments(in_order(trial.parameters, info.space))).append(_remark(trial), style="dim"),
            style="bold" if starred else "",
        )
    return table


def trial_text(info: StudyInfo, trial: Trial) -> RenderableType:
    """A trial with each parameter and final metric on a line of its own."""
    table = Table.grid(padding=(0, 2))
    for name, value in in_order(trial.parameters, info.space).items():
        table.add_row(Text(f"  {name}"), Text(short(value)), Text(info.space[name].unit))
    head = Text(f"trial {trial.number}  {trial.state.value}", style="bold")
    if trial.final_measurement is None:
        return Group(head, table)
    units = {m.name: m.unit for m in info.metrics}
    results = Table.grid(padding=(0, 2))
    for name, metric in trial.final_measurement.metrics.items():
        results.add_row(Text(f"  {name}"), Text(short(metric)), Text(units.get(name, "")))
    return Group(head, results, Text("with"), table)


def prediction_text(info: StudyInfo, prediction: ConfigurationPrediction) -> RenderableType:
    """What the surrogate says: mean, and the standard deviation of the noise-free value."""
    units = {m.name: f" {m.unit}" if m.unit else "" for m in info.metrics}
    lines = [f"{p.metric} {short(p.mean)} ± {short(p.std)}{units[p.metric]}" for p in prediction.predictions]
    return Text("\n".join([*lines, f"acquisition {short(prediction.acquisition_value)}"]))


def _remark(trial: Trial) -> str:
    said = [trial.failure.reason.value] if trial.failure else []
    if trial.attempt > 1:
        said.append(f"attempt {trial.attempt}")
    return "".join(f"  {mark}" for mark in [*said, *(f"{k}={v}" for k, v in sorted(trial.labels.items()))])


def table_of(*columns: str) -> Table:
    """An empty table; the last column folds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns[:-1]:
        table.add_column(Text(column), no_wrap=True)
    table.add_column(Text(columns[-1]), overflow="fold")
    return table
