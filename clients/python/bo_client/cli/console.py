"""Rich text on standard output. Stored text is escaped; rich's own control codes are not."""

import sys
from collections.abc import Iterable
from typing import Any

from rich import console, text
from rich.segment import Segment

from bo_client.terminal import escaped, unguarded


class Text(text.Text):
    """A rich text that is escaped before its width is measured."""

    def __init__(self, plain: str = "", *arguments: Any, **options: Any) -> None:
        super().__init__(escaped(plain), *arguments, **options)

    def append(self, more: str | text.Text, style: Any = None) -> "Text":
        """Append text, and return this text."""
        super().append(escaped(more) if isinstance(more, str) else more, style)
        return self


class Console(console.Console):
    """A console that escapes everything except rich's own control codes, and interprets no markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(file=unguarded(sys.stdout), highlight=False, emoji=False, markup=False, **options)

    def render(
        self, renderable: console.RenderableType, options: console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield escaped segments, also within tables and live displays."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)

    def render_str(self, plain: str, **options: Any) -> text.Text:  # type: ignore[override]  # as rich calls it
        """Return the text of a cell, escaped before its width is measured."""
        return super().render_str(escaped(plain), **options)
