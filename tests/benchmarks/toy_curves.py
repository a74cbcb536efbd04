"""A space that trains in no time, and ways to end its recording. Run as a program: toy_curves.py END FOLDER."""

import os
import signal
import sys
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.curves import recording, table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.description import one_of, real, step
from benchmarks.curves.space import Curve, Run, Source, Space
from bo_service.domain.constraints import Configuration
from bo_service.domain.search_space import SearchSpace

CONFIGURATIONS, SEEDS, EPOCHS = 7, 2, 4
ARGUMENTS = ["toy", f"--configurations={CONFIGURATIONS}", f"--seeds={SEEDS}", "--jobs=1"]


class Toy:
    """Curves by a formula, three at a time; rates above a half diverge at the third epoch."""

    lanes = 3

    def shape(self, configuration: Configuration) -> Hashable:
        return configuration["width"]

    def train(self, runs: Sequence[Run], epochs: int) -> list[Curve]:
        before_chunk()
        return [self._trained(run, epochs) for run in runs]

    def _trained(self, run: Run, epochs: int) -> Curve:
        rate = float(run.configuration["rate"])
        losses = np.random.default_rng(run.number).random(epochs) + np.exp(-rate * np.arange(epochs))
        if rate > 0.5:
            losses[2] = np.inf
        return Curve(losses.astype(np.float32), losses.astype(np.float32) / 2, np.full(epochs, 0.1, np.float32))


before_chunk: Callable[[], None] = lambda: None  # noqa: E731
TOY = Space(
    "toy", Source("toy", "toys", "made here", "none"),
    SearchSpace((real("rate", 0.01, 1.0, log=True), step("width", 2, 4), one_of("kind", "a", "b"),
                 real("slope", 0.0, 1.0, when=("kind", ("b",))))),
    Toy, "A formula.", "loss", "half of it", epochs=EPOCHS, backend="",
)  # fmt: skip


def killed_while_writing() -> None:
    """At the second save, half of the file is written; then comes SIGKILL."""
    written, saves = np.savez_compressed, iter(range(9))

    def save(file: Any, **arrays: Any) -> None:
        if next(saves) == 0:
            written(file, **arrays)
            return
        file.write(b"PK" + bytes(1000))
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    table.np.savez_compressed = save  # type: ignore[attr-defined]


def interrupted() -> None:
    """Ctrl-C comes while the third chunk trains."""
    global before_chunk
    chunks = iter(range(9))
    before_chunk = lambda: os.kill(os.getpid(), signal.SIGINT) if next(chunks) == 2 else None  # noqa: E731


ENDS = {"killed": killed_while_writing, "interrupted": interrupted}

if __name__ == "__main__":
    SPACES["toy"] = TOY
    recording.SAVE_S = -1.0
    os.environ["KERAS_BACKEND"] = ""
    ENDS[sys.argv[1]]()
    sys.exit(recording.main([*ARGUMENTS, f"--folder={Path(sys.argv[2])}"]))
