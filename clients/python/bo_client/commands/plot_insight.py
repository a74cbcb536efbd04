"""Pictures of what the surrogate has understood: importance, and slices through its predictions."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bo_client.commands import plot
from bo_client.commands.plot import BLUE, GRAY, ORANGE, RED
from bo_client.commands.records import in_order, with_unit
from bo_client.commands.tables import assignments, short
from bo_client.insight import Analysis, RegionImportance, Slice, SliceAxis
from bo_client.parameters import Value
from bo_client.values import StudyInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SHOWN = 12
"""Parameters; the others hardly matter."""
BAR = 0.36
MOST_TICKS = 8
MOST_TITLE = 84


def importance(study: StudyInfo, found: Analysis, path: Path) -> None:
    """Two bars for each parameter, over the whole space and over its better quarter; what it does by itself is solid.

    Raises:
        PlotError: matplotlib is missing, or the file can't be written.
    """
    metric = found.metrics[0]
    names = [p.parameter for p in metric.importance[0].parameters[:MOST_SHOWN]]
    axes = plot.blank_axes()
    for place, (region, color) in enumerate(zip(metric.importance, (BLUE, ORANGE), strict=False)):
        _bars(axes, names, region, (place - 0.5) * BAR, color)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.0)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e4e6ea", linewidth=0.8)
    axes.set_xlabel("share of the predicted variation (solid: by itself, light: together with others)")
    axes.set_title(f"{study.display_name or study.id}: what matters for {metric.metric}", loc="left")
    plot.save(axes, path)


def slice_(study: StudyInfo, found: Slice, path: Path) -> None:
    """A line with its uncertainty along one parameter, a map over two.

    Raises:
        PlotError: matplotlib is missing, or the file can't be written.
    """
    axes = plot.blank_axes()
    draw = _line if len(found.axes) == 1 else _map
    draw(axes, study, found)
    names = [axis.parameter for axis in found.axes]
    fixed = assignments({n: v for n, v in in_order(found.base, study.space).items() if n not in names})
    origin = f"trial {found.base_trial}" if found.base_trial else "given"
    title = f"{study.display_name or study.id}, the rest as in {origin}" + (f": {fixed}" if fixed else "")
    axes.set_title(title if len(title) <= MOST_TITLE else title[: MOST_TITLE - 1] + "…", loc="left")
    plot.save(axes, path)


def _bars(axes: "Axes", names: list[str], region: RegionImportance, offset: float, color: str) -> None:
    told = {p.parameter: p for p in region.parameters}
    places = [i + offset for i in range(len(names))]
    totals = [told[n].total for n in names]
    alone = [min(told[n].first_order.value, told[n].total.value) for n in names]
    errors = [[min(t.error, t.value) for t in totals], [min(t.error, 1.0 - t.value) for t in totals]]
    label = "everywhere" if region.bound is None else f"in the best {region.share:.0%} of the space"
    axes.barh(places, [t.value for t in totals], height=BAR, color=color, alpha=0.35)
    axes.barh(places, alone, height=BAR, color=color, label=label)
    axes.errorbar([t.value for t in totals], places, xerr=errors, fmt="none", ecolor=GRAY, capsize=2.5, linewidth=1.2)


def _line(axes: "Axes", study: StudyInfo, found: Slice) -> None:
    axis, metric = found.axes[0], study.objective
    by_index = not _is_numeric(axis)
    where = [_place(axis, value, by_index) for value in axis.values]
    means, reach = [p.mean for p in found.points], [2.0 * p.std for p in found.points]
    if by_index:
        axes.errorbar(where, means, yerr=reach, fmt="o", color=BLUE, capsize=4, label="predicted ± 2 std")
    else:
        low = [m - r for m, r in zip(means, reach, strict=True)]
        high = [m + r for m, r in zip(means, reach, strict=True)]
        axes.fill_between(where, low, high, color=BLUE, alpha=0.16, linewidth=0, label="± 2 std")
        axes.plot(where, means, color=BLUE, linewidth=2.2, label="predicted")
    barred = [x for x, point in zip(where, found.points, strict=True) if not point.feasible]
    if barred:
        foot = axes.get_xaxis_transform()
        axes.scatter(barred, [0.02] * len(barred), marker="x", color=RED, transform=foot, label="violates a constraint")
    axes.set_ylim(*_window(means, reach))
    base = found.base[axis.parameter]
    origin = f"trial {found.base_trial}" if found.base_trial else "base"
    place = _place(axis, base, by_index)
    axes.axvline(place, color=ORANGE, linewidth=1.6, linestyle="--", label=f"{origin}: {short(base)}", zorder=1)
    _dress(axes, study, axis, "x", by_index)
    axes.set_ylabel(plot.directed(metric))


def _map(axes: "Axes", study: StudyInfo, found: Slice) -> None:
    """The first parameter upright, the second across; what violates a constraint is gray."""
    from numpy import array  # matplotlib brings numpy
    from numpy.ma import masked_invalid

    upright, across = found.axes
    by_index = not (_is_numeric(upright) and _is_numeric(across))
    x = [_place(across, value, by_index) for value in across.values]
    y = [_place(upright, value, by_index) for value in upright.values]
    means = [p.mean if p.feasible else math.nan for p in found.points]
    values = masked_invalid(array(means).reshape(len(y), len(x)))
    colors = "viridis" if study.objective.goal == "maximize" else "viridis_r"
    axes.grid(visible=False)
    axes.set_facecolor("#d5d8dd")
    figure: Any = axes.figure
    if by_index or min(len(x), len(y)) < 2 or values.count() < 4:
        drawn: Any = axes.pcolormesh(x, y, values, shading="nearest", cmap=colors)
    else:
        drawn = axes.contourf(x, y, values, levels=14, cmap=colors)
    figure.colorbar(drawn, ax=axes, label=f"predicted {with_unit(study.objective)}")
    _dress(axes, study, across, "x", by_index)
    _dress(axes, study, upright, "y", by_index)
    if all(axis.parameter in found.base for axis in found.axes):
        left, up = (_place(axis, found.base[axis.parameter], by_index) for axis in (across, upright))
        axes.scatter([left], [up], s=150, marker="*", color=ORANGE, edgecolors="white", zorder=4)


def _window(means: Sequence[float], reach: Sequence[float]) -> tuple[float, float]:
    """From where to where the line is shown: what nobody knows may leave the picture, for it would flatten the rest."""
    low, high = min(means), max(means)
    room = max(0.6 * (high - low), 1.2 * min(reach)) or 1.0
    lowest, highest = (f(m + sign * r for m, r in zip(means, reach, strict=True)) for f, sign in ((min, -1), (max, 1)))
    edge = 0.05 * (high - low + 2.0 * room)
    return max(low - room, lowest - edge), min(high + room, highest + edge)


def _is_numeric(axis: SliceAxis) -> bool:
    return not isinstance(axis.values[0], str | bool)


def _place(axis: SliceAxis, value: Value, by_index: bool) -> float:
    """Where a value is on the picture's axis: itself, or its position, or the nearest, among the axis's values."""
    if not by_index:
        return float(value)
    if value in axis.values:
        return float(axis.values.index(value))
    nearest = min(range(len(axis.values)), key=lambda i: abs(float(axis.values[i]) - float(value)))
    return float(nearest)


def _tick(value: Value) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _dress(axes: "Axes", study: StudyInfo, axis: SliceAxis, side: str, by_index: bool) -> None:
    """The picture's axis with its name, and its scale or its values."""
    parameter = study.space[axis.parameter]
    getattr(axes, f"set_{side}label")(f"{axis.parameter} ({parameter.unit})" if parameter.unit else axis.parameter)
    if not by_index:
        getattr(axes, f"set_{side}scale")("log" if getattr(parameter, "scale", "linear") == "log" else "linear")
        return
    apart = math.ceil(len(axis.values) / MOST_TICKS) if _is_numeric(axis) else 1
    marked = range(0, len(axis.values), apart)
    getattr(axes, f"set_{side}ticks")(list(marked), [_tick(axis.values[i]) for i in marked])
