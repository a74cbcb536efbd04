"""What a picture shows, whatever draws it: panels with marks on two axes, as plain values.

A place is (x, y) in the units of the axes. Texts are as users gave them: who draws them escapes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Numbers = Sequence[float]
Color = Literal["accent", "second", "muted", "quiet", "bad", "ink"]
Symbol = Literal["circle", "square", "diamond", "cross", "star", "up", "down", "ring"]


@dataclass(frozen=True)
class Axis:
    """One axis of a panel."""

    title: str = ""
    scale: Literal["linear", "log"] = "linear"
    ticks: tuple[tuple[float, str], ...] = ()
    """Where they are and what they say; empty for the library's own."""
    window: tuple[float, float] | None = None
    """From where to where it is shown; None for all there is. Upside down where the second is the smaller."""
    is_whole: bool = False
    """Only whole numbers are marked."""
    has_lines: bool = False
    """Faint lines across the panel at its ticks."""
    is_bare: bool = False
    """Without a line of its own, and without marks."""


@dataclass(frozen=True)
class Dots:
    """A mark at each place."""

    x: Numbers
    y: Numbers
    color: Color = "muted"
    label: str = ""
    symbol: Symbol = "circle"
    size: float = 6.0
    """Diameter, in points."""
    hover: Sequence[str] = ()
    """More about each, with a line for each fact."""
    shades: Numbers = ()
    """Of each on the picture's scale, in place of `color`."""
    spread: Numbers = ()
    """Of each: how far its value may be off, up and down."""
    across: Sequence[tuple[float, float]] = ()
    """Of each: how far its value may be off, to the left and to the right."""
    at_foot: bool = False
    """At the lower edge, whatever `y` is."""
    alpha: float = 1.0


@dataclass(frozen=True)
class Line:
    """A line from place to place; NaN interrupts it."""

    x: Numbers
    y: Numbers
    color: Color = "accent"
    label: str = ""
    width: float = 2.0
    step: Literal["", "post", "pre"] = ""
    """Whether it runs level until the next place, or from it."""
    has_dots: bool = False
    is_dashed: bool = False
    alpha: float = 1.0
    shade: float | None = None
    """From 0 to 1 on the picture's scale, in place of `color`."""
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    x: Numbers
    low: Numbers
    high: Numbers
    color: Color = "accent"
    label: str = ""


@dataclass(frozen=True)
class Level:
    """A dashed line through the whole panel."""

    at: float
    side: Literal["x", "y"]
    """The axis on which `at` is."""
    color: Color = "second"
    label: str = ""


@dataclass(frozen=True)
class Bars:
    """Bars to the right, from 0."""

    y: Numbers
    lengths: Numbers
    height: float
    color: Color
    label: str = ""
    is_light: bool = False
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Map:
    """A value for each place of a grid; None where there is none."""

    x: Numbers
    y: Numbers
    values: Sequence[Sequence[float | None]]
    """A row for each y."""
    title: str
    """What the values are."""
    is_smooth: bool
    """Whether to draw areas of like value; else a cell for each place."""
    is_low_bright: bool = False
    hover: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Words:
    """A text beside a place."""

    x: float
    y: float
    text: str
    toward: tuple[int, int]
    """Where it is from the place: -1, 0 or 1 to the right, and up."""
    color: Color = "ink"
    apart: float = 7.0
    """How far from the place, in points."""
    has_ground: bool = False
    """Whether lines below it are covered."""


@dataclass(frozen=True)
class Corner:
    """A text in a corner of the panel."""

    text: str
    is_right: bool
    is_top: bool


Mark = Dots | Line | Band | Level | Bars | Map | Words | Corner


@dataclass(frozen=True)
class Panel:
    """Marks on two axes; what comes later lies above."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Scale:
    """What shades mean: from `low`, faint, to `high`, strong."""

    title: str
    low: float
    high: float
    is_whole: bool = False
    words: tuple[str, str] | None = None
    """What the ends are called, in place of the numbers."""


@dataclass(frozen=True)
class Picture:
    """Panels one below the other, or beside one another in `columns`."""

    title: str
    panels: Sequence[Panel] = ()
    columns: int = 1
    scale: Scale | None = None
    message: str = ""
    """Why there is nothing to draw; then there are no panels."""
    summary: str = field(default="", compare=False)
    """What is to be seen, in a sentence, for those who can't see it."""
