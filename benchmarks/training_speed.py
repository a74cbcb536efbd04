"""How fast the objective trains beside a bare Keras `fit` of the same model and data, and what the worker itself costs.

    python -m benchmarks.training_speed --epochs 6 --repeats 3
    python -m benchmarks.training_speed --option backbone=efficientnet_b0 --option weights=random --option cache=off \\
        --option image_size=224 --option precision=bfloat16          # on a GPU: images per second, and its memory

In each repeat the two are trained one after the other, in this process; a repeat before them all loads what is loaded
once. Images per second are of training with its validation, without the first epoch, in which the backend compiles.
Ratios are within a repeat, and their median is told. `cpu_ratio` and `overhead_of_a_minute` count the process's CPU
time from before the network is built to the end, which other processes disturb less: the overhead is what a trial takes
beyond the bare one, as a share of a minute.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bo_client import Value
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.trial_config import TrialConfig

MINUTE = 60.0


class Run:
    """A trial that nobody follows; what it says goes nowhere."""

    number, attempt, checkpoint_uri = 1, 1, ""
    until_step: int | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None: ...

    def label(self, labels: Mapping[str, str]) -> None: ...


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each repeat, and the medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--option", action="append", default=[], help="of the objective; repeatable")
    parser.add_argument("--parameter", action="append", default=[], help="of the trial; repeatable")
    asked = parser.parse_args(arguments)
    options = {"data": "emoji", **dict(text.split("=", 1) for text in asked.option), "epochs": str(asked.epochs)}
    objective = EfficientNetObjective(**options)
    parameters = objective.define().whole.parse(dict(text.split("=", 1) for text in asked.parameter))  # type: ignore[union-attr]
    rows = [measured(objective, parameters, is_first=i % 2 == 0) for i in range(asked.repeats + 1)][1:]
    names = list(rows[0])
    print(json.dumps({name: statistics.median(row[name] for row in rows) for name in names}, indent=2))  # noqa: T201


def measured(objective: EfficientNetObjective, parameters: Mapping[str, Value], is_first: bool) -> dict[str, float]:
    """Measure one repeat: ours and the bare one, in this order or the other."""
    sides = [ours, bare] if is_first else [bare, ours]
    seconds: dict[str, float] = {}
    for side in sides:
        seconds |= side(objective, parameters)
    seconds["ratio"] = seconds["images_per_second"] / seconds["bare_images_per_second"]
    seconds["cpu_ratio"] = seconds["bare_cpu_seconds"] / seconds["cpu_seconds"]
    seconds["overhead_of_a_minute"] = (seconds["cpu_seconds"] - seconds["bare_cpu_seconds"]) / MINUTE
    print({name: round(value, 3) for name, value in seconds.items()}, flush=True)  # noqa: T201
    return seconds


def ours(objective: EfficientNetObjective, parameters: Mapping[str, Value]) -> dict[str, float]:
    """Run a trial as the worker does."""
    with TemporaryDirectory() as folder:
        began = time.process_time()
        objective.evaluate(parameters, Run(Path(folder)))
        seconds = time.process_time() - began
        traced: dict[str, Any] = json.loads((Path(folder) / "trial.json").read_text("utf-8"))
    return {
        "images_per_second": traced["images_per_second"],
        "cpu_seconds": seconds,
        **_memory(),
    }


def bare(objective: EfficientNetObjective, parameters: Mapping[str, Value]) -> dict[str, float]:
    """Keras alone: the same network, compiled and fitted on arrays, with no callback but a clock."""
    with objective.context() as bench:
        import keras
        import numpy as np

        choice = TrialConfig.of(parameters)
        split = bench.data_and_backbone(choice.image_size).split
        train, validation = bench.labeled(choice, split.train), bench.labeled(choice, split.validation)
        began = time.process_time()
        network = bench.network(choice, train.inputs.shape[1:])
        network.compile(
            keras.optimizers.Adam(choice.lr_head),
            keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.CategoricalCrossentropy(from_logits=True), keras.metrics.CategoricalAccuracy()],
            steps_per_execution=objective.settings.steps_per_execution,
        )
        times = [time.perf_counter()]
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: times.append(time.perf_counter()))
        network.fit(
            np.asarray(train.inputs[:]), train.targets, choice.batch_size, objective.settings.epochs, verbose=0,
            validation_data=(np.asarray(validation.inputs[:]), validation.targets), callbacks=[clock],
            validation_batch_size=max(choice.batch_size, 64),
        )  # fmt: skip
        seconds = time.process_time() - began
    speed = len(train) * (len(times) - 2) / (times[-1] - times[1])
    return {"bare_images_per_second": speed, "bare_cpu_seconds": seconds}


def _memory() -> dict[str, float]:
    """Peak GPU memory of the process in GiB, where TensorFlow sees a GPU."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return {}
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return {}
    return {"peak_gpu_gib": tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30}


if __name__ == "__main__":
    main()
