"""All problems, by name."""

from functools import cache

from benchmarks.problems import classical, coco, mixed, models
from benchmarks.problems.problem import Problem


@cache
def suite() -> dict[str, Problem]:
    """All of them, those for development first."""
    sources = (classical, mixed, coco, models)
    listed = [p for s in sources for p in s.development()] + [p for s in sources for p in s.validation()]
    return {p.name: p for p in listed}
