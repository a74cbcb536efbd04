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
from typing import Any

import pytest
from alembic import command
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.json_format import MessageToDict
from sqlalchemy import create_engine, text

from bo_service.adapters.grpc.servicer import OptimizationServicer
from bo_service.adapters.storage import upgrade as upgrading
from bo_service.adapters.storage.opening import open_store
from bo_service.application.pulse import keep_pulse
from bo_service.application.services import Services
from bo_service.core.attempts import AttemptOutcome

OLD = Path(__file__).parent / "old"
VERSIONS = sorted(file.stem.removeprefix("schema-") for file in OLD.glob("schema-*.db"))
WITH_ATTEMPTS = "0005"
HEAD = max(p.stem[:4] for p in Path("bo_service/adapters/storage/migrations/versions").glob("[0-9]*.py"))


class Noon:
    def now(self) -> datetime:
        return datetime(2027, 1, 1, 12, tzinfo=UTC)


def told(services: Services) -> dict[str, Any]:
    servicer = OptimizationServicer(services, 1, 1)
    found: dict[str, Any] = {}
    for study in servicer.ListStudies(pb.ListStudiesRequest(), None).studies:  # type: ignore[arg-type]
        request = pb.ListTrialsRequest(parent=study.name, view=pb.TRIAL_VIEW_FULL, page_size=1000)
        trials = servicer.ListTrials(request, None).trials  # type: ignore[arg-type]
        found[study.name] = {"study": MessageToDict(study), "trials": [MessageToDict(t) for t in trials]}
    return found


def without_attempts(found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Take the attempts out of what is told: by trial."""
    return {t["name"]: t.pop("attempts") for study in found.values() for t in study["trials"] if "attempts" in t}


def check_attempts(found: dict[str, list[dict[str, Any]]]) -> None:
    """Those that a server before schema 0005 has kept: it knew the workers, and the times of the last attempt."""
    if not found:
        return
    first = {int(name.rpartition("/")[2]): made for name, made in found.items() if name.startswith("studies/first/")}
    assert [a["workerId"] for a in first[1]] == ["host:1"]
    assert first[1][0]["outcome"] == "ATTEMPT_OUTCOME_COMPLETED"
    assert {"startTime", "endTime"} <= set(first[1][0])
    (diverged,) = first[7]
    assert (diverged["outcome"], diverged["failure"]["message"]) == ("ATTEMPT_OUTCOME_FAILED", "loss is NaN")
    before, last = first[8]  # it crashed twice, which were all attempts that it had
    assert (before["attempt"], before["workerId"]) == (1, "host:1")
    assert not {"startTime", "endTime", "outcome"} & set(before)
    assert (last["attempt"], last["failure"]["message"]) == (2, "boom")
    running = [made[-1] for made in first.values() if made[-1]["workerId"] == "host:2"]
    assert len(running) == 2
    assert all("startTime" in a and "endTime" not in a and "outcome" not in a for a in running)


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
    now = told(services)
    attempts = without_attempts(now) if version < WITH_ATTEMPTS else {}
    assert now == json.loads((OLD / f"schema-{version}.json").read_text())
    check_attempts(attempts)
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


def test_workers_of_old_trials_are_found_in_a_database_of_many(make_database: Callable[[], str]) -> None:
    """More trials than the migration reads at once, and names that a PostgreSQL column of words escapes."""
    address = make_database()
    engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    config = upgrading._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        study = "insert into studies values ('s', :spec, 0, 0, 's', '{}', 'active', 1, 2500)"
        spec = {"space": {"parameters": [{"name": "x", "domain": {"kind": "FloatDomain", "low": 0, "high": 1}}]}}
        connection.execute(text(study), {"spec": json.dumps({**spec, "metrics": [{"name": "y", "goal": "minimize"}]})})
        connection.execute(
            text(
                "insert into trials (study_id, number, parameters, create_time, origin, state, attempt, checkpoint_uri,"
                " labels, start_time, end_time, revision) select 's', n, '{}', 0, 'user', 'succeeded', 1, '', '{}',"
                " 1000000, 3000000, n from generate_series(1, 2500) n"
            )
        )
        connection.execute(
            text("insert into leases select 'token' || n, 's', n, :worker || n, 1 from generate_series(1, 2499) n"),
            {"worker": "w\ue000\ue001"},
        )
    engine.dispose()
    store = open_store(address)
    with store.read() as records:
        trials = records.trials.select("s")
    store.close()
    assert [[a.worker_id for a in t.attempts] for t in trials] == [*([f"w\ue000{n}"] for n in range(1, 2500)), []]
    (attempt,) = trials[1200].attempts
    assert attempt.end_time is not None
    assert attempt.start_time is not None
    assert (attempt.end_time - attempt.start_time).total_seconds() == 2.0
    assert attempt.outcome is AttemptOutcome.COMPLETED


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
