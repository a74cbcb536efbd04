"""Rendering of figures with matplotlib, for PNG, SVG and PDF files."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bo_client.figures.common import PlotError
from bo_client.figures.marks import ColorScale, FigureSpec
from bo_client.figures.matplotlib_marks import MatplotlibPanelRenderer, colormap, limits, plain, style_colorbar
from bo_client.figures.themes import Palette, palette_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE, DPI = (8.0, 4.8), 150
"""Size in inches, and pixels per inch."""


def save(picture: FigureSpec, path: Path, theme: str = "light") -> None:
    """Write the figure, in the format of the file's extension.

    Raises:
        PlotError: there is nothing to draw, matplotlib is missing, or the file cannot be written.
        InvalidRequest: there is no such theme.
    """
    figure = drawn(picture, theme)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise PlotError(f"{path}: the figure cannot be written: {error}") from None


def drawn(picture: FigureSpec, theme: str = "light") -> "Figure":
    """Return the figure in matplotlib, with one legend for all panels.

    Raises:
        PlotError: there is nothing to draw, or matplotlib is missing.
        InvalidRequest: there is no such theme.
    """
    palette = palette_of(theme)
    if not picture.panels:
        raise PlotError(picture.message)
    try:
        from matplotlib.figure import Figure  # optional; a Figure of its own needs no display
    except ImportError:
        raise PlotError('plots need matplotlib: pip install "bo-service[plot]"') from None
    rows, columns = math.ceil(len(picture.panels) / picture.columns), picture.columns
    size = SIZE[0] * (1 + 0.45 * (columns - 1)), SIZE[1] * (1 + 0.5 * (rows - 1))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor=palette.paper)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, panel in zip(panels, picture.panels, strict=True):
        MatplotlibPanelRenderer(axes, panel, picture, palette).draw()
    panels[0].set_title(plain(picture.title), loc="left", fontsize=12, color=palette.colors["ink"])
    if picture.scale:
        _scale(figure, panels, picture.scale, palette)
    _legend(figure, palette)
    return figure


def _legend(figure: Any, palette: Palette) -> None:
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if len(named) > 1:
        columns = len(named) if len(named) <= 4 else 3
        style: dict[str, Any] = {"frameon": False, "fontsize": 10.5, "labelcolor": palette.colors["ink"]}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns, **style)


def _scale(figure: Any, panels: list["Axes"], scale: ColorScale, palette: Palette) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shades = ScalarMappable(Normalize(**limits(scale)), colormap(palette.shades))
    bar = figure.colorbar(shades, ax=panels, format="%d" if scale.is_whole else None, pad=0.02)
    if scale.words:
        bar.set_ticks([scale.low, scale.high], labels=list(scale.words))
    style_colorbar(bar, scale.title, palette)
