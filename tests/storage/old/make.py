"""Makes an old database of the present schema, and what its server says of it. See README.md.

Usage: python make.py FOLDER VERSION, as in: python make.py tests/storage/old 0001
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import bo_client
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.json_format import MessageToDict

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-5, 0.1, scale="log", default=0.001, unit="1/step"),
        bo_client.IntParameter("layers", 1, 4, description="how deep"),
        bo_client.CategoricalParameter("norm", ["batch", "group"]),
        bo_client.CategoricalParameter("flag", [True, False]),
        bo_client.DiscreteParameter("batch", [16, 32, 64], scale="log"),
        bo_client.IntParameter("groups", 1, 8, activation=bo_client.Activation("norm", ["group"])),
    ],
    [bo_client.ForbiddenCombination({"norm": "group", "batch": 64})],
)
METRICS = [
    bo_client.Metric("loss", "minimize", unit="nats"),
    bo_client.Metric("score", "maximize"),
    bo_client.Metric.at_most("latency", 50.0, unit="ms"),
    bo_client.Metric("note", role="information"),
]


def fill(client: bo_client.Client) -> None:
    first = client.create_study("first", SPACE, "loss", goal="minimize", labels={"team": "vision"}, max_attempts=2)
    for i, trial in enumerate(first.suggest(6, worker_id="host:1")):
        trial.report({"loss": 1.0 / (i + 1), "extra": float("nan")}, step=1, elapsed=1.5, checkpoint_uri=f"gs://a/{i}")
        trial.report({"loss": 0.5 / (i + 1)}, step=2)
        trial.complete({"loss": 0.25 / (i + 1)})
    (diverged,) = first.suggest(worker_id="host:1")
    diverged.fail("DIVERGED", "loss is NaN")
    for _ in range(2):
        first.suggest(worker_id="host:1")[0].fail("CRASHED", "boom")
    first.add({"lr": 0.01, "layers": 2, "norm": "batch", "flag": True, "batch": 16}, {"loss": 0.3})
    first.enqueue({"lr": 0.02, "layers": 1, "norm": "group", "flag": False, "batch": 32, "groups": 4}, {"role": "mine"})
    first.delete_trial(2)
    running, stopped = first.suggest(2, worker_id="host:2")  # the first was enqueued
    running.report({"loss": 0.75}, step=1)
    first.stop_trial(stopped.number, "enough")
    pareto = client.create_study("pareto", SPACE, METRICS, seed=7, max_trials=5, warm_start_studies=["first"])
    for i, trial in enumerate(pareto.suggest(3, worker_id="host:3")):
        trial.complete({"loss": float(i), "score": float(i * i), "latency": 20.0 * i, "note": 1.0})
    parts = client.create_study("parts", SPACE, "loss", goal="minimize", fidelity={"metric": "epoch", "max": 27})
    for i, trial in enumerate(parts.suggest(3, worker_id="host:4", can_resume=True)):
        trial.report({"loss": 1.0 + i}, step=1, checkpoint_uri=f"gs://p/{i}")
        if trial.pause_reason is not None:
            trial.pause()
    budget = client.create_study(
        "budget",
        SPACE,
        "loss",
        goal="minimize",
        fidelity={"metric": "epoch", "max": 27},
        max_steps=54,
        max_seconds=90.5,
    )
    (spending,) = budget.suggest(worker_id="host:5", can_resume=True)
    spending.report({"loss": 1.0}, step=1, elapsed=12.5, checkpoint_uri="gs://b")
    spending.pause()
    first.set_note(1, "the first\nof all")
    first.add_artifact(1, b"\0\xff", name="bytes.bin")
    first.add_artifact(3, "gs://a/model.keras", media_type="application/zip")
    client.create_study("empty", SPACE, "loss", goal="maximize", display_name="Nothing yet").update(state="PAUSED")


def told(client: bo_client.Client) -> dict[str, object]:
    """Everything that the server says, as the wire's JSON."""
    studies = client.call("ListStudies", pb.ListStudiesRequest()).studies
    found: dict[str, dict[str, Any]] = {}
    for study in studies:
        request = pb.ListTrialsRequest(parent=study.name, view=pb.TRIAL_VIEW_FULL, page_size=1000)
        found[study.name] = {
            "study": MessageToDict(study),
            "trials": [MessageToDict(t) for t in client.call("ListTrials", request).trials],
        }
        for trial in client.call("ListTrials", request).trials:
            parts = client.call("ListArtifacts", pb.ListArtifactsRequest(parent=trial.name)).artifacts
            for part in parts:
                answer = client.call("GetArtifact", pb.GetArtifactRequest(name=part.name))
                found[study.name].setdefault("artifacts", []).append(MessageToDict(answer))
    return found


def main(folder: Path, version: str) -> None:
    file = folder / f"schema-{version}.db"
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", f"sqlite:///{file}"]
    server = subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with bo_client.connect(server.stdout.readline().split()[2]) as client:
        fill(client)
        file.with_suffix(".json").write_text(json.dumps(told(client), indent=1, sort_keys=True) + "\n")
    server.terminate()
    server.wait()
    Path(f"{file}.lock").unlink(missing_ok=True)


main(Path(sys.argv[1]), sys.argv[2])
