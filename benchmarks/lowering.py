"""Minima that were searched for, lowered to what runs found below them."""

from dataclasses import replace
from pathlib import Path

from benchmarks.problems.references import Reference, references
from benchmarks.problems.suite import suite
from benchmarks.results import finished, read


def lowered(name: str, runs: Path) -> Reference:
    """The reference of a problem, with the best trial of all runs where that is better."""
    reference = references()[name]
    if suite()[name].optimizer is not None:
        return reference
    rows = [row for key in finished(runs) if key.problem == name for row in read(key.file(runs))]
    for row in rows:
        if row.true is not None and row.true < reference.best:
            reference = replace(reference, best=row.true, optimizer=row.config)
    return reference
