"""The command `bo watch`: a live display on a terminal, or one line for each ended trial elsewhere."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from bo_client.cli.console import Text
from bo_client.cli.progress import Progress
from bo_client.cli.sparkline import Sparkline
from bo_client.cli.tables import STYLES, best_line, console, result, results
from bo_client.formatting import (
    assignments,
    budget,
    clock,
    duration,
    in_order,
    nothing_yet,
    one_line,
    resumable,
    short,
    trained_in_parts,
)
from bo_client.models import Change, StudyInfo, StudyState, Trial, TrialState

BAR_WIDTH = 32
REFRESHES_PER_S = 4
"""Refreshes per second."""
MAX_RUNNING = 16
"""Maximum number of running trials shown."""
EXHAUSTED = "has tried every configuration of its space"
SPARK_WIDTH = 60
MAX_LATEST = 6
"""Maximum number of ended trials shown."""
MAX_BEST = 8
"""Maximum number of trials of a Pareto set shown."""


def watch(study: StudyInfo, changes: Iterator[Change], exit_when_done: bool) -> None:
    """Show changes until the study is done, or forever."""
    show = _on_terminal if sys.stdout.isatty() else _as_lines
    show(Progress(study), changes, exit_when_done)


def _on_terminal(progress: Progress, changes: Iterator[Change], exit_when_done: bool) -> None:
    current = [progress]  # replaced as a whole: the refreshing thread always sees one state

    def picture() -> RenderableType:
        return render(current[0], datetime.now(UTC))

    with Live(get_renderable=picture, console=console(), refresh_per_second=REFRESHES_PER_S):
        for change in changes:
            current[0] = current[0].after(change)
            if exit_when_done and _is_last(current[0], change):
                return


def _as_lines(progress: Progress, changes: Iterator[Change], exit_when_done: bool) -> None:
    last_waiting = 0
    for change in changes:
        is_quiet = change.revision == progress.study.revision  # nothing has changed for some seconds
        for trial in change.trials:  # one by one: each line tells the best until then
            previous = progress.trials.get(trial.number)
            progress = progress.after(replace(change, trials=(trial,)))
            if trial.state.is_ended and not (previous and previous.state.is_ended):
                click.echo(ended_line(progress, trial))
            if trial.state is TrialState.PAUSED and not (previous and previous.state is TrialState.PAUSED):
                click.echo(f"trial {trial.number} paused  {trial.pause.reason if trial.pause else ''}".rstrip())
        progress = progress.after(change)
        waiting = change.study.resumable_count if is_quiet else 0
        if waiting and waiting != last_waiting:
            click.echo(resumable(change.study))
        last_waiting = waiting
        if exit_when_done and _is_last(progress, change):
            end = "is completed" if progress.study.state is StudyState.COMPLETED else EXHAUSTED
            if trained := trained_in_parts(progress.study, list(progress.trials.values())):
                click.echo(f"trained {trained}")
            if progress.study.reached_limit and (left := budget(progress.study)):
                click.echo(left)
            click.echo(f"{progress.study.id} {end}: {best_line(progress.study, progress.best)}")
            return


def _is_last(progress: Progress, change: Change) -> bool:
    """Return whether the study is done, and all its changes have been received."""
    return progress.is_done and change.revision >= change.study.revision


def ended_line(progress: Progress, trial: Trial) -> str:
    """Return a line about an ended trial."""
    study = progress.study
    reached = results(study, trial) or (trial.failure.reason.value if trial.failure else "")
    total = f" of {study.max_trials}" if study.max_trials else ""
    so_far = _so_far(study, progress.best, trial)
    details = f"{progress.ended}{total} ended", so_far, assignments(in_order(trial.parameters, study.space))
    return f"trial {trial.number} {trial.state.lower()}  {reached}  ({'; '.join(details)})"


def _so_far(study: StudyInfo, best: list[Trial], trial: Trial) -> str:
    if not best:
        return "no result within the bounds yet" if study.limits else "no result yet"
    if len(study.objectives) == 1:
        return f"best {short(best[0].value(study.objective.name) or 0.0)} in trial {best[0].number}"
    is_one = trial.number in {t.number for t in best}
    return f"one of {len(best)} in the Pareto set" if is_one else f"{len(best)} in the Pareto set"


def render(progress: Progress, now: datetime) -> RenderableType:
    """Return the display of a study at a moment."""
    head = Text(progress.study.id, style="bold")
    head.append(f"  {EXHAUSTED if progress.is_exhausted else progress.study.state.lower()}", style="dim")
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(ratio=1)
    rows.add_row("trials", _bar(progress))
    if trained := trained_in_parts(progress.study, list(progress.trials.values())):
        rows.add_row("trained", Text(trained))
    if left := budget(progress.study):
        rows.add_row("budget", Text(left))
    rows.add_row("time", _times(progress, now))
    several = len(progress.study.objectives) > 1
    rows.add_row("Pareto set" if several else "best so far", _front(progress) if several else _best(progress))
    if progress.ended:
        rows.add_row("results", _results(progress))
    rows.add_row("running", _running(progress, now))
    if progress.ended:
        rows.add_row("latest", _latest_trials(progress))
    if progress.study.recent_failures:
        rows.add_row("failing", Text(one_line(str(progress.study.recent_failures)), style="bold red"))
    return Group(head, rows)


def _bar(progress: Progress) -> RenderableType:
    total = progress.study.max_trials
    if total is None:
        return Text(f"{progress.ended} ended{_waiting(progress)}")
    line = Table.grid(padding=(0, 2))
    line.add_row(
        ProgressBar(total, progress.ended, width=BAR_WIDTH),
        Text(f"{progress.ended} of {total} ended{_waiting(progress)}"),
    )
    return line


def _waiting(progress: Progress) -> str:
    paused = sum(trial.state is TrialState.PAUSED for trial in progress.trials.values())
    return f", {paused} paused" if paused else ""


def _times(progress: Progress, now: datetime) -> Text:
    text = Text(f"{clock(progress.elapsed(now))} elapsed")
    left = progress.left(now)
    if left is not None and not progress.is_done:
        text.append(f", about {clock(left)} left")
    return text


def _best(progress: Progress) -> Text:
    study, best, name = progress.study, progress.best, progress.study.objective.name
    if not best:
        return Text(nothing_yet(study), style="dim")
    text = Text(results(study, best[0]), style="bold green")
    text.append(f" in trial {best[0].number}", style="default")
    defaults = progress.defaults
    value = defaults.value(name) if defaults else None
    if value is not None:
        text.append(f"; textbook defaults {short(value)}", style="default")
    text.append(f"\n{assignments(in_order(best[0].parameters, study.space))}", style="default not bold dim")
    return text


def _front(progress: Progress) -> RenderableType:
    """Return a row for each trial of the Pareto set, ordered by the first objective, and the textbook defaults."""
    study, best = progress.study, progress.best
    if not best:
        return Text(nothing_yet(study), style="dim")
    table = Table.grid(padding=(0, 2))
    for trial in best[:MAX_BEST]:
        table.add_row(f"trial {trial.number}", *_reached(study, trial, "bold green"), _parameters(study, trial))
    if len(best) > MAX_BEST:
        table.add_row(f"and {len(best) - MAX_BEST} more")
    defaults = progress.defaults
    if defaults and defaults.final_measurement and defaults not in best[:MAX_BEST]:
        table.add_row("defaults", *_reached(study, defaults, ""), _parameters(study, defaults))
    return table


def _reached(study: StudyInfo, trial: Trial, style: str) -> list[RenderableType]:
    """Return the objectives and constraint metrics, each with its name."""
    cells: list[RenderableType] = []
    for metric in study.modelled_metrics:
        value = result(metric, trial.value(metric.name))
        cells.append(Text.assemble(f"{metric.name} ", value if value.style else (value.plain, style)))
    return cells


def _parameters(study: StudyInfo, trial: Trial) -> Text:
    return Text(assignments(in_order(trial.parameters, study.space)), style="dim")


def _results(progress: Progress) -> RenderableType:
    """Return a sparkline for each objective; taller is better."""
    study, trials = progress.study, [trial for _, trial in sorted(progress.trials.items())]
    table = Table.grid(padding=(0, 2))
    for metric in study.objectives:
        bars = Sparkline(study, trials, metric, SPARK_WIDTH)
        table.add_row(bars, *([Text(metric.name, style="dim")] if len(study.objectives) > 1 else []))
    return table


def _latest_trials(progress: Progress) -> RenderableType:
    """Return a row for each of the latest ended trials, last first; long rows are truncated."""
    study, starred = progress.study, {trial.number for trial in progress.best}
    ended = [trial for _, trial in sorted(progress.trials.items()) if trial.state.is_ended]
    ended.sort(key=lambda t: (t.end_time.timestamp() if t.end_time else 0.0, t.number))
    rows = [_ended_row(study, trial, trial.number in starred) for trial in ended[: -MAX_LATEST - 1 : -1]]
    widths = [max(len(row[i].plain) for row in rows) for i in range(len(rows[0]) - 1)]
    table = Table.grid()
    table.add_column(no_wrap=True, overflow="ellipsis")
    for *cells, last in rows:
        line = Text()
        for cell, width in zip(cells, widths, strict=True):
            line.append(cell).append(" " * (width - len(cell.plain) + 2))
        table.add_row(line.append(last))
    return table


def _ended_row(study: StudyInfo, trial: Trial, is_best: bool) -> list[Text]:
    state = trial.failure.reason.value if trial.failure else trial.state.lower()
    took = duration(trial)
    return [
        Text(f"trial {trial.number}{' *' if is_best else ''}"),
        Text(state, style=STYLES[trial.state]),
        Text(results(study, trial)),
        Text("" if took is None else clock(took), style="dim"),
        _parameters(study, trial),
    ]


def _running(progress: Progress, now: datetime) -> RenderableType:
    running = progress.running
    if not running:
        waiting = resumable(progress.study) or "waiting for a worker"
        return Text("nothing" if progress.is_done else waiting, style="dim")
    table = Table.grid(padding=(0, 2))
    for trial in running[:MAX_RUNNING]:
        begun = clock((now - trial.start_time).total_seconds()) if trial.start_time else ""
        table.add_row(f"trial {trial.number}", *_latest(progress, trial), begun)
    if len(running) > MAX_RUNNING:
        table.add_row(f"and {len(running) - MAX_RUNNING} more")
    return table


def _latest(progress: Progress, trial: Trial) -> tuple[str, str]:
    latest = trial.latest_measurement
    if latest is None:
        return "starting", ""
    modelled = {m.name: latest.metrics[m.name] for m in progress.study.modelled_metrics if m.name in latest.metrics}
    shown = modelled or dict(list(latest.metrics.items())[:2])
    labels = progress.study.labels
    step, steps = labels.get("step", "step"), labels.get("steps")
    return f"{step} {latest.step}" + (f" of {steps}" if steps else ""), "  ".join(
        f"{metric} {short(value)}" for metric, value in shown.items()
    )
