"""All runs of a peer in one small file."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.measures import Run, shorten
from benchmarks.problems.references import references
from benchmarks.problems.suite import suite
from benchmarks.results import Key, finished, is_finished, read

FOLDER = Path(__file__).with_name("results")


def summarize(runs: Path, folder: Path = FOLDER) -> list[Path]:
    """One file for each peer that has finished runs of today's problems."""
    keys = [k for k in finished(runs) if k.problem in suite() and k.problem in references()]
    keys = [k for k in keys if is_finished(k.file(runs), suite()[k.problem].budget)]
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{peer}.json", runs, [k for k in keys if k.peer == peer]) for peer in _peers(keys)]


def load(folder: Path = FOLDER) -> dict[str, list[Run]]:
    """The runs of each peer, by its name."""
    return {file.stem: [_run(line) for line in json.loads(file.read_text())] for file in sorted(folder.glob("*.json"))}


def of_keys(runs: Path, keys: Iterable[Key]) -> list[Run]:
    """Finished runs, in short. Where there is noise, repeating a trial may be wise: that is no duplicate."""
    short = [shorten(k.problem, k.seed, read(k.file(runs)), references()[k.problem]) for k in keys]
    return [replace(run, duplicates=0) if suite()[run.problem].noise else run for run in short]


def _run(given: dict[str, object]) -> Run:
    curve = given.pop("curve")
    assert isinstance(curve, list)
    return Run(**given, curve=tuple(curve))  # type: ignore[arg-type]


def _write(path: Path, runs: Path, keys: Iterable[Key]) -> Path:
    path.write_text("[\n" + ",\n".join(json.dumps(asdict(run)) for run in of_keys(runs, keys)) + "\n]\n")
    return path


def _peers(keys: Iterable[Key]) -> list[str]:
    return sorted({k.peer for k in keys})
