"""Names in messages, without control characters."""

from collections.abc import Iterable


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped, such as terminal control sequences."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def join_names(names: Iterable[str], limit: int = 10) -> str:
    """Return the first names with commas between, printable, and the number of the others."""
    texts = [printable(name) for name in names]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def shortened(name: str, length: int) -> str:
    """Return a name, printable, of at most so many characters."""
    text = printable(name)
    return text if len(text) <= length else f"{text[: length - 1]}…"
