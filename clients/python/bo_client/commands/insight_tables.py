"""What `bo explain` and `bo slice` print for people, on rich."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bo_client.commands.tables import table_of, within
from bo_client.insight import (
    Analysis,
    BestAnalysis,
    Contender,
    MetricAnalysis,
    ParameterImportance,
    RegionImportance,
    Slice,
)
from bo_client.values import Goal, Metric, StudyInfo
from bo_client.wording import assignments, in_order, short, with_unit

BAR = 12
ALONE, TOGETHER = "█", "░"
MOST_SHOWN = 20
"""Parameters; the others hardly matter."""


def analysis_text(info: StudyInfo, found: Analysis) -> RenderableType:
    """Every objective metric: what matters, whether the best is best, how far to trust it."""
    return Group(*(part for metric in found.metrics for part in _metric(info, metric)))


def slice_table(info: StudyInfo, found: Slice) -> RenderableType:
    """One line a point, below what is held fixed."""
    names = [axis.parameter for axis in found.axes]
    fixed = {n: v for n, v in in_order(found.base, info.space).items() if n not in names}
    table = table_of(*names, *(p.metric for p in found.points[0].predictions), "")
    for point in found.points:
        told = [within(p.mean, p.std) for p in point.predictions]
        values = [Text(short(v)) for v in point.parameters.values()]
        table.add_row(*values, *told, "" if point.feasible else "violates a constraint")
    origin = f"trial {found.base_trial}" if found.base_trial else "given"
    return Group(Text(f"others as in {origin}: {assignments(fixed)}", style="dim"), table)


def _metric(info: StudyInfo, found: MetricAnalysis) -> Iterator[RenderableType]:
    metric = next((m for m in info.metrics if m.name == found.metric), Metric(found.metric))
    unit = metric.unit and f" {metric.unit}"
    yield Text(f"What matters for {with_unit(metric)}", style="bold")
    yield _importance(found.importance, metric.goal)
    yield Text(
        f"{ALONE} by itself, {TOGETHER} together with others: shares of the variation (±) predicted", style="dim"
    )
    interactions = found.importance[0].interactions
    if interactions:
        pairs = (f"{' × '.join(i.parameters)} {i.share.value:.2f} ± {i.share.error:.2f}" for i in interactions)
        yield Text(f"together: {', '.join(pairs)}")
    yield Text("")
    yield Text("Is the best really best?", style="bold")
    yield Text(found.best.summary)
    yield _contenders(found.best)
    if found.best.stopped_count:
        yield Text(
            f"Not among them: {found.best.stopped_count} that a stopping rule cut short; none was observed whole."
        )
    yield Text(f"Noise of a single run: ± {found.best.noise_std:.2g}{unit}. A star marks the best value observed.")
    yield Text("")
    yield Text("Is this to be trusted?", style="bold")
    yield Text(found.calibration.summary)


def _importance(regions: tuple[RegionImportance, ...], goal: Goal | None) -> Table:
    """One line a parameter, a column for each region."""
    table = table_of("parameter", *(_heading(region, goal) for region in regions), "")
    columns = [{p.parameter: p for p in region.parameters} for region in regions]
    for name in list(columns[0])[:MOST_SHOWN]:
        table.add_row(Text(name), *(_share(column[name]) for column in columns))
    hidden = len(columns[0]) - MOST_SHOWN
    if hidden > 0:
        table.add_row(f"and {hidden} more")
    return table


def _heading(region: RegionImportance, goal: Goal | None) -> str:
    if region.bound is None:
        return f"everywhere (± {region.std:.2g})"
    side = "below" if goal == "minimize" else "above"
    return f"best {region.share:.0%} ({side} {region.bound:.4g}, ± {region.std:.2g})"


def _share(found: ParameterImportance) -> Text:
    whole = round(BAR * found.total.value)
    alone = min(whole, round(BAR * found.first_order.value))
    bar = Text(ALONE * alone, style="blue").append(TOGETHER * (whole - alone)).append(" " * (BAR - whole))
    return bar.append(f" {found.total.value:.2f} ± {found.total.error:.2f}", style="default")


def _contenders(found: BestAnalysis) -> Table:
    table = table_of("trial", "best with", "observed", "predicted", "to tell")
    for contender in found.contenders:
        prediction = contender.prediction
        times = f" (mean of {contender.observation_count})" if contender.observation_count > 1 else ""
        table.add_row(
            f"{contender.trial}{' *' if contender.trial == found.observed_best else ''}",
            f"{contender.probability:.0%}",
            f"{short(contender.observed)}{times}",
            within(prediction.mean, prediction.std),
            _repeats(contender, found),
        )
    return table


def _repeats(contender: Contender, found: BestAnalysis) -> str:
    if contender is found.contenders[0]:
        return ""
    return f"repeat both {contender.repeats} ×" if contender.repeats else "known, or as good"
