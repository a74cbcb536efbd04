"""How the command line names peers, problems and seeds."""

import click

from benchmarks.ablations import ABLATIONS
from benchmarks.peers.catalog import CATALOG
from benchmarks.problems.suite import suite


def peers(text: str) -> list[str]:
    """Names, or all; ours~CHOICE is ours with a choice switched off."""
    return _selected(text, [*CATALOG, *(f"ours~{choice}" for choice in ABLATIONS)], {"all": list(CATALOG)})


def problems(text: str) -> list[str]:
    """Names, or all, development or validation."""
    names = list(suite())
    splits = {s: [n for n in names if suite()[n].split.value == s] for s in ("development", "validation")}
    return _selected(text, names, {"all": names, **splits})


def ablations(text: str) -> list[str]:
    """Names of choices that can be switched off, or all."""
    return _selected(text, list(ABLATIONS), {"all": list(ABLATIONS)})


def seeds(text: str) -> list[int]:
    """Return the seeds of a text such as 0-2, or 0,3,5."""
    numbers: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        numbers += range(int(low), int(high or low) + 1)
    return numbers


def _selected(text: str, names: list[str], groups: dict[str, list[str]]) -> list[str]:
    selected: list[str] = []
    for name in text.split(","):
        if name not in groups and name not in names:
            raise click.BadParameter(f"{name} is unknown; there are {', '.join([*groups, *names])}")
        selected += [n for n in groups.get(name, [name]) if n not in selected]
    return selected
