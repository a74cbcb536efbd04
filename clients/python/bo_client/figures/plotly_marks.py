"""Marks and axes of a panel in plotly."""

import html
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bo_client.figures.marks import (
    Band,
    Bars,
    CornerText,
    Dots,
    FigureAxis,
    FigureSpec,
    Heatmap,
    Line,
    Mark,
    Panel,
    ReferenceLine,
    TextMark,
)
from bo_client.figures.themes import Palette, shade
from bo_client.figures.ticks import ticks_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

SYMBOLS = {
    "circle": "circle",
    "square": "square",
    "diamond": "diamond",
    "cross": "x",
    "star": "star",
    "up": "triangle-up",
    "down": "triangle-down",
    "ring": "circle-open",
}
PIXELS_PER_POINT = 4 / 3
"""Pixels per point."""
FOOT = 0.02


def safe(text: str) -> str:
    """Return the text escaped for plotly, with its line breaks."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def colorscale(colors: Sequence[str]) -> list[list[object]]:
    """Return a color scale for plotly: positions from 0 to 1, and their colors."""
    return [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]


class PlotlyPanelRenderer:
    """A renderer of one panel in a plotly figure."""

    def __init__(
        self, figure: "go.Figure", panel: Panel, picture: FigureSpec, palette: Palette, legend: set[str], number: str
    ) -> None:
        self._figure = figure
        self._panel = panel
        self._picture = picture
        self._palette = palette
        self._legend = legend
        self._x, self._y = f"x{number}", f"y{number}"
        self._foot = f"y{100 + int(number or 1)}"

    def draw(self) -> None:
        """Draw the axes and marks."""
        self._figure.update_layout({self._key(self._x): self._axis(self._panel.x)})
        self._figure.update_layout({self._key(self._y): self._axis(self._panel.y)})
        draw: dict[type[Mark], Callable[[Any], None]] = {
            Dots: self._dots,
            Line: self._line,
            Band: self._band,
            ReferenceLine: self._level,
            Bars: self._bars,
            Heatmap: self._map,
            TextMark: self._words,
            CornerText: self._corner,
        }
        for mark in self._panel.marks:
            draw[type(mark)](mark)

    @staticmethod
    def _key(axis: str) -> str:
        return f"{axis[0]}axis{axis[1:]}"

    def _axis(self, axis: FigureAxis) -> dict[str, Any]:
        layout: dict[str, Any] = {
            "title": {"text": safe(axis.title), "standoff": 10},
            "type": axis.scale,
            "automargin": True,
            "showgrid": axis.has_lines,
            "gridcolor": self._palette.grid,
            "zeroline": False,
            "showline": False,
            "ticks": "" if axis.is_bare else "outside",
            "showticklabels": bool(axis.ticks) or not axis.is_bare,
            "tickcolor": self._palette.grid,
            "tickformat": "d" if axis.is_whole else None,
        }
        ticks = ticks_of(axis, self._panel)
        if ticks:
            layout |= {"tickvals": [place for place, _ in ticks], "ticktext": [safe(text) for _, text in ticks]}
        if axis.window:
            layout["range"] = [math.log10(v) for v in axis.window] if axis.scale == "log" else list(axis.window)
        return layout

    def _color(self, mark: Dots | Line | Band | ReferenceLine | Bars) -> str:
        if isinstance(mark, Line) and mark.shade is not None:
            return shade(self._palette.shades, mark.shade)
        return self._palette.colors[mark.color]

    def _named(self, label: str) -> dict[str, Any]:
        """Return the arguments of a label, which is in the legend once and toggles all marks that share it."""
        is_new = bool(label) and label not in self._legend
        self._legend.add(label)
        return {"name": safe(label), "legendgroup": safe(label), "showlegend": is_new}

    def _hover(self, texts: Sequence[str], label: str) -> dict[str, Any]:
        if texts:
            return {"hovertext": [safe(text) for text in texts], "hoverinfo": "text"}
        return {} if label else {"hoverinfo": "skip"}

    def _add(self, kind: str, **arguments: Any) -> None:
        import plotly.graph_objects as go

        self._figure.add_trace(getattr(go, kind)(**{"xaxis": self._x, "yaxis": self._y, **arguments}))

    def _dots(self, mark: Dots) -> None:
        marker: dict[str, Any] = {
            "symbol": SYMBOLS[mark.symbol],
            "size": mark.size * PIXELS_PER_POINT,
            "color": self._color(mark),
            "opacity": mark.alpha if mark.size else 0.0,
            "line": {"width": 1.8 if mark.symbol == "ring" else 0},
        }
        scale = self._picture.scale
        if mark.shades and scale:
            marker |= {"color": list(mark.shades), "colorscale": colorscale(self._palette.shades)}
            marker |= {"cmin": scale.low, "cmax": max(scale.high, scale.low + 1) if scale.is_whole else scale.high}
        y: Sequence[float] = mark.y
        where = {}
        if mark.at_foot:
            y, where = [FOOT] * len(mark.y), {"yaxis": self._foot_axis()}
        color = self._color(mark)
        spread = {"type": "data", "array": list(mark.spread), "color": color, "thickness": 1.6, "width": 4}
        left, right = [a for a, _ in mark.across], [b for _, b in mark.across]
        across = {"type": "data", "symmetric": False, "array": right, "arrayminus": left, "color": color, "width": 3}
        self._add(
            "Scatter",
            x=list(mark.x),
            y=list(y),
            mode="markers",
            marker=marker,
            cliponaxis=mark.symbol != "star",
            error_y=spread if mark.spread else None,
            error_x={**across, "thickness": 1.2} if mark.across else None,
            customdata=list(mark.trials) or None,
            **where,
            **self._named(mark.label),
            **self._hover(mark.hover, mark.label),
        )

    def _foot_axis(self) -> str:
        """Return an additional axis from 0 at the lower edge to 1 at the upper."""
        over = {"overlaying": self._y, "range": [0, 1], "visible": False, "fixedrange": True, "anchor": self._x}
        self._figure.update_layout({self._key(self._foot): over})
        return self._foot

    def _line(self, mark: Line) -> None:
        shape = {"": "linear", "post": "hv", "pre": "vh"}[mark.step]
        line = {"color": self._color(mark), "width": mark.width, "shape": shape}
        self._add(
            "Scatter",
            x=[_finite_or_none(v) for v in mark.x],
            y=[_finite_or_none(v) for v in mark.y],
            mode="lines+markers" if mark.has_dots else "lines",
            line={**line, "dash": "dot" if mark.is_dashed else "solid"},
            marker={"size": 3 + 1.5 * mark.width},
            opacity=mark.alpha,
            customdata=list(mark.trials) or None,
            **self._named(mark.label),
            **self._hover(mark.hover, mark.label),
        )

    def _band(self, mark: Band) -> None:
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "x": list(mark.x)}
        self._add("Scatter", y=list(mark.low), showlegend=False, legendgroup=safe(mark.label), **edge)
        fill = {"fill": "tonexty", "fillcolor": _faint(self._color(mark))}
        self._add("Scatter", y=list(mark.high), **edge, **fill, **self._named(mark.label))

    def _level(self, mark: ReferenceLine) -> None:
        ends: dict[str, Any] = {"x0": 0, "x1": 1, "xref": f"{self._x} domain", "y0": mark.at, "y1": mark.at}
        ends["yref"] = self._y
        if mark.side == "x":
            ends = {"y0": 0, "y1": 1, "yref": f"{self._y} domain", "x0": mark.at, "x1": mark.at, "xref": self._x}
        line = {"color": self._color(mark), "width": 1.8, "dash": "dash"}
        self._figure.add_shape(type="line", line=line, layer="below", **ends, **self._named(mark.label))

    def _bars(self, mark: Bars) -> None:
        self._add(
            "Bar",
            orientation="h",
            x=list(mark.lengths),
            y=list(mark.y),
            width=mark.height,
            marker={"color": self._color(mark), "opacity": 0.35 if mark.is_light else 1.0, "line": {"width": 0}},
            **self._named(mark.label),
            **self._hover(mark.hover, mark.label),
        )

    def _map(self, mark: Heatmap) -> None:
        colors = self._palette.shades if self._palette.is_dark else self._palette.shades[::-1]
        common: dict[str, Any] = {
            "x": list(mark.x),
            "y": list(mark.y),
            "z": [list(row) for row in mark.values],
            "colorscale": colorscale(colors),
            "reversescale": mark.is_low_bright,
            "colorbar": {"title": {"text": safe(mark.title), "side": "right"}, "thickness": 14, "outlinewidth": 0},
        }
        hover_texts = [[safe(text) for text in row] for row in mark.hover]
        if hover_texts:
            common |= {"hovertext" if not mark.is_smooth else "text": hover_texts, "hoverinfo": "text"}
        if mark.is_smooth:
            common |= {"ncontours": 14, "line": {"width": 0}, "contours": {"coloring": "fill"}}
        self._add("Contour" if mark.is_smooth else "Heatmap", **common)

    def _words(self, mark: TextMark) -> None:
        right, up = mark.toward
        place = [
            math.log10(v) if a.scale == "log" else v for v, a in ((mark.x, self._panel.x), (mark.y, self._panel.y))
        ]
        self._figure.add_annotation(
            x=place[0],
            y=place[1],
            xref=self._x,
            yref=self._y,
            text=safe(mark.text),
            showarrow=False,
            xshift=right * mark.apart,
            yshift=up * mark.apart,
            xanchor={-1: "right", 0: "center", 1: "left"}[right],
            yanchor={-1: "top", 0: "middle", 1: "bottom"}[up],
            font={"color": self._palette.colors[mark.color], "size": 12},
            bgcolor=_faint(self._palette.paper, 0.8) if mark.has_ground else None,
            borderpad=1,
        )

    def _corner(self, mark: CornerText) -> None:
        self._figure.add_annotation(
            x=0.99 if mark.is_right else 0.01,
            y=0.99 if mark.is_top else 0.01,
            xref=f"{self._x} domain",
            yref=f"{self._y} domain",
            xanchor="right" if mark.is_right else "left",
            yanchor="top" if mark.is_top else "bottom",
            text=safe(mark.text),
            showarrow=False,
            font={"color": self._palette.colors["quiet"], "size": 12},
        )


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _faint(color: str, alpha: float = 0.2) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"
