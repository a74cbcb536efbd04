"""Each database that an older server has left is taken up by today's: its studies are listed and go on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bo_client
import pytest

from tests.conftest import PostgresServer
from tests.e2e.conftest import ServerProcess
from tests.storage.test_upgrade import DUMPED, VERSIONS, kept

TOKENS = {
    "0002": "bo_1acc364916d1_1JC4yN8OrRTRSW0n6oLA0x5egOvxVEoBaEcOgijLYJI",
    "0003": "bo_ef4f5655a7c0_LJpy-YORzSMGYjI601YmnA-t-xlQkRC-UdBIHCdl0nk",
    "0005": "bo_aa667c93d47a_a6eBNZ0pzeUAFyv3mRyJNOQ2vSxCbrEpTyacSppP9K4",
}
"""Which the servers of their time have given out, for a worker of the study `first`."""
QUICK = ("0002", "0003-without-tokens")


@contextmanager
def served(folder: Path, url: str) -> Iterator[ServerProcess]:
    server = ServerProcess(folder / "server", "--processes", "1", url=url)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def go_on(address: str, token: str | None) -> None:
    """Trials that ran before end, and others begin."""
    with bo_client.connect(address, token=token) as client:
        names = {study.name.removeprefix("studies/") for study in client.studies()}
        assert names == ({"first"} if token else {"first", "pareto", "empty"})
        study = client.study("first")
        ended = study.info().ended
        assert len(list(study.trials())) > ended
        for trial in study.suggest(2, worker_id="new:1"):
            trial.report({"loss": 0.5}, step=1)
            trial.complete({"loss": 0.25})
        assert study.info().ended == ended + 2


def each(versions: list[str]) -> list[object]:
    return [pytest.param(v, marks=[] if v in QUICK else [pytest.mark.slow]) for v in versions]


@pytest.mark.parametrize("version", each(VERSIONS))
def test_an_old_file_goes_on(version: str, tmp_path: Path) -> None:
    (tmp_path / "bo.db").write_bytes(kept(f"schema-{version}.db"))
    (tmp_path / "bo.db").chmod(0o644)
    with served(tmp_path, f"sqlite:///{tmp_path}/bo.db") as server:
        go_on(server.address, TOKENS.get(version))
        assert "could be read by others" in server.log  # it was 0644, as its server made it
    assert (tmp_path / "bo.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("version", each(DUMPED))
def test_an_old_postgresql_database_goes_on(version: str, tmp_path: Path, postgres_server: PostgresServer) -> None:
    with served(tmp_path, postgres_server.load(kept(f"postgresql-{version}.sql"))) as server:
        go_on(server.address, None)


def test_a_database_of_the_future_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bo.db").write_bytes(kept("schema-0005.db").replace(b"0005", b"9005"))
    before = (tmp_path / "bo.db").read_bytes()
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--listen", "127.0.0.1:0", "--storage"]
    done = subprocess.run([*command, f"sqlite:///{tmp_path}/bo.db"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("which a newer bo-service has made; upgrade bo-service")
    assert (tmp_path / "bo.db").read_bytes() == before
