"""Databases of every released schema are opened, upgraded and read by the newest code; newer ones are refused."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from bo_api.v1 import optimization_service_pb2 as pb
from click.testing import CliRunner, Result
from google.protobuf.json_format import MessageToDict
from sqlalchemy import create_engine, text

from bo_service.application.context import AppContext
from bo_service.application.outages import extend_leases_after_outage
from bo_service.application.ports import Beat, RequestKey
from bo_service.application.views import Empty
from bo_service.cli.main import main
from bo_service.domain.attempts import AttemptOutcome
from bo_service.domain.errors import StartupError
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec
from bo_service.rpc.servicer import OptimizationServicer
from bo_service.storage import upgrade as upgrading
from bo_service.storage.factory import open_store
from tests.conftest import PostgresServer

OLD = Path(__file__).parent / "old"
VERSIONS = sorted(file.name.removeprefix("schema-").partition(".")[0] for file in OLD.glob("schema-*.db*"))
DUMPED = sorted(file.name.removeprefix("postgresql-").partition(".")[0] for file in OLD.glob("postgresql-*.sql.gz"))
LEASE_S = 60.0
"""Of the studies of old servers."""
WITH_ATTEMPTS = "0005"
WITH_PAUSES = "0007"
WITH_RESUMABLE_COUNT = "0009"
"""From here on answers say how many trials wait for a worker that can resume."""
HEAD = max(p.stem[:4] for p in Path("bo_service/storage/migrations/versions").glob("[0-9]*.py"))


SPEC = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("y", Goal.MINIMIZE),))
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


class Noon:
    def now(self) -> datetime:
        return NOON


def told(services: AppContext) -> dict[str, Any]:
    servicer = OptimizationServicer(services, 1, 1)
    found: dict[str, Any] = {}
    for study in servicer.ListStudies(pb.ListStudiesRequest(), None).studies:  # type: ignore[arg-type]
        request = pb.ListTrialsRequest(parent=study.name, view=pb.TRIAL_VIEW_FULL, page_size=1000)
        trials = servicer.ListTrials(request, None).trials  # type: ignore[arg-type]
        found[study.name] = {"study": MessageToDict(study), "trials": [MessageToDict(t) for t in trials]}
        for trial in trials:
            parts = servicer.ListArtifacts(pb.ListArtifactsRequest(parent=trial.name), None).artifacts  # type: ignore[arg-type]
            for part in parts:
                answer = servicer.GetArtifact(pb.GetArtifactRequest(name=part.name), None)  # type: ignore[arg-type]
                found[study.name].setdefault("artifacts", []).append(MessageToDict(answer))
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


def migrate(address: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "--storage", address, *options])


def kept(name: str) -> bytes:
    """A file of an old server, as it is or packed."""
    file = OLD / name
    return file.read_bytes() if file.exists() else gzip.decompress((OLD / f"{name}.gz").read_bytes())


def left_at_the_last_beat(file: Path) -> dict[int, float]:
    """Return the seconds of each lease when the old server last noted that it was alive; all where it noted nothing."""
    with closing(sqlite3.connect(file)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        beats = tables & {"pulse", "server_liveness"}
        beat = next((row[0] for name in beats for row in database.execute(f"select beat_time from {name}")), None)
        leased = "select number, lease_expire_time from trials where study_id = 'first' and state = 'running'"
        ends = dict(database.execute(leased))
    assert len(ends) == 2
    return {number: LEASE_S if beat is None else min((end - beat) / 1e6, LEASE_S) for number, end in ends.items()}


@pytest.fixture
def old_file(tmp_path: Path, version: str) -> Path:
    file = tmp_path / "bo.db"
    file.write_bytes(kept(f"schema-{version}.db"))
    return file


def test_a_database_of_each_schema_is_kept() -> None:
    every = {p.stem[:4] for p in Path("bo_service/storage/migrations/versions").glob("[0-9]*.py")}
    assert {version[:4] for version in VERSIONS} == every


@pytest.mark.parametrize("version", DUMPED)
def test_what_an_old_server_over_postgresql_said_the_newest_says_too(
    version: str, postgres_server: PostgresServer
) -> None:
    address = postgres_server.load(kept(f"postgresql-{version}.sql"))
    store = open_store(address)
    now = told(AppContext.of(store, Noon(), None))  # type: ignore[arg-type]
    attempts = without_attempts(now) if version < WITH_ATTEMPTS else {}
    assert now == json.loads(kept(f"postgresql-{version}.json"))
    check_attempts(attempts)
    store.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_old_server_said_the_newest_says_too(version: str, old_file: Path) -> None:
    left = left_at_the_last_beat(old_file)
    store = open_store(f"sqlite:///{old_file}")
    services = AppContext.of(store, Noon(), None)  # type: ignore[arg-type]
    now = told(services)
    attempts = without_attempts(now) if version < WITH_ATTEMPTS else {}
    if version < WITH_RESUMABLE_COUNT:
        waiting = {name for name, told in now.items() if told["study"].pop("resumableCount", 0)}
        assert waiting == ({"studies/parts"} if version >= WITH_PAUSES else set())
    assert now == json.loads(kept(f"schema-{version}.json"))
    check_attempts(attempts)
    with store.read() as records:
        numbers = [t.number for t in records.list_trials("first")]
        last = records.get_study("first").last_number
        assert set(range(1, last + 1)) - set(numbers) == {2}
        assert list(records.deleted_trials("first", 1, 10**9)) == [2]
    extend_leases_after_outage(services)
    with store.read() as records:
        running = {t.number: t.lease.expire_time for t in records.list_trials("first") if t.lease}
    assert {number: (end - Noon().now()).total_seconds() for number, end in running.items()} == pytest.approx(left)
    store.close()


@pytest.mark.parametrize("version", [version for version in VERSIONS if version[:4] < HEAD])
def test_migrate_says_from_where_to_where_and_is_done_once(version: str, old_file: Path) -> None:
    address = f"sqlite:///{old_file}"
    checked = migrate(address, "--check")
    assert (checked.exit_code, checked.stdout) == (1, f"{old_file}: schema {version[:4]}, the newest is {HEAD}\n")
    assert migrate(address).stdout == f"{old_file}: migrated from schema {version[:4]} to {HEAD}\n"
    for options in ((), ("--check",)):
        done = migrate(address, *options)
        assert (done.exit_code, done.stdout) == (0, f"{old_file}: schema {HEAD} is the newest\n")


def test_a_check_changes_and_makes_nothing(tmp_path: Path) -> None:
    done = migrate(f"sqlite:///{tmp_path}/bo.db", "--check")
    assert done.exit_code == 1
    assert "there is no file" in done.output
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
        trials = records.list_trials("s")
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
    assert migrate(address, "--check").exit_code == 1
    assert migrate(address).stdout == f"{shown}: migrated from an empty database to schema {HEAD}\n"
    assert migrate(address, "--check").stdout == f"{shown}: schema {HEAD} is the newest\n"


def test_the_revisions_of_the_files_are_those_of_their_content() -> None:
    history = list(ScriptDirectory.from_config(upgrading._config()).walk_revisions())
    assert upgrading.revisions() == [script.revision for script in reversed(history)]
    assert len(history) > 5


def test_a_newer_schema_is_refused_by_migrate_too(tmp_path: Path) -> None:
    file = tmp_path / "bo.db"
    open_store(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("update alembic_version set version_num = '9999'")
    for options in ((), ("--check",)):
        done = migrate(f"sqlite:///{file}", *options)
        assert done.exit_code == 1
        assert "upgrade bo-service" in done.output.strip().splitlines()[-1]


def test_servers_that_start_at_once_migrate_once(make_database: Callable[[], str]) -> None:
    for _ in range(3):
        address = make_database()
        with ThreadPoolExecutor(6) as pool:
            for store in pool.map(open_store, [address] * 6):
                store.close()
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            assert connection.execute(text("select version_num from alembic_version")).scalars().all() == [HEAD]
            assert connection.execute(text("select count(*) from server_liveness")).scalar() == 1
        engine.dispose()


def test_a_server_of_before_the_tables_had_new_names_goes_on(make_database: Callable[[], str]) -> None:
    """Servers over PostgreSQL are replaced one after the other: those that still run use the old names."""
    address = make_database()
    store = open_store(address)
    with store.write("s") as work:
        work.save_study(Study("s", SPEC, NOON, NOON))
        work.save_answer(RequestKey("new", "M", "d"), Empty(), NOON)
    engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as old:
        old.execute(text("insert into answers values ('old', 'M', 'd', '{}', 1)"))
        old.execute(text("select request_id from answers where create_time < 5 limit 9 for update skip locked"))
        upsert = "insert into lessons values ('s', :learned) on conflict (study_id) do update set learned = :learned"
        for learned in ('{"a":[1.0]}', '{"a":[2.0]}'):
            old.execute(text(upsert), {"learned": learned})
        assert old.execute(text("select beat_time from pulse where id = 1 for update")).scalar() is None
        old.execute(text("update pulse set beat_time = 7000000 where id = 1"))
        assert old.execute(text("select digest from answers where request_id = 'new'")).scalar() == "d"
    engine.dispose()
    with store.write("s") as work:
        assert work.find_answer(RequestKey("old", "M", "d"), Empty) == Empty()
        assert work.get_hyperparameters("s") == {"a": (2.0,)}
        assert work.last_beat(Beat.SERVER) == datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)
        assert not work.delete_answers(datetime(1971, 1, 1, tzinfo=UTC))
        assert work.find_answer(RequestKey("old", "M", "d"), Empty) is None
    store.close()


def other_program(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as raw, raw:
        for statement in ("create table visits (id integer primary key, url text)", *statements):
            raw.execute(statement)


ALEMBIC = "create table alembic_version (version_num varchar(32) not null)"


@pytest.mark.parametrize(
    ("fill", "hint"),
    [
        (other_program, "not bo-service's database, it has the tables visits"),
        (lambda f: other_program(f, ALEMBIC), "not bo-service's database"),
        (lambda f: other_program(f, ALEMBIC, "insert into alembic_version values ('0001')"), "not bo-service's"),
        (lambda f: other_program(f, "pragma journal_mode=wal"), "not bo-service's database"),
        (lambda f: f.write_text("a page of text\n" * 400), "not a database"),
        (lambda f: f.write_bytes(b""), "is empty"),
        (lambda f: f.write_bytes(b"SQLite format 3\0"), "can't be opened as a SQLite database"),
    ],
    ids=["another", "alembic", "alembic 0001", "another with a log", "text", "empty", "a header alone"],
)
def test_what_is_none_of_ours_is_refused_untouched(tmp_path: Path, fill: Callable[[Path], object], hint: str) -> None:
    file = tmp_path / "bo.db"
    fill(file)
    file.chmod(0o644)
    before = file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode
    with pytest.raises(StartupError, match=hint):
        open_store(f"sqlite:///{file}")
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode) == before
    assert {f.name for f in tmp_path.iterdir()} <= {"bo.db", "bo.db.lock"}


def test_another_programs_tables_in_postgresql_are_left_alone(postgres_server: PostgresServer) -> None:
    beside = postgres_server.load(b"create table visits (id integer);")
    open_store(beside).close()
    colliding = postgres_server.load(b"create table trials (id integer); create table studies (id integer);")
    for _ in range(2):
        with pytest.raises(StartupError, match="not bo-service's database, it has the tables studies, trials"):
            open_store(colliding)


def test_a_database_that_has_lost_a_table_is_told_as_damaged(tmp_path: Path) -> None:
    file = tmp_path / "bo.db"
    open_store(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("drop table tokens")
    with pytest.raises(StartupError, match="lacks the tables tokens, and is damaged"):
        open_store(f"sqlite:///{file}")
