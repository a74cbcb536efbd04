"""Ticks of an axis, and the extent of a panel's marks, independent of the plotting package."""

import math
from collections.abc import Iterator

from bo_client.figures.marks import Bars, CornerText, Dots, FigureAxis, Heatmap, Panel, ReferenceLine, TextMark

Ticks = tuple[tuple[float, str], ...]

MIN_DECADES = 1.6
MAX_DECADES = 7


def ticks_of(axis: FigureAxis, panel: Panel) -> Ticks:
    """Return positions and labels; empty if the package's defaults suffice."""
    if axis.ticks or axis.is_bare:
        return axis.ticks
    limits = axis.window or extent(panel, "x" if axis is panel.x else "y")
    if limits is None:
        return ()
    if axis.scale == "log":
        return marked(*limits, is_log=True)
    if axis.is_whole and limits[1] - limits[0] <= 8:
        return tuple((float(n), str(n)) for n in range(math.ceil(limits[0]), math.floor(limits[1]) + 1))
    return ()


def extent(panel: Panel, side: str) -> tuple[float, float] | None:
    """Return the least and the largest place on an axis; None without marks."""
    places = [v for v in _places(panel, side) if math.isfinite(v)]
    return (min(places), max(places)) if places else None


def _places(panel: Panel, side: str) -> Iterator[float]:
    for mark in panel.marks:
        if isinstance(mark, ReferenceLine):
            yield from (mark.at,) if mark.side == side else ()
        elif isinstance(mark, Dots) and mark.at_foot and side == "y":
            continue
        elif not isinstance(mark, CornerText | Bars | TextMark | Heatmap):
            yield from mark.x if side == "x" else getattr(mark, "y", ())


def marked(low: float, high: float, is_log: bool) -> Ticks:
    """Return about five round numbers from low to high."""
    return _logarithmic(low, high) if is_log else _linear(low, high)


def _linear(low: float, high: float) -> Ticks:
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    apart = next(unit * f for f in (1, 2, 5, 10) if unit * f >= rough)
    first = math.ceil(low / apart - 1e-9)
    return tuple((n * apart, f"{n * apart:.6g}") for n in range(first, math.floor(high / apart + 1e-9) + 1))


def _logarithmic(low: float, high: float) -> Ticks:
    """Return powers of ten, thinned out if there are many; with multiples if there are few."""
    low, high = math.log10(low) - 1e-9, math.log10(high) + 1e-9
    if high - low < MIN_DECADES:
        factors = (1.0, 2.0, 5.0) if high - low > 0.7 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
        exponents = range(math.floor(low), math.ceil(high) + 1)
        places = [f * 10.0**e for e in exponents for f in factors if low <= math.log10(f * 10.0**e) <= high]
    else:
        apart = math.ceil((high - low) / MAX_DECADES)
        places = [10.0**e for e in range(math.ceil(low), math.floor(high) + 1) if e % apart == 0]
    return tuple((place, f"{place:.3g}") for place in places)
