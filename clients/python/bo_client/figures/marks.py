"""The content of a figure, independent of the plotting package: panels with marks on two axes, as plain values.

A place is (x, y) in the units of the axes. Texts are unescaped; the renderers escape them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Numbers = Sequence[float]
Color = Literal["accent", "second", "muted", "quiet", "bad", "ink"]
Symbol = Literal["circle", "square", "diamond", "cross", "star", "up", "down", "ring"]


@dataclass(frozen=True)
class FigureAxis:
    """An axis of a panel."""

    title: str = ""
    scale: Literal["linear", "log"] = "linear"
    ticks: tuple[tuple[float, str], ...] = ()
    """Positions and labels; empty for the package's default."""
    window: tuple[float, float] | None = None
    """First and last value shown; None for all values. A descending window is inverted."""
    is_whole: bool = False
    """Only integers are marked."""
    has_lines: bool = False
    """Grid lines at the ticks."""
    is_bare: bool = False
    """Without axis line and tick marks."""


@dataclass(frozen=True)
class Dots:
    """Dots at places."""

    x: Numbers
    y: Numbers
    color: Color = "muted"
    label: str = ""
    symbol: Symbol = "circle"
    size: float = 6.0
    """Diameter in points."""
    hover: Sequence[str] = ()
    """Hover text of each dot, with a line for each fact."""
    shades: Numbers = ()
    """Position of each dot on the color scale, instead of `color`."""
    spread: Numbers = ()
    """Vertical error of each dot."""
    across: Sequence[tuple[float, float]] = ()
    """Horizontal error of each dot, to the left and right."""
    at_foot: bool = False
    """Whether the dots are at the lower edge, whatever `y` is."""
    alpha: float = 1.0
    trials: Sequence[int] = ()
    """Number of the trial of each dot."""


@dataclass(frozen=True)
class Line:
    """A line through places; NaN interrupts it."""

    x: Numbers
    y: Numbers
    color: Color = "accent"
    label: str = ""
    width: float = 2.0
    step: Literal["", "post", "pre"] = ""
    """Whether the line is horizontal after each place, or before it."""
    has_dots: bool = False
    is_dashed: bool = False
    alpha: float = 1.0
    shade: float | None = None
    """Position on the color scale from 0 to 1, instead of `color`."""
    hover: Sequence[str] = ()
    trials: Sequence[int] = ()
    """Number of the trial of each place."""


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    x: Numbers
    low: Numbers
    high: Numbers
    color: Color = "accent"
    label: str = ""


@dataclass(frozen=True)
class ReferenceLine:
    """A dashed line through the whole panel."""

    at: float
    side: Literal["x", "y"]
    """The axis of `at`."""
    color: Color = "second"
    label: str = ""


@dataclass(frozen=True)
class Bars:
    """Horizontal bars from 0."""

    y: Numbers
    lengths: Numbers
    height: float
    color: Color
    label: str = ""
    is_light: bool = False
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Heatmap:
    """A value for each place of a grid; None without a value."""

    x: Numbers
    y: Numbers
    values: Sequence[Sequence[float | None]]
    """A row for each y."""
    title: str
    """Label of the values."""
    is_smooth: bool
    """Whether to draw filled contours instead of cells."""
    is_low_bright: bool = False
    hover: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class TextMark:
    """A text beside a place."""

    x: float
    y: float
    text: str
    toward: tuple[int, int]
    """Direction from the place: -1, 0 or 1 to the right, and up."""
    color: Color = "ink"
    apart: float = 7.0
    """Distance from the place in points."""
    has_ground: bool = False
    """Whether the text has an opaque background."""


@dataclass(frozen=True)
class CornerText:
    """A text in a corner of the panel."""

    text: str
    is_right: bool
    is_top: bool


Mark = Dots | Line | Band | ReferenceLine | Bars | Heatmap | TextMark | CornerText


@dataclass(frozen=True)
class Panel:
    """Marks on two axes; later marks are on top."""

    x: FigureAxis
    y: FigureAxis
    marks: Sequence[Mark]


@dataclass(frozen=True)
class ColorScale:
    """The color scale: from `low`, faint, to `high`, strong."""

    title: str
    low: float
    high: float
    is_whole: bool = False
    words: tuple[str, str] | None = None
    """Labels of the ends, instead of numbers."""


@dataclass(frozen=True)
class FigureSpec:
    """Panels in `columns`, below each other with one column."""

    title: str
    panels: Sequence[Panel] = ()
    columns: int = 1
    scale: ColorScale | None = None
    message: str = ""
    """The reason why there is nothing to draw; then there are no panels."""
    summary: str = field(default="", compare=False)
    """A description of the figure in one sentence, for accessibility."""
