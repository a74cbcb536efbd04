"""Which half a space is in: development, which methods may be designed on, or validation, which is looked at once.

Decided by a rule before any method was run (docs/decisions/0160). The data sets of each kind are put in the order of
the SHA-256 of their names and are given to the two halves in turn, the first one to development, and from one kind to
the next, in alphabetical order, the turn goes on. All spaces of a data set are in its half.
"""

import hashlib
from collections.abc import Mapping
from functools import cache

from benchmarks.curves.catalog import SPACES
from benchmarks.curves.space import Space

DEVELOPMENT, VALIDATION = HALVES = ("development", "validation")


def half_of(space: Space) -> str:
    """Return the half of a space."""
    return halves()[space.source.name]


def halves() -> Mapping[str, str]:
    """Return the half of each data set."""
    return _halves(frozenset((space.source.kind, space.source.name) for space in SPACES.values()))


@cache
def _halves(sources: frozenset[tuple[str, str]]) -> Mapping[str, str]:
    kinds: dict[str, set[str]] = {}
    for kind, name in sources:
        kinds.setdefault(kind, set()).add(name)
    ordered = [name for kind in sorted(kinds) for name in sorted(kinds[kind], key=_digest)]
    return {name: HALVES[place % 2] for place, name in enumerate(ordered)}


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
