"""Colors of a light and a dark theme, distinguishable by the color-blind and in contrast with the background."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bo_client.errors import InvalidRequest
from bo_client.figures.marks import Color

Theme = Literal["light", "dark"]

VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
"""From dark to bright, in equal steps."""


@dataclass(frozen=True)
class Palette:
    """The colors of one theme."""

    paper: str
    grid: str
    barred: str
    """Background of a map without a value."""
    colors: Mapping[Color, str]
    is_dark: bool

    @property
    def shades(self) -> tuple[str, ...]:
        """Colors from faint to strong, where strong has more contrast with the background."""
        return VIRIDIS if self.is_dark else VIRIDIS[::-1]


PALETTES: Mapping[str, Palette] = {
    "light": Palette(
        paper="#ffffff",
        grid="#e4e6ea",
        barred="#d5d8dd",
        colors={
            "accent": "#0b63a5",
            "second": "#c8590a",
            "muted": "#8a8f98",
            "quiet": "#5f6570",
            "bad": "#b3261e",
            "ink": "#1d2330",
        },
        is_dark=False,
    ),
    "dark": Palette(
        paper="#14181f",
        grid="#2b323d",
        barred="#3a4250",
        colors={
            "accent": "#6cb4f0",
            "second": "#f2a154",
            "muted": "#8b93a1",
            "quiet": "#a4acb9",
            "bad": "#ff8a80",
            "ink": "#e6e9ef",
        },
        is_dark=True,
    ),
}


def palette_of(theme: str) -> Palette:
    """Return the palette of `light` or `dark`.

    Raises:
        InvalidRequest: there is no such theme.
    """
    if theme not in PALETTES:
        raise InvalidRequest.of("theme", f"is {theme!r}; there are {' and '.join(PALETTES)}")
    return PALETTES[theme]


def shade(colors: tuple[str, ...], u: float) -> str:
    """Return the color at u in [0, 1], interpolated between its neighbors."""
    place = min(max(u, 0.0), 1.0) * (len(colors) - 1)
    i = min(int(place), len(colors) - 2)
    ends = zip(_channels(colors[i]), _channels(colors[i + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - i)):02x}" for a, b in ends)


def _channels(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
