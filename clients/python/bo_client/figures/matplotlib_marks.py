"""Marks and axes of a panel in matplotlib."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bo_client.figures.marks import (
    Band,
    Bars,
    ColorScale,
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
    from matplotlib.axes import Axes

SYMBOLS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "cross": "x",
    "star": "*",
    "up": "^",
    "down": "v",
    "ring": "o",
}
FOOT = 0.02
LETTER = 0.0092
"""Approximate width of a character at an axis, as a share of the figure's width."""


def plain(text: str) -> str:
    """Return the text with dollar signs escaped, so that they start no formula."""
    return text.replace("$", r"\$")


def colormap(colors: Sequence[str]) -> Any:
    """Return a color map through the colors."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", list(colors))


def limits(scale: ColorScale) -> dict[str, Any]:
    """Return the ends of the scale as matplotlib's arguments."""
    return {"vmin": scale.low, "vmax": max(scale.high, scale.low + 1) if scale.is_whole else scale.high}


def style_colorbar(bar: Any, title: str, palette: Palette) -> None:
    """Set the title and colors of a color bar."""
    bar.set_label(plain(title), color=palette.colors["ink"])
    bar.ax.tick_params(colors=palette.colors["ink"])
    bar.outline.set_visible(False)


class MatplotlibPanelRenderer:
    """A renderer of one panel on matplotlib axes."""

    def __init__(self, axes: "Axes", panel: Panel, picture: FigureSpec, palette: Palette) -> None:
        self._axes = axes
        self._panel = panel
        self._picture = picture
        self._palette = palette
        self._ink = palette.colors["ink"]

    def draw(self) -> None:
        """Draw the axes and marks."""
        self._style_axes()
        draw: Mapping[type[Mark], Callable[[Any, int], None]] = {
            Dots: self._dots,
            Line: self._line,
            Band: self._band,
            ReferenceLine: self._level,
            Bars: self._bars,
            Heatmap: self._map,
            TextMark: self._words,
            CornerText: self._corner,
        }
        for order, mark in enumerate(self._panel.marks, start=2):
            draw[type(mark)](mark, order)
        for side, axis in (("x", self._panel.x), ("y", self._panel.y)):
            self._finish(side, axis)

    def _style_axes(self) -> None:
        axes, palette = self._axes, self._palette
        axes.set_facecolor(palette.paper)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(palette.colors["muted"])
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=10.5, colors=self._ink)
        axes.margins(y=0.12)
        for side, axis in (("x", self._panel.x), ("y", self._panel.y)):
            getattr(axes, f"set_{side}scale")(axis.scale)
            getattr(axes, f"set_{side}label")(plain(axis.title), fontsize=12, color=self._ink)
            if axis.is_bare:
                axes.spines["bottom" if side == "x" else "left"].set_visible(False)
                axes.tick_params(axis=side, length=0)  # type: ignore[arg-type]
            if axis.has_lines:
                axes.grid(axis=side, color=palette.grid, linewidth=0.8)  # type: ignore[arg-type]

    def _finish(self, side: str, axis: FigureAxis) -> None:
        from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

        scaled = getattr(self._axes, f"{side}axis")
        ticks = ticks_of(axis, self._panel)
        if ticks:
            texts = [plain(text) for _, text in ticks]
            getattr(self._axes, f"set_{side}ticks")([place for place, _ in ticks], texts)
            scaled.set_minor_locator(NullLocator())
            scaled.set_minor_formatter(NullFormatter())
            if side == "x" and max(map(len, texts)) * len(texts) * LETTER > 0.9 / self._picture.columns:
                self._axes.tick_params(axis="x", labelrotation=30)
                for label in self._axes.get_xticklabels():
                    label.set(ha="right", rotation_mode="anchor")
        elif axis.is_bare:
            scaled.set_major_locator(NullLocator())
        elif axis.is_whole:
            scaled.set_major_locator(MaxNLocator(integer=True))
        if axis.window:
            getattr(self._axes, f"set_{side}lim")(*axis.window)

    def _color(self, mark: Dots | Line | Band | ReferenceLine | Bars) -> str:
        if isinstance(mark, Line) and mark.shade is not None:
            return shade(self._palette.shades, mark.shade)
        return self._palette.colors[mark.color]

    def _dots(self, mark: Dots, order: int) -> None:
        color = self._color(mark)
        y = [FOOT] * len(mark.y) if mark.at_foot else list(mark.y)
        style: dict[str, Any] = {"color": color}
        if mark.symbol == "ring":
            style = {"edgecolors": color, "facecolors": "none", "linewidths": 1.6}
        if mark.shades and self._picture.scale:
            style = {"c": list(mark.shades), "cmap": colormap(self._palette.shades), **limits(self._picture.scale)}
        if mark.at_foot:
            style["transform"] = self._axes.get_xaxis_transform()
        errors = self._errors(mark)
        if errors:
            self._axes.errorbar(
                mark.x,
                y,
                **errors,
                fmt="o" if mark.size else "none",
                color=color,
                ecolor=color,
                markersize=mark.size,
                capsize=3,
                linewidth=1.3,
                label=mark.label or None,
                zorder=order,
            )
            return
        self._axes.scatter(
            list(mark.x),
            y,
            s=mark.size**2,
            marker=SYMBOLS[mark.symbol],
            alpha=mark.alpha,
            label=mark.label or None,
            zorder=order,
            clip_on=mark.symbol != "star",
            **style,
        )

    def _errors(self, mark: Dots) -> dict[str, Any]:
        if mark.spread:
            return {"yerr": list(mark.spread)}
        return {"xerr": list(zip(*mark.across, strict=True))} if mark.across else {}

    def _line(self, mark: Line, order: int) -> None:
        step = {"": "default", "post": "steps-post", "pre": "steps-pre"}[mark.step]
        self._axes.plot(
            mark.x,
            mark.y,
            color=self._color(mark),
            linewidth=mark.width,
            drawstyle=step,
            linestyle="--" if mark.is_dashed else "-",
            marker="o" if mark.has_dots else None,
            markersize=1.8 + 1.1 * mark.width,
            alpha=mark.alpha,
            label=mark.label or None,
            zorder=order,
        )

    def _band(self, mark: Band, order: int) -> None:
        self._axes.fill_between(
            mark.x,
            mark.low,
            mark.high,
            color=self._color(mark),
            alpha=0.18,
            linewidth=0,
            label=mark.label,
            zorder=order,
        )

    def _level(self, mark: ReferenceLine, _order: int) -> None:
        draw = self._axes.axvline if mark.side == "x" else self._axes.axhline
        style: dict[str, Any] = {"color": self._color(mark), "linewidth": 1.6, "linestyle": "--"}
        draw(mark.at, label=mark.label or None, zorder=1, **style)

    def _bars(self, mark: Bars, order: int) -> None:
        self._axes.barh(
            list(mark.y),
            list(mark.lengths),
            height=mark.height,
            color=self._color(mark),
            alpha=0.35 if mark.is_light else 1.0,
            label=mark.label or None,
            zorder=order,
        )

    def _map(self, mark: Heatmap, order: int) -> None:
        from numpy import array, nan  # matplotlib brings numpy
        from numpy.ma import masked_invalid

        values = masked_invalid(array([[nan if v is None else v for v in row] for row in mark.values]))
        colors = self._palette.shades if self._palette.is_dark else self._palette.shades[::-1]
        cmap = colormap(colors[::-1] if mark.is_low_bright else colors)
        self._axes.set_facecolor(self._palette.barred)
        if mark.is_smooth:
            drawn: Any = self._axes.contourf(mark.x, mark.y, values, levels=14, cmap=cmap, zorder=order)
        else:
            drawn = self._axes.pcolormesh(mark.x, mark.y, values, shading="nearest", cmap=cmap, zorder=order)
        figure: Any = self._axes.figure
        style_colorbar(figure.colorbar(drawn, ax=self._axes), mark.title, self._palette)

    def _words(self, mark: TextMark, order: int) -> None:
        right, up = mark.toward
        self._axes.annotate(
            plain(mark.text),
            (mark.x, mark.y),
            textcoords="offset points",
            xytext=(right * mark.apart, up * mark.apart),
            ha=("right", "center", "left")[right + 1],
            va=("top", "center", "bottom")[up + 1],
            color=self._palette.colors[mark.color],
            fontsize=9.5,
            zorder=100 + order,
            bbox=self._ground() if mark.has_ground else None,
        )

    def _ground(self) -> dict[str, Any]:
        return {"facecolor": self._palette.paper, "edgecolor": "none", "alpha": 0.8, "pad": 1.0}

    def _corner(self, mark: CornerText, order: int) -> None:
        self._axes.text(
            0.98 if mark.is_right else 0.02,
            0.98 if mark.is_top else 0.02,
            plain(mark.text),
            transform=self._axes.transAxes,
            ha="right" if mark.is_right else "left",
            va="top" if mark.is_top else "bottom",
            color=self._palette.colors["quiet"],
            fontsize=9.5,
            zorder=order,
        )
