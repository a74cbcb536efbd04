"""Tokens from the shell: made where the database is, and through a server that has it."""

import os
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


def shell(module: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
    )


def offline(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    action, *rest = arguments
    return shell("bo_service.cli.main", "token", action, "--storage", f"sqlite:///{folder}/bo.db", *rest)


def test_the_first_token_is_made_offline_and_the_others_through_the_server(make_server, tmp_path: Path) -> None:
    made = offline(tmp_path, "create", "--role", "admin", "--description", "mine")
    admin = made.stdout.strip()
    assert made.returncode == 0
    assert made.stdout.splitlines() == [admin]
    process = make_server()
    address = process.start()

    refused = offline(tmp_path, "list")
    assert refused.returncode == 1
    assert "bo --server HOST:PORT token" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

    run = lambda *arguments: shell("bo_client.cli.main", "--server", address, *arguments, BO_TOKEN=admin)  # noqa: E731
    worker = run("token", "create", "--role", "worker", "--study", "vision-*", "--days", "30").stdout.strip()
    worker_id = worker.split("_")[1]
    listed = run("token", "list").stdout.splitlines()
    assert [line.split()[1:3] for line in listed] == [["admin", "valid"], ["worker", "valid"]]
    assert "vision-*" in listed[1]
    assert worker not in "".join(listed)
    with bo_client.connect(address, token=worker) as client:
        client.create_study("vision-1", SPACE, "loss", goal="minimize")
    assert run("token", "revoke", worker_id).stdout == f"revoked token {worker_id}\n"
    with bo_client.connect(address, token=worker) as client, pytest.raises(bo_client.PermissionDenied, match="revoked"):
        client.study("vision-1")

    process.stop()
    kept = offline(tmp_path, "list").stdout
    assert [line.split()[2] for line in kept.splitlines()] == ["valid", "revoked"]
    assert "used never" not in kept
    assert offline(tmp_path, "revoke", admin.split("_")[1]).returncode == 0
    process.start()  # nobody can call, and it stays so
    with bo_client.connect(address) as client, pytest.raises(bo_client.PermissionDenied, match="missing"):
        list(client.studies())
    assert "no valid token exists" in process.log


def test_the_first_token_can_be_made_while_the_server_is_open(make_server, monkeypatch) -> None:
    monkeypatch.delenv("BO_TOKEN", raising=False)
    address = make_server().start()
    with bo_client.connect(address) as anyone:
        anyone.create_study("s", SPACE, "loss", goal="minimize")
        with pytest.raises(bo_client.FailedPrecondition, match="role admin"):
            anyone.tokens.create("worker")
        made = anyone.tokens.create("admin")
        with pytest.raises(bo_client.PermissionDenied):
            anyone.study("s")
    with bo_client.connect(address, token=made.text) as admin:
        assert admin.study("s").id == "s"


def test_a_worker_with_a_token_over_tls_runs_a_study(make_server, authority, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(offline(tmp_path, "create", "--role", "worker", "--study", "b*").stdout)
    certificate, key = authority.sign("server")
    process = make_server("--tls-cert", str(certificate), "--tls-key", str(key))
    address = process.start()
    run = ["run", "--objective", "branin", "--max-trials", "2", "--in-process", "--directory", str(tmp_path / "w")]
    secured = ["--server", address, "--ca", str(authority.file), "--token-file", str(token)]
    assert shell("bo_worker.cli", *run, *secured, "--study", "branin").returncode == 0
    refused = shell("bo_worker.cli", *run, *secured, "--study", "other")
    assert refused.returncode == 1
    assert "has no access to studies/other" in refused.stderr
    shown = shell("bo_client.cli.main", *secured, "show", "branin")
    assert "2 of 2" in shown.stdout
