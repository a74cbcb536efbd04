"""Record tables: what is there is kept, what is missing is trained, and the file is replaced as it grows.

Run by `python -m benchmarks.curves record` in the environment `curves`, whose libraries it needs.
"""

import argparse
import fcntl
import hashlib
import importlib.metadata
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from benchmarks.curves import points, table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.space import Curve, Run, Space, Trainer, Wave
from benchmarks.curves.table import Ended, Table, TableError

SAVE_S = 5.0
TELL_S = 20.0
SOURCES = {path.name: path.read_bytes() for path in Path(__file__).parent.glob("*.py")}
"""As they are when this process begins."""
LIBRARIES = ("jax", "keras", "numpy", "optax", "scikit-learn", "scipy", "tensorflow-cpu")
PACKAGES = ("aeon", "mlxtend", "names", "plotnine", "river")
TRAINING = ("architectures.py", "boosting.py", "data.py", "networks.py", "points.py")
"""The sources that decide on curves beside the recipe, in the order in which they are digested."""
INTERRUPTED = 130


def record(space: Space, folder: Path, count: int, seeds: int, jobs: int = 1) -> Table:
    """Record what is missing of `count` configurations and `seeds` runs of each, and return the table.

    Raises:
        TableError: the table that is there is of another recipe.
        KeyboardInterrupt: after what was trained has been saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _single_flight(folder / f".{space.name}.lock"):
        return _recorded(space, folder, count, seeds, jobs)


@contextmanager
def _single_flight(path: Path) -> Iterator[None]:
    """Hold a file's lock, which ends with the process. Raises TableError where another process has it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TableError(
                f"another process records into {path.parent}, {path.name} tells; wait, or end it"
            ) from None
        yield


def _recorded(space: Space, folder: Path, count: int, seeds: int, jobs: int) -> Table:
    for left in folder.glob(f".{space.name}.*.[0-9]*"):  # of a process that was killed while it wrote
        left.unlink()
    path = folder / f"{space.name}.npz"
    table_of_curves = planned(space, folder, count, seeds)
    todo = list(_missing(space, table_of_curves))
    if not todo:
        return table_of_curves
    entry: dict[str, Any] = {"since": _now(), "runs": 0, **_circumstances(space)}
    table_of_curves.about["recordings"].append(entry)
    telling = _Telling(space.name, table_of_curves)
    saved = time.monotonic()
    try:
        for runs, curves in _trained(space, todo, jobs):
            _enter(table_of_curves, runs, curves)
            entry["runs"] += len(runs)
            entry["until"] = _now()
            telling.tell()
            if time.monotonic() - saved > SAVE_S:
                table_of_curves.save(path)
                saved = time.monotonic()
    finally:
        if entry["runs"]:
            table_of_curves.save(path)
        telling.tell(is_last=True)
    return table_of_curves


def planned(space: Space, folder: Path, count: int, seeds: int) -> Table:
    """Return the table that is there, or an empty one, grown to so many configurations and seeds."""
    about = space.description()
    try:
        curves = table.load(space.name, folder)
    except TableError:
        if (folder / f"{space.name}.npz").exists():
            raise
        curves = Table.empty(about | {"waves": [], "recordings": []}, [], 0, space.epochs)
    changed = [name for name, value in about.items() if curves.about.get(name) != value]
    if changed:
        raise TableError(
            f"{folder / space.name}.npz is of another recipe ({', '.join(changed)} differ); move it away to record anew"
        )
    waves: list[list[int]] = curves.about["waves"]
    n, s = curves.ended.shape
    more = [[n, count, 0, s or seeds]] if count > n else []
    more += [[0, max(n, count), s, seeds]] if 0 < s < seeds else []
    if more:
        waves += more
        configurations = [*curves.configurations, *points.sobol(space.search, max(n, count))[n:]]
        curves = curves.grown(configurations, max(s, seeds))
    return curves


def _missing(space: Space, recorded: Table) -> Iterator[list[Run]]:
    trainer = _trainer(space.name)
    for wave in recorded.about["waves"]:
        for runs in Wave(*wave).chunks(recorded.configurations, trainer):
            if any(recorded.ended[run.index, run.seed] == Ended.MISSING for run in runs):
                yield runs


