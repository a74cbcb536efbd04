"""The importance figure: the importance of parameters in the whole space and in its best part."""

from bo_client.errors import InvalidRequest
from bo_client.figures.common import clipped, nothing, titled
from bo_client.figures.marks import Bars, Color, Dots, FigureAxis, FigureSpec, Mark, Panel
from bo_client.insight import Analysis, MetricAnalysis, RegionImportance
from bo_client.models import StudyInfo
from bo_client.parameters import format_values

MAX_PARAMETERS = 12
"""Maximum number of parameters; the others hardly matter."""
BAR_HEIGHT = 0.36


def importance(study: StudyInfo, analysis: Analysis | None, metric: str | None = None) -> FigureSpec:
    """Return two bars for each parameter, over the whole space and its best quarter; the first-order effect is solid.

    Args:
        study: the study.
        analysis: its analysis; None if there are too few results.
        metric: an objective; by default all, each in a panel of its own.

    Raises:
        InvalidRequest: there is no such objective.
    """
    if analysis is None:
        return nothing(study, "there are too few results to say what matters")
    of = analysis.metrics if metric is None else [_of(analysis, metric)]
    stopped = analysis.stopped_count
    basis = f", by {analysis.observation_count} results and forecasts of {stopped} stopped early" if stopped else ""
    panels = [_panel(each, each.metric if len(of) > 1 else "", each is of[-1]) for each in of]
    title = titled(study, f"what matters for {' and '.join(each.metric for each in of)}{basis}")
    shares = [_shares(each, each.metric if len(of) > 1 else "") for each in of]
    return FigureSpec(title, panels, summary=f"Shares over the whole space{basis}: {'; '.join(shares)}.")


def _panel(metric_analysis: MetricAnalysis, name: str, is_last: bool) -> Panel:
    """Return the bars of one objective, beside its name if there are several."""
    names = [p.parameter for p in metric_analysis.importance[0].parameters[:MAX_PARAMETERS]]
    marks: list[Mark] = []
    colors: tuple[Color, Color] = ("accent", "second")
    for place, (region, color) in enumerate(zip(metric_analysis.importance, colors, strict=False)):
        marks += _bars(names, region, (place - 0.5) * BAR_HEIGHT, color)
    ticks = tuple((float(i), clipped(name, 28)) for i, name in enumerate(names))
    what = "share of the predicted variation\n(light: together with others)"
    across = FigureAxis(what if is_last else "", window=(0.0, 1.0), has_lines=True)
    upright = FigureAxis(clipped(name, 28), ticks=ticks, window=(len(names) - 0.4, -0.6))
    return Panel(across, upright, marks)


def _shares(metric_analysis: MetricAnalysis, name: str) -> str:
    parameters = metric_analysis.importance[0].parameters[:MAX_PARAMETERS]
    shares = ", ".join(f"{p.parameter} {p.total.value:.0%}" for p in parameters)
    return f"{name}: {shares}" if name else shares


def _of(analysis: Analysis, metric: str) -> MetricAnalysis:
    for metric_analysis in analysis.metrics:
        if metric_analysis.metric == metric:
            return metric_analysis
    allowed = format_values([metric_analysis.metric for metric_analysis in analysis.metrics])
    raise InvalidRequest.of("metric", f"is {metric!r}; importance is of an objective: {allowed}")


def _bars(names: list[str], region: RegionImportance, offset: float, color: Color) -> list[Mark]:
    importances = {p.parameter: p for p in region.parameters}
    places = [i + offset for i in range(len(names))]
    totals = [importances[n].total for n in names]
    alone = [min(importances[n].first_order.value, importances[n].total.value) for n in names]
    errors = [(max(0.0, min(t.error, t.value)), max(0.0, min(t.error, 1.0 - t.value))) for t in totals]
    label = "everywhere" if region.bound is None else f"in the best {region.share:.0%} of the space"
    hover = [
        f"{n}, {label}\n{t.value:.2f} ± {t.error:.2f}, by itself {a:.2f}"
        for n, t, a in zip(names, totals, alone, strict=True)
    ]
    lengths = [t.value for t in totals]
    return [
        Bars(places, lengths, BAR_HEIGHT, color, is_light=True, hover=hover),
        Bars(places, alone, BAR_HEIGHT, color, label, hover=hover),
        Dots(lengths, places, "quiet", size=0.0, across=errors),
    ]
