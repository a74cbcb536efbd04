"""What metrics, traces and logs give away: neither secrets nor studies, and strangers don't fill them."""

import re
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb

from tests.attacks.conftest import SPACE, make_target
from tests.attacks.test_stalls import SERVICE
from tests.e2e.conftest import ServerProcess
from tests.e2e.dashboard.conftest import soon

MANY, MOST = 60, 20
STUDY = "a-study-that-nobody-knows"


def metrics_of(process: ServerProcess) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/metrics", process.log)
    assert found
    text: bytes = urllib.request.urlopen(found[0], timeout=60).read()
    return text.decode()


def test_metrics_and_traces_hold_no_secrets_and_metrics_no_studies(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Every span is written to the server's output, as text."""

    def make(*options: str) -> ServerProcess:
        return make_server(*options, environment={"OTEL_TRACES_EXPORTER": "console"})

    target = make_target(make, tmp_path / "bo.db", "--metrics", "127.0.0.1:0")
    process = target.process
    assert process is not None
    assert process.process is not None
    output = process.process.stdout
    assert output is not None
    written: list[str] = []
    reader = threading.Thread(target=lambda: written.append(output.read()))
    reader.start()
    request_id = "the-request-id-of-a-worker"
    with target.client() as client:
        client.create_study(STUDY, SPACE, "loss", goal="minimize", algorithm="quasi_random")
        asked = pb.SuggestTrialsRequest(parent=f"studies/{STUDY}", worker_id="w", request_id=request_id)
        (trial,) = client.call("SuggestTrials", asked).trials
        wrong = pb.CompleteTrialRequest(name=trial.name, lease_token="not-the-lease-of-this-trial")
        wrong.final_measurement.metrics["loss"] = 1.0
        with pytest.raises(bo_client.FailedPrecondition):
            client.call("CompleteTrial", wrong)
    wrong_token = f"{target.tokens['admin']}x"
    with bo_client.connect(process.address, token=wrong_token) as client, pytest.raises(bo_client.PermissionDenied):
        list(client.studies())
    measured = metrics_of(process)
    process.process.terminate()
    process.process.wait(280)
    reader.join(280)
    output.close()
    (traced,) = written
    assert "SuggestTrials" in traced
    assert "CompleteTrial" in traced
    assert "bo_rpc_handled_total" in measured
    secrets = [trial.lease.token, request_id, *(text.split("_", 2)[2] for text in target.tokens.values())]
    for shown in (measured, traced, process.log):
        assert [secret for secret in secrets if secret in shown] == []
    assert STUDY not in measured


def test_refusals_over_grpc_are_logged_so_many_times_and_all_counted(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    target = make_target(make_server, tmp_path / "bo.db", "--metrics", "127.0.0.1:0")
    assert target.process is not None
    with grpc.insecure_channel(target.address) as channel:
        call = channel.unary_unary(f"{SERVICE}ListStudies")
        for _ in range(MANY):
            with pytest.raises(grpc.RpcError):
                call(b"", timeout=60)
    counted = f'bo_rpc_handled_total{{code="UNAUTHENTICATED",method="ListStudies"}} {MANY}.0'
    soon(lambda: counted in metrics_of(target.process))
    assert 0 < target.process.log.count("rejected ListStudies") <= MOST
