"""Tables and lines that fit the width of a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from bo_client.cli.console import Text

GAP = 2
"""Spaces between columns."""
MIN_FLEXIBLE = 24
"""Minimum width of a flexible column, if its content is wider."""


@dataclass(frozen=True)
class Column:
    """A column of a table, with a cell for each row."""

    title: str
    cells: Sequence[Text]
    rank: int = 0
    """A table that is too wide leaves out the columns of the highest rank first; those of rank 0 stay."""
    is_flexible: bool = False
    """Whether long cells are cut."""
    label: str = ""
    """Name of the column where it is left out; by default its title."""

    @property
    def width(self) -> int:
        """Width of the widest cell."""
        return max(cell.cell_len for cell in (Text(self.title), *self.cells))

    @property
    def min_width(self) -> int:
        """Width below which the table is too wide."""
        return min(self.width, MIN_FLEXIBLE) if self.is_flexible else self.width


class FittedTable:
    """A table of one line for each row: where it is too wide, columns are left out and long cells are cut."""

    def __init__(self, columns: Sequence[Column], styles: Sequence[str] = ()) -> None:
        self._columns, self._styles = columns, styles

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = list(self._columns)
        while _width(kept) > options.max_width and any(column.rank for column in kept):
            kept.remove(max(kept, key=lambda column: column.rank))
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in kept:
            others = sum(other.min_width + GAP for other in kept if other is not column)
            width = min(column.width, max(MIN_FLEXIBLE, options.max_width - others)) if column.is_flexible else None
            table.add_column(Text(column.title), no_wrap=True, overflow="ellipsis", max_width=width)
        for i, cells in enumerate(zip(*(column.cells for column in kept), strict=True)):
            table.add_row(*cells, style=self._styles[i] if self._styles else "")
        yield table
        left_out = [column.label or column.title for column in self._columns if column not in kept]
        if left_out:
            yield Text(f"Not shown for lack of width: {', '.join(left_out)}.", style="dim")


@dataclass(frozen=True)
class Hanging:
    """A text after a heading; its further lines are indented."""

    heading: str
    text: Text
    indent: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(MIN_FLEXIBLE, options.max_width - self.indent)
        lines = [line for part in self.text.split("\n", allow_blank=True) for line in part.wrap(console, width)]
        for i, line in enumerate(lines):
            line.rstrip()
            head = self.heading if i == 0 else " " * self.indent
            yield Text(head).append_text(line)


def _width(columns: Sequence[Column]) -> int:
    return sum(column.min_width for column in columns) + GAP * (len(columns) - 1)
