"""What `bo` prints for people: tables and short texts, on rich."""

import math
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bo_client.values import ConfigurationPrediction, Metric, StudyInfo, Trial, TrialState
from bo_client.wording import (
    assignments,
    attempt_line,
    clock,
    duration,
    goals,
    heading,
    in_order,
    nothing_yet,
    one_line,
    printable,
    progress,
    short,
)

STYLES = {
    TrialState.QUEUED: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.SUCCEEDED: "green",
    TrialState.FAILED: "red",
    TrialState.INFEASIBLE: "yellow",
    TrialState.STOPPED: "magenta",
}
VIOLATED = "✗"
PIPED_WIDTH = 10_000
"""Columns where nobody looks: lines are never folded."""
DETAILS = ("diagnosis.", "note.", "warning.")
"""Labels that tell more than a line has room for."""


def console() -> Console:
    """Standard output as it is now; without colors and folding where it is no terminal."""
    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if terminal else PIPED_WIDTH, highlight=False, emoji=False)


def within(value: float, error: float) -> str:
    """value ± error, with two digits of the error and as many places of the value."""
    if not (0.0 < error < math.inf and 1e-6 < abs(error) < 1e6):
        return f"{short(value)} ± {error:.2g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def studies_table(studies: Iterable[StudyInfo]) -> RenderableType:
    """One line a study."""
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


def study_text(info: StudyInfo, best: Sequence[Trial]) -> RenderableType:
    """A study: what it optimizes, where it stands, its best trials."""
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
    told = Text("\n".join(lines))
    if info.recent_failures:
        told.append(f"\nfailing   {one_line(str(info.recent_failures))}", style="bold red")
    return told


def best_line(info: StudyInfo, best: Sequence[Trial]) -> str:
    """The best trial in one line, or the numbers of the Pareto set."""
    if not best:
        return nothing_yet(info)
    if len(info.objectives) > 1:
        numbers = ", ".join(str(trial.number) for trial in best)
        return f"Pareto set of {len(best)}: trial{'s' if len(best) > 1 else ''} {numbers}"
    (trial, *_) = best
    return f"{results(info, trial)} in trial {trial.number}: {assignments(in_order(trial.parameters, info.space))}"


def results(info: StudyInfo, trial: Trial) -> str:
    """The final objectives and constraint metrics in one line; what is beyond its bound is marked."""
    return ", ".join(f"{m.name} {result(m, v).plain}" for m in info.steering if (v := trial.value(m.name)) is not None)


def result(metric: Metric, value: float | None) -> Text:
    """A metric's value; one beyond its bound is marked."""
    if value is None:
        return Text("")
    return Text(short(value)) if metric.admits(value) else Text(f"{short(value)} {VIOLATED}", style="red")


def trials_table(info: StudyInfo, trials: Iterable[Trial], best: Sequence[Trial]) -> RenderableType:
    """One line a trial, a column for each objective and constraint metric; a star marks the best."""
    table = table_of("trial", "state", *(heading(m) for m in info.steering), "time", "from", "worker", "parameters")
    starred = {trial.number for trial in best}
    for trial in trials:
        seconds = duration(trial)
        table.add_row(
            f"{trial.number}{' *' if trial.number in starred else ''}",
            Text(trial.state.value, style=STYLES[trial.state]),
            *(result(metric, trial.value(metric.name)) for metric in info.steering),
            "" if seconds is None else clock(seconds),
            (trial.origin or "").lower(),
            Text(trial.worker_id),
            Text(assignments(in_order(trial.parameters, info.space))).append(_remark(trial), style="dim"),
            style="bold" if trial.number in starred else "",
        )
    return table


def trial_text(info: StudyInfo, trial: Trial) -> RenderableType:
    """A trial with each parameter and final metric on a line of its own."""
    table = Table.grid(padding=(0, 2))
    for name, value in in_order(trial.parameters, info.space).items():
        table.add_row(Text(f"  {name}"), Text(short(value)), Text(info.space[name].unit))
    head = Text(f"trial {trial.number}  {trial.state.value}", style="bold")
    told = [Text(f"{name}: {text}", style="dim") for name, text in trial.labels.items()]
    if trial.failure:
        told.append(Text(f"{trial.failure.reason.value}: {printable(trial.failure.message)}", style="red"))
    told += [Text(attempt_line(attempt), style="dim") for attempt in trial.attempts]
    if trial.final_measurement is None:
        return Group(head, table, *told)
    declared = {m.name: m for m in info.metrics}
    reached = Table.grid(padding=(0, 2))
    for name, value in trial.final_measurement.metrics.items():
        metric = declared.get(name, Metric(name, role="information"))
        bound = heading(metric).removeprefix(name).strip()
        reached.add_row(Text(f"  {name}"), result(metric, value), Text(metric.unit), Text(bound, style="dim"))
    return Group(head, reached, Text("with"), table, *told)


def prediction_text(info: StudyInfo, prediction: ConfigurationPrediction) -> RenderableType:
    """What the surrogate says: mean, and the standard deviation of the noise-free value."""
    units = {m.name: f" {m.unit}" if m.unit else "" for m in info.metrics}
    lines = [f"{p.metric} {short(p.mean)} ± {short(p.std)}{units[p.metric]}" for p in prediction.predictions]
    return Text("\n".join([*lines, f"acquisition {short(prediction.acquisition_value)}"]))


def _remark(trial: Trial) -> str:
    said = [trial.failure.reason.value] if trial.failure else []
    if trial.attempt > 1:
        said.append(f"attempt {trial.attempt}")
    brief = {name: text for name, text in trial.labels.items() if not name.startswith(DETAILS)}
    return "".join(f"  {mark}" for mark in [*said, *(f"{k}={v}" for k, v in sorted(brief.items()))])


def table_of(*columns: str) -> Table:
    """An empty table; the last column folds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns[:-1]:
        table.add_column(Text(column), no_wrap=True)
    table.add_column(Text(columns[-1]), overflow="fold")
    return table