def _enter(recorded: Table, runs: Sequence[Run], curves: Sequence[Curve]) -> None:
    for run, curve in zip(runs, curves, strict=True):
        at = (run.index, run.seed)
        is_lost = ~np.isfinite(curve.losses)
        first = int(np.argmax(is_lost)) if is_lost.any() else len(is_lost)
        for kept, given in ((recorded.losses, curve.losses), (recorded.metrics, curve.metrics)):
            kept[at] = np.where(np.arange(len(given)) < first, given, np.nan)
        recorded.seconds[at] = curve.seconds
        whole = Ended.DIVERGED if is_lost.any() else Ended.WHOLE
        recorded.ended[at] = Ended.FAILED if curve.failure else whole
        if curve.failure:
            recorded.about.setdefault("failures", {})[f"{run.index}/{run.seed}"] = curve.failure[:200]


@cache
def _trainer(name: str) -> Trainer:
    return SPACES[name].trainer()


def _train(name: str, runs: Sequence[Run], epochs: int) -> list[Curve]:
    return _trainer(name).train(runs, epochs)


def _trained(space: Space, todo: list[list[Run]], jobs: int) -> Iterator[tuple[list[Run], list[Curve]]]:
    """Yield chunks as they are done; with several jobs, in other processes."""
    if jobs == 1:
        yield from ((runs, _train(space.name, runs, space.epochs)) for runs in todo)
        return
    ahead = iter(todo)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _ends_with, (os.getpid(),)) as pool:
        running: dict[Future[list[Curve]], list[Run]] = {}
        while True:
            while len(running) < jobs and (runs := next(ahead, None)):
                running[pool.submit(_train, space.name, runs, space.epochs)] = runs
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def _ends_with(parent: int) -> None:
    """End this process when its parent has ended, even by SIGKILL."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


class _Telling:
    """Progress: what is done, how fast, and how long the rest takes at this rate."""

    def __init__(self, name: str, recorded: Table) -> None:
        self._name, self._table = name, recorded
        self._first, self._began = recorded.done, time.monotonic()
        self._told = -TELL_S

    def tell(self, is_last: bool = False) -> None:
        """Print a line; on a terminal the same one, elsewhere one in twenty seconds."""
        now, is_terminal = time.monotonic(), sys.stderr.isatty()
        if not (is_last or is_terminal or now - self._told > TELL_S):
            return
        self._told = now
        done, total = self._table.done, self._table.ended.size
        rate = (done - self._first) / max(now - self._began, 1e-9)
        left = _time((total - done) / rate) if rate else "?"
        text = f"{self._name}: {done}/{total} runs, {rate * 60:.1f} a minute, {left} left"
        line = f"\r{text}\033[K" if is_terminal else text
        print(line, end="\n" if is_last or not is_terminal else "", file=sys.stderr, flush=True)  # noqa: T201


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _circumstances(space: Space) -> dict[str, Any]:
    """Return what recorded: a digest of the code, versions of libraries and data, and the machine in words."""
    installed = {}
    for name in (*LIBRARIES, *PACKAGES):
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    digest = hashlib.sha256(b"".join(SOURCES[name] for name in (*TRAINING, *space.sources))).hexdigest()
    return {
        "training_sha256": digest[:16],
        "versions": {"python": platform.python_version(), **installed},
        "machine": f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, one thread a process",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the spaces of this process's backend, then go on as another process with those of the other one."""
    parser = argparse.ArgumentParser(prog="benchmarks.curves.recording")
    parser.add_argument("spaces", nargs="+")
    parser.add_argument("--configurations", type=int, required=True)
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a process in the background is begun with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    here = os.environ.get("KERAS_BACKEND", "")
    others = [name for name in asked.spaces if SPACES[name].backend != here]
    try:
        for name in asked.spaces:
            if name not in others:
                record(SPACES[name], asked.folder, asked.configurations, asked.seeds, asked.jobs)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except TableError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    if others:
        options = [f"--{n}={getattr(asked, n)}" for n in ("configurations", "seeds", "jobs", "folder")]
        command = [sys.executable, "-m", "benchmarks.curves.recording", *others, *options]
        os.execve(sys.executable, command, os.environ | {"KERAS_BACKEND": SPACES[others[0]].backend})  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main())
