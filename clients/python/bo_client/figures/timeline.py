"""The timeline: the attempts of each machine in time, and how they ended."""

from collections.abc import Callable, Sequence
from datetime import datetime

from bo_client.figures.common import MAX_DETAILED, clipped, nothing, titled
from bo_client.figures.marks import Color, Dots, FigureAxis, FigureSpec, Line, Mark, Panel, Symbol
from bo_client.formatting import attempt_line
from bo_client.machines import MachineAttempts, by_machine, has_failed, is_running, span, suspects
from bo_client.models import Attempt, StudyInfo, Trial

MAX_MACHINES = 20
"""Maximum number of machines: those with the most failures."""
UNITS = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))
"""Spans in seconds from which a longer unit is used, the unit in seconds, and its name."""

Made = tuple[int, Trial, Attempt]
"""The row of an attempt's machine, its trial, and the attempt."""


def workers(study: StudyInfo, trials: Sequence[Trial]) -> FigureSpec:
    """Return the attempts of each machine in time: failed, completed and running ones."""
    machines = by_machine(trials)
    within = span(machines)
    if within is None:
        return nothing(study, f"no worker has begun a trial of {study.id}, or it is not known when")
    begin, end = within
    seconds = (end - begin).total_seconds()
    unit, word = next(((unit, word) for limit, unit, word in UNITS if seconds >= limit), (1.0, "seconds"))
    shown = machines[:MAX_MACHINES]
    rows = len(shown)
    made = [(rows - i, trial, attempt) for i, machine in enumerate(shown) for trial, attempt in machine.attempts]
    ticks = tuple((float(rows - i), clipped(machine.machine, 22)) for i, machine in enumerate(shown))
    last = seconds / unit or 1.0
    across = FigureAxis(
        f"{word} since {begin:%Y-%m-%d %H:%M:%S} UTC", window=(-0.03 * last, 1.03 * last), has_lines=True
    )
    upright = FigureAxis(ticks=ticks, window=(0.4, rows + 0.6))

    def at(moment: datetime) -> float:
        return (moment - begin).total_seconds() / unit

    marks = [
        *_spans(made, at, end),
        *_dots(made, at, "completed", "muted", "circle", lambda a: a.outcome is not None and not has_failed(a)),
        *_dots(made, at, "failed", "bad", "cross", has_failed),
        *_dots(made, lambda _: last, "running", "accent", "ring", is_running),
    ]
    failed = sum(len(machine.failed) for machine in machines)
    title = titled(study, f"{failed} failed attempts on {len(machines)} machines" if failed else "attempts by machine")
    return FigureSpec(title, [Panel(across, upright, marks)], summary=summary(machines))


def summary(machines: Sequence[MachineAttempts]) -> str:
    """Return the failures by machine in words."""
    listed = [f"{m.machine}: {len(m.failed)} of {m.ended} ended attempts failed" for m in machines[:MAX_MACHINES]]
    more = [f"and {len(machines) - MAX_MACHINES} more machines"] if len(machines) > MAX_MACHINES else []
    return f"Attempts by machine and time. {'; '.join([*listed, *more])}. {'; '.join(suspects(machines))}".strip()


def _spans(made: Sequence[Made], at: Callable[[datetime], float], now: datetime) -> list[Mark]:
    """Return a line for each attempt, from its begin to its end."""
    x: list[float] = []
    y: list[float] = []
    for row, _, attempt in made:
        if attempt.start_time is not None and (attempt.end_time is not None or is_running(attempt)):
            x += [at(attempt.start_time), at(attempt.end_time or now), float("nan")]
            y += [row, row, float("nan")]
    return [Line(x, y, "quiet", width=3.0, alpha=0.5)] if x else []


def _dots(
    made: Sequence[Made],
    at: Callable[[datetime], float],
    label: str,
    color: Color,
    symbol: Symbol,
    includes: Callable[[Attempt], bool],
) -> list[Mark]:
    chosen = [
        (row, trial, attempt, moment)
        for row, trial, attempt in made
        if includes(attempt) and (moment := attempt.end_time or attempt.start_time) is not None
    ]
    if not chosen:
        return []
    is_detailed = len(chosen) <= MAX_DETAILED
    hover = [
        f"trial {trial.number}\n{attempt_line(attempt)}" if is_detailed else f"trial {trial.number}"
        for _, trial, attempt, _ in chosen
    ]
    x, y = [at(moment) for *_, moment in chosen], [row for row, *_ in chosen]
    numbers = [trial.number for _, trial, _, _ in chosen]
    return [Dots(x, y, color, f"{label} ({len(chosen)})", symbol, hover=hover, trials=numbers)]
