"""Rendering of figures with plotly. Texts are escaped, as plotly interprets some HTML."""

import math
from typing import TYPE_CHECKING, Any

from bo_client.figures.common import PlotError
from bo_client.figures.marks import ColorScale, FigureSpec, Heatmap
from bo_client.figures.plotly_marks import PlotlyPanelRenderer, colorscale, safe
from bo_client.figures.themes import Palette, palette_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "topojsonURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}
"""The configuration of plotly.js: it contacts no server, and has no button that does."""
HEIGHT, ROW_HEIGHT = 430, 300
"""Pixels of the first row of panels, and of each further row."""


def drawn(picture: FigureSpec, theme: str = "light", is_titled: bool = True) -> "go.Figure":
    """Return the figure in plotly, which takes the available width.

    `layout.meta` contains the figure's title and, as `summary`, its description for accessibility.

    Args:
        picture: the content.
        theme: `light` or `dark`.
        is_titled: whether the figure shows its title.

    Raises:
        PlotError: plotly is missing.
        InvalidRequest: there is no such theme.
    """
    palette = palette_of(theme)
    try:
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots
    except ImportError:
        raise PlotError('these figures need plotly: pip install "bo-service[report]"') from None
    if not picture.panels:
        figure = go.Figure()
        _message(figure, picture.message)
    else:
        rows = math.ceil(len(picture.panels) / picture.columns)
        spaces = {"horizontal_spacing": 0.09, "vertical_spacing": 0.09 if rows > 1 else None}
        figure = make_subplots(rows, picture.columns, **spaces)
        legend: set[str] = set()
        for i, panel in enumerate(picture.panels):
            PlotlyPanelRenderer(figure, panel, picture, palette, legend, "" if i == 0 else str(i + 1)).draw()
        if picture.scale:
            figure.add_trace(_scale(picture.scale, palette))
    figure.update_layout(_layout(picture, palette, is_titled))
    return figure


def _message(figure: "go.Figure", text: str) -> None:
    where = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    figure.add_annotation(text=safe(text), font={"size": 15}, **where)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)


def _layout(picture: FigureSpec, palette: Palette, is_titled: bool) -> dict[str, Any]:
    rows = math.ceil(len(picture.panels) / picture.columns) if picture.panels else 1
    title = {"text": safe(picture.title), "x": 0, "xref": "container", "pad": {"l": 12}, "font": {"size": 15}}
    has_map = any(isinstance(mark, Heatmap) for panel in picture.panels for mark in panel.marks)
    return {
        "template": "none",
        "title": title if is_titled else None,
        "meta": {"title": picture.title, "summary": picture.summary or picture.message},
        "paper_bgcolor": palette.paper,
        "plot_bgcolor": palette.barred if has_map else palette.paper,
        "font": {"color": palette.colors["ink"], "family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {
            "bgcolor": palette.paper,
            "bordercolor": palette.colors["quiet"],
            "font": {"color": palette.colors["ink"], "size": 12},
            "align": "left",
        },
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "barmode": "overlay",
        "hovermode": "closest",
        "dragmode": False,
        "height": HEIGHT + ROW_HEIGHT * (rows - 1),
        "margin": {"l": 56, "r": 24, "t": 52 if is_titled else 40, "b": 92},
        "uirevision": "kept",
    }


def _scale(scale: ColorScale, palette: Palette) -> "go.Scatter":
    """Return an invisible trace with the color bar."""
    import plotly.graph_objects as go

    bar: dict[str, Any] = {"title": {"text": safe(scale.title), "side": "right"}, "thickness": 14, "outlinewidth": 0}
    if scale.words:
        bar |= {"tickvals": [scale.low, scale.high], "ticktext": [safe(w) for w in scale.words]}
    elif scale.is_whole:
        bar |= {"tickformat": "d", "nticks": min(8, round(scale.high - scale.low) + 1)}
    marker = {
        "color": [scale.low],
        "cmin": scale.low,
        "cmax": max(scale.high, scale.low + 1) if scale.is_whole else scale.high,
        "colorscale": colorscale(palette.shades),
        "showscale": True,
        "colorbar": bar,
    }
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, showlegend=False, hoverinfo="skip")
