"""Studies followed into Weights & Biases, offline, and read there from its files, beside a real server."""

import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client.integrations.exporters import follow, following

pytest.importorskip("wandb", reason="needs the extra wandb")
from bo_client.integrations.wandb import WandbLog
from wandb.proto import wandb_internal_pb2

pytestmark = pytest.mark.filterwarnings("ignore")  # of W&B's own

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("lr", 1e-3, 1e-1, scale="log")])


def objective(parameters: Any, trial: Any) -> float:
    for step in (1, 2):
        trial.report({"loss": 1 / step + parameters["lr"]}, step)
    if trial.number == 2:
        raise MemoryError("too large")
    return float(parameters["lr"])


@pytest.fixture
def study(client: bo_client.Client, study_id: str) -> bo_client.Study:
    return client.create_study(study_id, SPACE, "loss", "minimize", max_trials=3)


def records(file: Path) -> Iterator[Any]:
    """The records of a run's file: in the format of LevelDB's log, after 7 bytes."""
    data, at, part = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if at + 7 + length > len(data):
            return  # it is being written
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


def read(folder: Path) -> list[dict[str, Any]]:
    """What the runs have. W&B writes their last records after it says that they are finished."""
    runs = read_now(folder)
    while not all("exit" in run for run in runs):
        threading.Event().wait(0.1)
        runs = read_now(folder)
    return sorted(runs, key=lambda run: str(run["name"]))


def read_now(folder: Path) -> list[dict[str, Any]]:
    runs = []
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        run: dict[str, Any] = {"history": [], "summary": {}, "config": {}}
        for record in records(file):
            name = lambda item: item.key or ".".join(item.nested_key)  # noqa: E731
            if record.HasField("run"):
                run["name"], run["project"] = record.run.display_name, record.run.project
                run["config"] |= {name(i): i.value_json for i in record.run.config.update}
            run["config"] |= {name(i): i.value_json for i in record.config.update}
            run["summary"] |= {name(i): i.value_json for i in record.summary.update}
            if record.HasField("history"):
                values = {name(i): i.value_json for i in record.history.item}
                run["history"].append((record.history.step.num, float(values["loss"])))
            if record.HasField("exit"):
                run["exit"] = record.exit.exit_code
        runs.append(run)
    return runs


def check(runs: list[dict[str, Any]], study: bo_client.Study) -> None:
    trials = list(study.trials(full=True))
    assert [run["name"] for run in runs] == [f"{study.id}/{t.number}" for t in trials]
    assert {run["project"] for run in runs} == {study.id}
    assert [run["exit"] for run in runs] == [0, 1, 0]
    assert "OUT_OF_MEMORY" in runs[1]["summary"]["bo.failure"]
    for run, trial in zip(runs, trials, strict=True):
        assert run["history"] == [(m.step, m.metrics["loss"]) for m in trial.measurements]
        assert float(run["config"]["lr"]) == trial.parameters["lr"]
        assert run["summary"]["bo.state"] == f'"{trial.state}"'
        final = run["summary"].get("final_loss")
        assert (final and float(final)) == trial.value("loss")


def test_trials_are_logged_while_they_run(study, tmp_path: Path) -> None:
    with following(study, WandbLog(directory=tmp_path, mode="offline")):
        study.optimize(objective)
    check(read(tmp_path), study)


def test_a_study_can_be_followed_again_and_what_was_cut_off_is_logged_again(study, tmp_path: Path) -> None:
    (trial,) = study.suggest()
    trial.report(1.5, 1)
    with following(study, WandbLog(directory=tmp_path, mode="offline")):
        pass
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    trial.complete(1.0)
    study.optimize(objective)
    for _ in range(2):
        follow(study, WandbLog(directory=tmp_path, mode="offline"))
        check(read(tmp_path), study)
