"""A study's results in one line of a terminal: a bar for each trial, taller is better."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement

from bo_client.cli.console import Text
from bo_client.figures.common import is_observed, is_within, worst_shown
from bo_client.models import Metric, StudyInfo, Trial
from bo_client.ranking import is_better

BARS = "▁▂▃▄▅▆▇█"
NO_RESULT = "×"


class Sparkline:
    """A sparkline of as many of the newest trials as fit, up to `width`."""

    def __init__(self, study: StudyInfo, trials: Sequence[Trial], metric: Metric, width: int) -> None:
        self._arguments = study, trials, metric
        self._width = min(width, sum(t.state.is_ended for t in trials))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield sparkline(*self._arguments, min(self._width, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, self._width))


def sparkline(study: StudyInfo, trials: Sequence[Trial], metric: Metric, width: int) -> Text:
    """Return bars of the last `width` ended trials: green for a new best, red for a violated bound.

    Outliers among bad trials have the height of the worst trial that is no outlier.
    """
    ended = [t for t in trials if t.state.is_ended]
    valued = [value for t in ended if (value := t.value(metric.name)) is not None]
    text = Text()
    if not valued:
        return text.append(NO_RESULT * len(ended[-width:]), style="red")
    worst, best = worst_shown(valued, metric.goal), (max if metric.goal == "maximize" else min)(valued)
    marks, leader = [], None
    for trial in ended:
        value = trial.value(metric.name)
        is_best = value is not None and is_within(study, trial) and is_observed(trial) and _beats(value, leader, metric)
        leader = value if is_best else leader
        marks.append((NO_RESULT if value is None else _bar(value, worst, best), _style(study, trial, is_best)))
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
