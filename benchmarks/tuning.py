"""The whole job, several times: a server, a worker, a study of real EfficientNet trials, and the best on test images.

    python -m benchmarks.tuning --seeds 0 1 2 --trials 30 --output tuning.json

Each seed is that of the study and of the trainings. When the study is done, its best configuration is chosen among its
best trials by three repeats of each, in which other images validate and other seeds are drawn. That one, the trial with
the least validation loss, which needn't be the same, and the textbook defaults are measured on the test images once
each. On two idle cores a study of 30 trials takes about four minutes, and the repeats two.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BEST, BASELINE, UNCONFIRMED = TITLES = ("best", "textbook defaults", "best trial")
START_S = 60.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints each study's result and the spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--confirm", type=int, default=8, help="trials that are repeated")
    parser.add_argument("--option", action="append", default=["data=emoji"], help="of the objective; repeatable")
    parser.add_argument("--output", type=Path, help="where results are kept, after every study")
    asked = parser.parse_args(arguments)
    results: list[dict[str, Any]] = []
    for seed in asked.seeds:
        results.append(study(seed, asked.trials, asked.confirm, asked.option))
        if asked.output:
            asked.output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        print(in_words(results[-1]), flush=True)  # noqa: T201
    if len(results) > 1:
        print(spread(results))  # noqa: T201


def study(seed: int, trials: int, confirmed: int, options: Sequence[str]) -> dict[str, Any]:
    """Run one study from nothing; return what its best and the textbook's reach on the test images."""
    given = [part for option in [*options, f"seed={seed}"] for part in ("--option", option)]
    with TemporaryDirectory() as folder, server(Path(folder)) as address:
        space = Path(folder) / "space.yaml"
        space.write_text(f"extends: objective\nsettings: {{seed: {seed}}}\n", "utf-8")
        common = ["--server", address, "--study", "s", "--objective", "efficientnet", *given, "--directory", folder]
        began = time.monotonic()
        command("bo_worker.cli", "run", *common, "--space", str(space), "--max-trials", str(trials))
        seconds = time.monotonic() - began
        best = json.loads(command("bo_worker.cli", "best", *common, "--json", "--confirm", str(confirmed)))
        confirming = time.monotonic() - began - seconds
        best[UNCONFIRMED] = json.loads(command("bo_worker.cli", "best", *common, "--json"))[BEST]
    spent = {"seconds": round(seconds), "confirming_seconds": round(confirming)}
    return {"seed": seed, "trials": trials, **spent, **{title: best[title] for title in TITLES}}


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server on a fresh database; yield its address."""
    port_file = folder / "port"
    argv = ["serve", "--storage", f"sqlite:///{folder}/bo.db", "--listen", "127.0.0.1:0", "--port-file", str(port_file)]
    process = subprocess.Popen([sys.executable, "-m", "bo_service.cli.main", *argv], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not port_file.exists() or not port_file.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.1)
        yield f"127.0.0.1:{port_file.read_text().strip()}"
    finally:
        process.terminate()
        process.wait(30)


def command(module: str, *argv: str) -> str:
    """Return what the command prints. Raises CalledProcessError."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([sys.executable, "-m", module, *argv], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
        done.check_returncode()
    return done.stdout


def held_back(result: Mapping[str, Any], title: str, metric: str) -> float:
    return float(result[title]["held_back"][metric])


def in_words(result: Mapping[str, Any]) -> str:
    """One line."""
    parts = [
        f"{title}: test loss {held_back(result, title, 'test_loss'):.3f}, accuracy "
        f"{held_back(result, title, 'test_accuracy'):.3f}"
        for title in TITLES
    ]
    spent = f"{result['trials']} trials in {result['seconds']} s and {result['confirming_seconds']} s to confirm"
    return f"seed {result['seed']}: {spent}; " + "; ".join(parts)


def spread(results: Sequence[Mapping[str, Any]]) -> str:
    """Mean and standard deviation over seeds of what the chosen ones gain on the test images."""
    lines = []
    for title, metric in product((BEST, UNCONFIRMED), ("test_loss", "test_accuracy")):
        gains = [held_back(r, title, metric) - held_back(r, BASELINE, metric) for r in results]
        lines.append(f"{metric}, {title} − textbook: {statistics.mean(gains):+.3f} ± {statistics.stdev(gains):.3f}")
    return "; ".join(lines)


if __name__ == "__main__":
    main()
