"""Which parameters matter, everywhere and where it is good."""

from bo_client.errors import InvalidRequest
from bo_client.figures.marks import Axis, Bars, Color, Dots, Mark, Panel, Picture
from bo_client.figures.showing import clipped, nothing, titled
from bo_client.insight import Analysis, MetricAnalysis, RegionImportance
from bo_client.parameters import listed
from bo_client.values import StudyInfo

MOST_SHOWN = 12
"""Parameters; the others hardly matter."""
BAR = 0.36


def importance(study: StudyInfo, found: Analysis | None, metric: str | None = None) -> Picture:
    """Two bars for each parameter, over the whole space and over its better quarter; what it does by itself is solid.

    Args:
        study: whose parameters they are.
        found: None where there are too few results.
        metric: an objective; by default the first.

    Raises:
        InvalidRequest: there is no such objective.
    """
    if found is None:
        return nothing(study, "there are too few results to say what matters")
    told = _of(found, metric)
    names = [p.parameter for p in told.importance[0].parameters[:MOST_SHOWN]]
    marks: list[Mark] = []
    colors: tuple[Color, Color] = ("accent", "second")
    for place, (region, color) in enumerate(zip(told.importance, colors, strict=False)):
        marks += _bars(names, region, (place - 0.5) * BAR, color)
    ticks = tuple((float(i), clipped(name, 28)) for i, name in enumerate(names))
    across = Axis(
        "share of the predicted variation\n(light: together with others)",
        window=(0.0, 1.0),
        has_lines=True,
    )
    upright = Axis(ticks=ticks, window=(len(names) - 0.4, -0.6))
    shares = ", ".join(f"{p.parameter} {p.total.value:.0%}" for p in told.importance[0].parameters[:MOST_SHOWN])
    stopped = found.stopped_count
    basis = f", by {found.observation_count} results and forecasts of {stopped} stopped early" if stopped else ""
    title = titled(study, f"what matters for {told.metric}{basis}")
    return Picture(title, [Panel(across, upright, marks)], summary=f"Shares over the whole space{basis}: {shares}.")


def _of(found: Analysis, metric: str | None) -> MetricAnalysis:
    if metric is None:
        return found.metrics[0]
    for told in found.metrics:
        if told.metric == metric:
            return told
    allowed = listed([told.metric for told in found.metrics])
    raise InvalidRequest.of("metric", f"is {metric!r}; importance is of an objective: {allowed}")


def _bars(names: list[str], region: RegionImportance, offset: float, color: Color) -> list[Mark]:
    told = {p.parameter: p for p in region.parameters}
    places = [i + offset for i in range(len(names))]
    totals = [told[n].total for n in names]
    alone = [min(told[n].first_order.value, told[n].total.value) for n in names]
    errors = [(max(0.0, min(t.error, t.value)), max(0.0, min(t.error, 1.0 - t.value))) for t in totals]
    label = "everywhere" if region.bound is None else f"in the best {region.share:.0%} of the space"
    hover = [
        f"{n}, {label}\n{t.value:.2f} ± {t.error:.2f}, by itself {a:.2f}"
        for n, t, a in zip(names, totals, alone, strict=True)
    ]
    lengths = [t.value for t in totals]
    return [
        Bars(places, lengths, BAR, color, is_light=True, hover=hover),
        Bars(places, alone, BAR, color, label, hover=hover),
        Dots(lengths, places, "quiet", size=0.0, across=errors),
    ]
