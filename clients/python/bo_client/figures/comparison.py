"""The comparison figure: the best value so far of several studies, by the number of their results."""

from collections.abc import Sequence

from bo_client.figures.common import LOG_RATIO, axis_over, clipped, directed, drawable_value, is_observed, is_within
from bo_client.figures.history import best_so_far
from bo_client.figures.marks import FigureAxis, FigureSpec, Line, Mark, Panel
from bo_client.models import Metric, StudyInfo, Trial

StudyTrials = tuple[StudyInfo, Sequence[Trial]]


def comparison(studies: Sequence[StudyTrials]) -> FigureSpec:
    """Return the best value so far of each study, in a panel for each objective that at least one of them has.

    Values out of bounds and those of trials that were stopped early are not compared.
    """
    names = list(dict.fromkeys(m.name for info, _ in studies for m in info.objectives))
    panels = [_panel(studies, name, "results" if name == names[-1] else "") for name in names]
    if not any(panel.marks for panel in panels):
        why = "none of these studies has a whole result yet; there is nothing to draw"
        return FigureSpec("studies", message=why, summary=why)
    ids = [info.id for info, _ in studies]
    summary = f"The best {' and '.join(names)} so far, by the number of results, of {', '.join(ids)}."
    return FigureSpec("studies side by side", panels, summary=summary)


def _panel(studies: Sequence[StudyTrials], name: str, title: str) -> Panel:
    marks: list[Mark] = []
    shown: list[float] = []
    counts: list[int] = []
    described: Metric | None = None
    for place, (info, trials) in enumerate(studies):
        metric = next((m for m in info.objectives if m.name == name), None)
        if metric is None:
            continue
        described = described or metric
        best = _best(info, trials, metric)
        shown += best
        if best:
            counts.append(len(best))
            shade = 0.1 + 0.8 * place / max(1, len(studies) - 1)
            label = clipped(info.id, 30)
            hover = [f"{info.id}\n{name} {value:.4g} after {i + 1} results" for i, value in enumerate(best)]
            steps = [float(i + 1) for i in range(len(best))]
            marks.append(Line(steps, best, label=label, width=2.2, step="post", shade=shade, hover=hover))
    heading = directed(described) if described else name
    upright = axis_over(heading, shown) if shown else FigureAxis(heading)
    if counts and max(counts) >= LOG_RATIO * min(counts):  # else the shorter search would be a point
        return Panel(FigureAxis(title, "log", window=(0.9, max(counts) * 1.1), has_lines=True), upright, marks)
    return Panel(FigureAxis(title, is_whole=True), upright, marks)


def _best(info: StudyInfo, trials: Sequence[Trial], metric: Metric) -> list[float]:
    whole = [t for t in trials if is_observed(t) and is_within(info, t)]
    values = [v for t in whole if (v := drawable_value(t, metric)) is not None]
    return best_so_far(values, metric.goal) if values else []
