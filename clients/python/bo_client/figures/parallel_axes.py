"""The parallel-coordinates figure: each trial is a line through its parameters to its metrics."""

import math
from collections.abc import Sequence

from bo_client.figures.common import (
    STOPPED,
    apart_words,
    brief,
    clipped,
    is_observed,
    metrics_of,
    nothing,
    titled,
)
from bo_client.figures.marks import Color, ColorScale, Dots, FigureAxis, FigureSpec, Line, Mark, Panel, TextMark
from bo_client.figures.parallel_content import ABSENT as ABSENT
from bo_client.figures.parallel_content import MAX_LINES as MAX_LINES
from bo_client.figures.parallel_content import ParallelAxis, ParallelContent, ParallelLine, content_of
from bo_client.formatting import with_unit
from bo_client.models import Metric, StudyInfo, Trial

MAX_CHARACTERS = 90
"""Approximate number of characters across the figure."""
BUCKETS = 12
"""Number of colors, with one line each, so that thousands of trials need few lines."""


def parallel(study: StudyInfo, trials: Sequence[Trial], metric: str | None = None) -> FigureSpec:
    """Return an axis for each parameter and objective; trials that are better by the first have stronger colors.

    Trials without a result, or that a stopping rule ended early, are dashed and end below the first metric's axis.

    Args:
        study: the study.
        trials: its trials.
        metric: the only metric that has an axis; by default all objectives have one.

    Raises:
        InvalidRequest: the study has no such metric.
    """
    metrics = metrics_of(study, metric)
    if not any(is_observed(t) and t.value(metrics[0].name) is not None for t in trials):
        return nothing(study, f"no trial of {study.id} has a whole result yet{apart_words(trials)}")
    content, of = content_of(study, trials, metrics), metrics[0]
    by_kind = {kind: [line for line in content.lines if line.kind == kind] for kind in ("result", "lost", "stopped")}
    shown, lost, stopped = by_kind["result"], by_kind["lost"], by_kind["stopped"]
    marks = [
        *_frame(content.axes),
        *_absence(study),
        *_without(study, lost, "bad", "ended without a result"),
        *_without(study, stopped, "muted", f"{STOPPED} ({len(stopped)})"),
        *_lines(study, shown),
    ]
    foot = -0.28 if lost or stopped or any(p.activation for p in study.space.parameters) else -0.1
    words = ("worst", "best") if of.goal else ("lowest", "highest")
    return FigureSpec(
        _title(study, trials, content, len(shown)),
        [Panel(_across(content.axes), FigureAxis(window=(foot, 1.14), is_bare=True), marks)],
        scale=ColorScale(with_unit(of), 0.0, 1.0, words=words),
        summary=summary_of(len(shown), metrics, trials),
    )


def summary_of(count: int, metrics: Sequence[Metric], trials: Sequence[Trial]) -> str:
    """Return the description of the figure."""
    names = " and ".join(m.name for m in metrics)
    return f"A line for each of {count} trials through its parameters to {names}{apart_words(trials)}."


def _title(study: StudyInfo, trials: Sequence[Trial], content: ParallelContent, shown: int) -> str:
    count = f"the best {shown} of {content.result_count}" if shown < content.result_count else f"{shown}"
    more = f", {content.hidden_count} more parameters are not shown" if content.hidden_count else ""
    return titled(study, f"{count} results{apart_words(trials)}{more}")


def _across(axes: Sequence[ParallelAxis]) -> FigureAxis:
    max_length = max(9, MAX_CHARACTERS * 2 // len(axes))
    names = [axis.title if axis.is_metric else axis.name for axis in axes]
    ticks = tuple((float(i), clipped(name, max_length)) for i, name in enumerate(names))
    return FigureAxis(ticks=ticks, window=(-0.3, len(names) - 0.5), is_bare=True)


def _frame(axes: Sequence[ParallelAxis]) -> list[Mark]:
    """Return the axes with labels."""
    marks: list[Mark] = [Line([i, i], [0.0, 1.0], "quiet", width=1.2) for i in range(len(axes))]
    max_length = max(5, MAX_CHARACTERS // len(axes))
    for i, axis in enumerate(axes):
        for height, text in axis.labels:
            toward = (1, 0) if axis.values else (0, -1 if height == 0.0 else 1)
            label = clipped(text, max_length) if axis.values else text
            marks.append(TextMark(i, height, label, toward, "ink", 3.0, has_ground=True))
    return marks


def _absence(study: StudyInfo) -> list[Mark]:
    """Return the label of the row for absent parameters; the first parameter is always present."""
    if not any(p.activation for p in study.space.parameters):
        return []
    return [TextMark(0.0, ABSENT, "absent", (0, 0), "quiet", 0.0)]


def _lines(study: StudyInfo, lines: Sequence[ParallelLine]) -> list[Mark]:
    """Return a line for each color, from faint to strong."""
    buckets: dict[int, list[ParallelLine]] = {}
    for line in lines:
        buckets.setdefault(min(int(line.goodness * BUCKETS), BUCKETS - 1), []).append(line)
    marks: list[Mark] = []
    for bucket in sorted(buckets):
        strength = (bucket + 0.5) / BUCKETS
        x, y, hover, numbers = _joined(study, buckets[bucket])
        width, alpha = 1.0 + strength, 0.45 + 0.5 * strength
        marks.append(Line(x, y, width=width, alpha=alpha, shade=strength, hover=hover, trials=numbers))
    return marks


def _joined(study: StudyInfo, lines: Sequence[ParallelLine]) -> tuple[list[float], list[float], list[str], list[int]]:
    """Return places, hover texts and numbers of trials, with a gap after each."""
    x = [place for line in lines for place in (*map(float, range(len(line.heights))), math.nan)]
    y = [height for line in lines for height in (*line.heights, math.nan)]
    hover = [text for line in lines for text in [brief(study, line.trial)] * (len(line.heights) + 1)]
    return x, y, hover, [line.trial.number for line in lines for _ in range(len(line.heights) + 1)]


def _without(study: StudyInfo, lines: Sequence[ParallelLine], color: Color, label: str) -> list[Mark]:
    """Return the trials without a final value: their lines end below the metric's axis."""
    if not lines:
        return []
    x, y, hover, numbers = _joined(study, lines)
    ends = [len(line.heights) - 1 for line in lines]
    crosses = Dots(ends, [ABSENT] * len(lines), color, symbol="cross", trials=[line.trial.number for line in lines])
    line = Line(x, y, color, label, 0.9, is_dashed=True, alpha=0.55, hover=hover, trials=numbers)
    return [line, crosses]
