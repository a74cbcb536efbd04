"""Tags of trials: the words of a note that begin with `#`."""

import re

from bo_client.models import Trial

TAG = re.compile(r"(?<![\w#&/])#([^\W_][\w-]{0,39})")
"""A tag: letters, digits, `_` and `-` after a `#` that begins a word."""
MAX_TAGS = 20


def tags_of(trial: Trial) -> tuple[str, ...] | None:
    """Return the tags in the trial's note, in lower case and in order; None without any."""
    return tags_in(trial.note.text) if trial.note else None


def tags_in(text: str) -> tuple[str, ...] | None:
    """Return the tags in a text, in lower case and in order; None without any."""
    if "#" not in text:
        return None
    tags = dict.fromkeys(tag.lower() for tag in TAG.findall(text))
    return tuple(tags)[:MAX_TAGS] or None
