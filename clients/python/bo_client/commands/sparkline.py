"""A study's results in one line of a terminal: a bar for each trial, the taller the better."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from bo_client.figures.showing import is_observed, is_within, worst_shown
from bo_client.ranking import is_better
from bo_client.values import Metric, StudyInfo, Trial

BARS = "▁▂▃▄▅▆▇█"
LOST = "×"


class Sparkline:
    """As `sparkline`, as many of the newest trials as there is room for, up to `width`."""

    def __init__(self, study: StudyInfo, trials: Sequence[Trial], metric: Metric, width: int) -> None:
        self._given = study, trials, metric
        self._width = min(width, sum(t.state.is_ended for t in trials))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield sparkline(*self._given, min(self._width, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, self._width))


def sparkline(study: StudyInfo, trials: Sequence[Trial], metric: Metric, width: int) -> Text:
    """The last `width` ended trials in their order: green where one was the best so far, red where beyond a bound.

    Trials far worse than the others are as low as the worst that has a height of its own.
    """
    ended = [t for t in trials if t.state.is_ended]
    valued = [value for t in ended if (value := t.value(metric.name)) is not None]
    text = Text()
    if not valued:
        return text.append(LOST * len(ended[-width:]), style="red")
    worst, best = worst_shown(valued, metric.goal), (max if metric.goal == "maximize" else min)(valued)
    marks, leader = [], None
    for trial in ended:
        value = trial.value(metric.name)
        is_best = value is not None and is_within(study, trial) and is_observed(trial) and _beats(value, leader, metric)
        leader = value if is_best else leader
        marks.append((LOST if value is None else _bar(value, worst, best), _style(study, trial, is_best)))
    for mark, style in marks[-width:]:
        text.append(mark, style=style)
    return text


def _beats(value: float, leader: float | None, metric: Metric) -> bool:
    return leader is None or is_better(value, leader, metric.goal)


def _bar(value: float, worst: float, best: float) -> str:
    share = 1.0 if worst == best else (value - worst) / (best - worst)
    return BARS[round(min(max(share, 0.0), 1.0) * (len(BARS) - 1))]


def _style(study: StudyInfo, trial: Trial, is_best: bool) -> str:
    if is_best:
        return "bold green"
    return "default" if is_within(study, trial) else "red"
