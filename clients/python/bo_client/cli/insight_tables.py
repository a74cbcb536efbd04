"""The output of `bo explain` and `bo slice` for people, with rich."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table

from bo_client.cli.console import Text
from bo_client.cli.tables import table_of, within
from bo_client.formatting import assignments, in_order, short, with_unit
from bo_client.insight import (
    Analysis,
    BestAnalysis,
    Contender,
    MetricAnalysis,
    ParameterImportance,
    RegionImportance,
    Slice,
    SliceAxis,
)
from bo_client.models import Goal, Metric, StudyInfo
from bo_client.parameters import Value

BAR_WIDTH = 12
ALONE, TOGETHER = "█", "░"
ROUNDING = 1e-12
MAX_PARAMETERS = 20
"""Maximum number of parameters shown; the others hardly matter."""


def analysis_text(info: StudyInfo, analysis: Analysis) -> RenderableType:
    """Return, for each objective, the important parameters, the best configuration and the calibration."""
    return Group(*(part for metric in analysis.metrics for part in _metric(info, metric)))


def slice_table(info: StudyInfo, predicted: Slice) -> RenderableType:
    """Return a table with a row for each point, below the values of the other parameters."""
    axes = {axis.parameter: axis for axis in predicted.axes}
    names = list(axes)
    fixed = {n: v for n, v in in_order(predicted.base, info.space).items() if n not in names}
    table = table_of(*names, *(p.metric for p in predicted.points[0].predictions), "")
    for point in predicted.points:
        predictions = [within(p.mean, p.std) for p in point.predictions]
        values = [Text(short(_clean(value, axes[name]))) for name, value in point.parameters.items()]
        table.add_row(*values, *predictions, "" if point.feasible else "violates a constraint")
    origin = f"trial {predicted.base_trial}" if predicted.base_trial else "given"
    return Group(Text(f"others as in {origin}: {assignments(fixed)}", style="dim"), table)


def _metric(info: StudyInfo, analysis: MetricAnalysis) -> Iterator[RenderableType]:
    metric = next((m for m in info.metrics if m.name == analysis.metric), Metric(analysis.metric))
    unit = metric.unit and f" {metric.unit}"
    yield Text(f"What matters for {with_unit(metric)}", style="bold")
    yield _importance(analysis.importance, metric.goal)
    yield Text(
        f"Shares of the predicted variation, which is ± in the heading: {ALONE} of the parameter alone, {TOGETHER} of "
        "its interactions.",
        style="dim",
    )
    interactions = analysis.importance[0].interactions
    if interactions:
        pairs = (f"{' × '.join(i.parameters)} {i.share.value:.2f} ± {i.share.error:.2f}" for i in interactions)
        yield Text(f"Interactions: {', '.join(pairs)}")
    yield Text("")
    yield Text("Is the best trial really the best?", style="bold")
    yield Text(analysis.best.summary)
    yield _contenders(analysis.best)
    if analysis.best.stopped_count:
        yield Text(
            f"Not included: {analysis.best.stopped_count} trials that a stopping rule ended before their full length."
        )
    yield Text(f"The noise of a run is ± {analysis.best.noise_std:.2g}{unit}. A star marks the best observed value.")
    yield Text("")
    yield Text("How well does the surrogate predict?", style="bold")
    yield Text(analysis.calibration.summary)


def _importance(regions: tuple[RegionImportance, ...], goal: Goal | None) -> Table:
    """Return a table with a row for each parameter and a column for each region."""
    table = table_of("parameter", *(_heading(region, goal) for region in regions), "")
    columns = [{p.parameter: p for p in region.parameters} for region in regions]
    for name in list(columns[0])[:MAX_PARAMETERS]:
        table.add_row(Text(name), *(_share(column[name]) for column in columns))
    hidden = len(columns[0]) - MAX_PARAMETERS
    if hidden > 0:
        table.add_row(f"and {hidden} more")
    return table


def _heading(region: RegionImportance, goal: Goal | None) -> str:
    if region.bound is None:
        return f"everywhere (± {region.std:.2g})"
    side = "below" if goal == "minimize" else "above"
    return f"best {region.share:.0%} ({side} {region.bound:.4g}, ± {region.std:.2g})"


def _share(importance: ParameterImportance) -> Text:
    whole = round(BAR_WIDTH * importance.total.value)
    alone = min(whole, round(BAR_WIDTH * importance.first_order.value))
    bar = Text(ALONE * alone, style="blue").append(TOGETHER * (whole - alone)).append(" " * (BAR_WIDTH - whole))
    return bar.append(f" {importance.total.value:.2f} ± {importance.total.error:.2f}", style="default")


def _contenders(analysis: BestAnalysis) -> Table:
    table = table_of("trial", "is the best", "observed", "predicted", "to decide")
    for contender in analysis.contenders:
        prediction = contender.prediction
        times = f" (mean of {contender.observation_count})" if contender.observation_count > 1 else ""
        table.add_row(
            f"{contender.trial}{' *' if contender.trial == analysis.observed_best else ''}",
            f"{contender.probability:.0%}",
            f"{short(contender.observed)}{times}",
            within(prediction.mean, prediction.std),
            _repeats(contender, analysis),
        )
    return table


def _repeats(contender: Contender, analysis: BestAnalysis) -> str:
    if contender is analysis.contenders[0]:
        return ""
    return f"repeat both {contender.repeats} ×" if contender.repeats else "no repeat needed"


def _clean(value: Value, axis: SliceAxis) -> Value:
    """Return a value of a slice; a float that is 0 but for rounding errors becomes 0."""
    if not isinstance(value, float):
        return value
    scale = max(abs(float(each)) for each in axis.values)
    return 0.0 if abs(value) < ROUNDING * scale else value
