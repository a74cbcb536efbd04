"""Secrets are in no log: neither the server's, whatever it is asked and however much it tells, nor the worker's."""

import os
import subprocess
import sys
from pathlib import Path

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb

from bo_service.application.tokens import NewToken, create_token
from bo_service.domain.access import Role
from bo_service.storage.sqlite import SqliteStore, SystemClock

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


def parts(text: str) -> list[str]:
    """The secret of a token, and enough of its beginning and end to tell it."""
    secret = text.split("_", 2)[2]
    return [secret, secret[:12], secret[-12:]]


@pytest.fixture
def admin(tmp_path: Path) -> str:
    store = SqliteStore(tmp_path / "bo.db")
    made = create_token(store, SystemClock(), NewToken(Role.ADMIN)).text
    store.close()
    return made


def test_a_busy_server_tells_no_secrets(make_server, admin: str) -> None:
    options = ["--log-level", "debug", "--log-format", "json", "--processes", "1", "--metrics", "127.0.0.1:0"]
    process = make_server(*options)
    address = process.start()
    secrets = parts(admin)
    with bo_client.connect(address, token=admin) as client:
        made = client.tokens.create("worker", ["s"])
        secrets += parts(made.text)
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        trials = [study.suggest()[0] for _ in range(5)]
        secrets += [trial.lease_token for trial in trials]
        trials[0].report({"loss": 1.0}, 1)
        trials[0].complete({"loss": 1.0})
        trials[1].fail("CRASHED", "died")
        request = pb.CompleteTrialRequest(name=trials[2].name, lease_token=trials[3].lease_token)
        request.final_measurement.metrics["loss"] = 1.0
        with pytest.raises(bo_client.FailedPrecondition):
            client.call("CompleteTrial", request)  # the lease of another trial
        with pytest.raises(bo_client.InvalidRequest):
            client.call("SuggestTrials", pb.SuggestTrialsRequest(parent="studies/s", request_id=made.text * 5))
        client.tokens.revoke(made.info.id)
    for wrong in (made.text, admin[:-1], f"{admin}x"):
        with bo_client.connect(address, token=wrong, patience=0.0) as client, pytest.raises(bo_client.PermissionDenied):
            list(client.studies())
    with grpc.insecure_channel(address) as channel:
        for scheme in ("Basic", "bearer:", ""):
            call = channel.unary_unary("/bo_api.v1.OptimizationService/ListStudies")
            with pytest.raises(grpc.RpcError):
                call(b"", metadata=[("authorization", f"{scheme} {admin}".strip())], timeout=10)
    assert process.stop() == 0
    log = process.log
    assert "tokens/" in log  # who called is told
    assert "rejected ListStudies" in log
    assert [secret for secret in secrets if secret in log] == []
    assert len(secrets) == 11


def test_a_worker_tells_nobody_its_token(make_server, admin: str, tmp_path: Path) -> None:
    """Neither in its log nor to the program that it runs."""
    process = make_server("--processes", "1", "--log-level", "debug")
    address = process.start()
    space = tmp_path / "space.yaml"
    space.write_text("parameters:\n  x: {type: float, low: 0, high: 1}\nmetrics: {loss: minimize}\n")
    program = tmp_path / "train.py"
    program.write_text('import os, json\nprint(dict(os.environ))\nprint(json.dumps({"loss": 1.0}))\n')
    run = ["run", "--server", address, "--study", "s", "--objective", "command", "--space", str(space)]
    more = ["--max-trials", "1", "--directory", str(tmp_path / "work"), "--", sys.executable, str(program), "{x}"]
    done = subprocess.run(
        [sys.executable, "-m", "bo_worker.cli", *run, *more],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "BO_TOKEN": admin},
    )
    assert done.returncode == 0, done.stderr
    written = [file.read_bytes().decode(errors="replace") for file in (tmp_path / "work").rglob("*") if file.is_file()]
    assert any("BO_PARAM_X" in text for text in written)
    assert "CompleteTrial OK" in process.log
    assert not [s for s in parts(admin) for text in (done.stdout, done.stderr, process.log, *written) if s in text]


def test_a_refused_address_of_a_database_is_shown_without_its_password(tmp_path: Path) -> None:
    serve = [sys.executable, "-m", "bo_service.cli.main", "serve", "--listen", "127.0.0.1:0", "--storage"]
    done = subprocess.run([*serve, "mysql://user:hunter2@/@db.example/bo"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert "mysql://…" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
