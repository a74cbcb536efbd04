"""Databases of every released schema are opened, upgraded and read by the newest code; newer ones are refused."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.json_format import MessageToDict
from sqlalchemy import create_engine, text

from bo_service.adapters.grpc.servicer import OptimizationServicer
from bo_service.adapters.storage.opening import open_store
from bo_service.application.pulse import keep_pulse
from bo_service.application.services import Services

OLD = Path(__file__).parent / "old"
VERSIONS = sorted(file.stem.removeprefix("schema-") for file in OLD.glob("schema-*.db"))
HEAD = max(p.stem[:4] for p in Path("bo_service/adapters/storage/migrations/versions").glob("[0-9]*.py"))


class Noon:
    def now(self) -> datetime:
        return datetime(2027, 1, 1, 12, tzinfo=UTC)


def told(services: Services) -> dict[str, object]:
    servicer = OptimizationServicer(services, 1, 1)
    found = {}
    for study in servicer.ListStudies(pb.ListStudiesRequest(), None).studies:  # type: ignore[arg-type]
        request = pb.ListTrialsRequest(parent=study.name, view=pb.TRIAL_VIEW_FULL, page_size=1000)
        trials = servicer.ListTrials(request, None).trials  # type: ignore[arg-type]
        found[study.name] = {"study": MessageToDict(study), "trials": [MessageToDict(t) for t in trials]}
    return found


def migrate(address: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bo_service.cli", "migrate", "--storage", address, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def old_file(tmp_path: Path, version: str) -> Path:
    return Path(shutil.copy(OLD / f"schema-{version}.db", tmp_path / "bo.db"))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_old_server_said_the_newest_says_too(version: str, old_file: Path) -> None:
    store = open_store(f"sqlite:///{old_file}")
    services = Services(store, Noon(), None)  # type: ignore[arg-type]
    assert told(services) == json.loads((OLD / f"schema-{version}.json").read_text())
    with store.read() as records:
        numbers = [t.number for t in records.trials.select("first")]
        last = records.studies.get("first").last_number
        assert set(range(1, last + 1)) - set(numbers) == {2}
        assert records.trials.deleted("first", 1, 10**9) == [2]
    keep_pulse(services)  # an outage of unknown length: every lease is whole again
    with store.read() as records:
        running = [t.lease.expire_time for t in records.trials.select("first") if t.lease]
        assert [(end - Noon().now()).total_seconds() for end in running] == [60.0] * 2
    store.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_migrate_says_from_where_to_where_and_is_done_once(version: str, old_file: Path) -> None:
    address = f"sqlite:///{old_file}"
    checked = migrate(address, "--check")
    assert (checked.returncode, checked.stdout) == (1, f"{old_file}: schema {version}, the newest is {HEAD}\n")
    assert migrate(address).stdout == f"{old_file}: migrated from schema {version} to {HEAD}\n"
    for options in ((), ("--check",)):
        done = migrate(address, *options)
        assert (done.returncode, done.stdout) == (0, f"{old_file}: schema {HEAD} is the newest\n")


def test_a_check_changes_and_makes_nothing(tmp_path: Path) -> None:
    done = migrate(f"sqlite:///{tmp_path}/bo.db", "--check")
    assert done.returncode == 1
    assert "there is no file" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_migrate_on_postgresql(make_database: Callable[[], str]) -> None:
    address = make_database()
    shown = address.partition("?")[0]
    assert migrate(address, "--check").returncode == 1
    assert migrate(address).stdout == f"{shown}: migrated from an empty database to schema {HEAD}\n"
    assert migrate(address, "--check").stdout == f"{shown}: schema {HEAD} is the newest\n"


def test_a_newer_schema_is_refused_by_migrate_too(tmp_path: Path) -> None:
    file = tmp_path / "bo.db"
    open_store(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("update alembic_version set version_num = '9999'")
    for options in ((), ("--check",)):
        done = migrate(f"sqlite:///{file}", *options)
        assert done.returncode == 1
        assert "upgrade bo-service" in done.stderr.strip().splitlines()[-1]


def test_servers_that_start_at_once_migrate_once(make_database: Callable[[], str]) -> None:
    for _ in range(3):
        address = make_database()
        with ThreadPoolExecutor(6) as pool:
            for store in pool.map(open_store, [address] * 6):
                store.close()
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            assert connection.execute(text("select version_num from alembic_version")).scalars().all() == [HEAD]
            assert connection.execute(text("select count(*) from pulse")).scalar() == 1
        engine.dispose()
