"""A study driven by reflection alone: a generic client, and no code of ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BUF = Path(sys.executable).with_name("buf")


@pytest.fixture
def call(server: str):
    def call(method: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"http://{server}/bo_api.v1.OptimizationService/{method}"
        buf = str(BUF) if BUF.exists() else shutil.which("buf") or "buf"
        command = [buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--data", json.dumps(body), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    return call


def test_create_suggest_complete(call) -> None:
    space = {
        "parameters": [
            {"name": "lr", "floatParameter": {"low": 1e-5, "high": 0.1, "scale": "SCALE_LOG"}},
            {"name": "norm", "categoricalParameter": {"values": [{"stringValue": "batch"}, {"stringValue": "layer"}]}},
        ]
    }
    spec = {"space": space, "metrics": [{"name": "loss", "goal": "GOAL_MINIMIZE"}]}
    assert call("CreateStudy", {"studyId": "curl", "study": {"spec": spec}})["study"]["name"] == "studies/curl"

    for loss in (0.7, 0.3, 0.5):
        trial = call("SuggestTrials", {"parent": "studies/curl", "workerId": "shell"})["trials"][0]
        assert set(trial["parameters"]) == {"lr", "norm"}
        done = call(
            "CompleteTrial",
            {
                "name": trial["name"],
                "leaseToken": trial["lease"]["token"],
                "finalMeasurement": {"metrics": {"loss": loss}},
            },
        )
        assert done["trial"]["state"] == "TRIAL_STATE_SUCCEEDED"

    best = call("GetBestTrials", {"parent": "studies/curl"})["trials"][0]
    assert best["finalMeasurement"]["metrics"] == {"loss": 0.3}


def test_a_refusal_names_the_field(call) -> None:
    space = {"parameters": [{"name": "lr", "floatParameter": {"low": 1.0, "high": 0.1}}]}
    spec = {"space": space, "metrics": [{"name": "loss", "goal": "GOAL_MINIMIZE"}]}
    with pytest.raises(RuntimeError, match=r"study\.spec\.space\.parameters\[0\]\..*low"):
        call("CreateStudy", {"studyId": "curl", "study": {"spec": spec}})
