"""Files for import-study that hold what no call would take: refused whole, or every call of the study works."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bo_service.cli.main import main
from bo_service.storage.factory import open_store
from tests.e2e.conftest import making_servers

pytestmark = pytest.mark.xdist_group("attacks-import")  # its server is started once

SPACE = bo_client.SearchSpace(
    [bo_client.FloatParameter("x", 0.0, 1.0), bo_client.CategoricalParameter("kind", ["a", "b"])],
    [bo_client.ForbiddenCombination({"kind": "b", "x": 0.125})],
)
LEASE = {"token": "t", "worker_id": "w", "expire_time": "2026-01-01T00:00:00+00:00"}
TRIED = 8
"""Studies of those that were taken, of which each call is tried: each takes seconds."""
HEAD, DELETED, END = 0, -2, -1
RUNNING, SUCCEEDED, FAILED, QUEUED = 1, 2, 3, 4
NASTY: list[Any] = [
    None, True, "", "\x1b[8m", "a/b", "../../etc/x", "\ud800", "x" * 20_000, "running", "succeeded", "queued",
    -5, 0, 1, 2**31, 2**53, 2**63, 2**200, 0.5, float("nan"), float("inf"), -1e308, [], {}, [[]], {"a": 1}, {"x": 0.5},
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59+00:00", "2026-01-01T00:00:00",
]  # fmt: skip
WORKING = ("NOT_ENOUGH_DATA", "WRONG_STATE", "LIMIT_EXCEEDED", "NO_CONFIGURATION_FOUND")
"""Refusals of calls that work."""


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of a real export, with trials in every state."""
    folder = tmp_path_factory.mktemp("exported")
    with making_servers(folder) as make:
        process = make("--processes", "1")
        with bo_client.connect(process.start()) as client:
            study = client.create_study("s", SPACE, "loss", goal="minimize", labels={"team": "a"}, max_attempts=1)
            study.enqueue({"x": 0.5, "kind": "a"})
            (trial,) = study.suggest(worker_id="w")
            study.enqueue({"x": 0.25, "kind": "b"}, labels={"from": "me"})
            trial.report({"loss": 2.0}, step=1)
            (other,) = study.suggest(worker_id="w")
            other.report({"loss": 2.0}, step=1)
            other.complete({"loss": 1.0})
            (broken,) = study.suggest(worker_id="w")
            broken.fail("CRASHED", "died")
            study.enqueue({"x": 0.75, "kind": "a"})
            study.add({"x": 0.1, "kind": "b"}, {"loss": 3.0})
            study.add({"x": 0.2, "kind": "b"}, {"loss": 4.0})
            study.delete_trial(6)
        process.stop()
        target = folder / "s.jsonl"
        assert command("export-study", "--storage", process.url, "s", str(target))[0] == 0
        return target.read_text().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imported")


def import_lines(folder: Path, lines: list[str], *options: str) -> tuple[int, str]:
    file = folder / "study.jsonl"
    file.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogatepass"))
    return command("import-study", "--storage", f"sqlite:///{folder}/bo.db", str(file), *options)


def studies_in(folder: Path) -> list[str]:
    store = open_store(f"sqlite:///{folder}/bo.db")
    with store.read() as records:
        found = [study.study_id for study in records.list_studies("", 1000)]
    store.close()
    return found


def changed(lines: list[str], line: int, path: str, value: Any) -> list[str]:
    """The lines with one value replaced, or added."""
    entry = json.loads(lines[line])
    *owners, last = path.split(".")
    inner = entry
    for name in owners:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    inner[int(last) if isinstance(inner, list) else last] = value
    copy = list(lines)
    copy[line] = json.dumps(entry)
    return copy


@pytest.mark.parametrize(
    ("line", "path", "value", "hint"),
    [
        (HEAD, "study.study_id", "a/b", "study_id"),
        (HEAD, "study.study_id", "../../etc/x", "study_id"),
        (HEAD, "study.study_id", "e\x1b[8m", "study_id"),
        (HEAD, "study.display_name", "x" * 201, "display_name"),
        (HEAD, "study.labels", {"k" * 64: "v"}, "labels"),
        (HEAD, "study.labels", {"k": 5}, "labels"),
        (HEAD, "study.spec.metrics.0.name", "\x1b]0;x\x07", "name"),
        (HEAD, "study.spec.space.parameters.0.domain.low", float("nan"), "low"),
        (HEAD, "study.spec.alien", 1, "alien"),
        (HEAD, "study.revision", 2**63 - 1, "revision"),
        (HEAD, "last_number", -1, "last_number"),
        (HEAD, "time", "yesterday", "time"),
        (HEAD, "study", None, "study"),
        (SUCCEEDED, "trial.number", -5, "-5"),
        (SUCCEEDED, "trial.number", 999, "trial.number"),
        (SUCCEEDED, "trial.number", 1, "occur once"),
        (SUCCEEDED, "trial.number", "3", "number"),
        (SUCCEEDED, "trial.final_measurement.metrics.loss", float("nan"), "loss"),
        (SUCCEEDED, "trial.final_measurement.metrics", {}, "metrics"),
        (SUCCEEDED, "trial.final_measurement", None, "final_measurement"),
        (SUCCEEDED, "trial.parameters.alien", 1.0, "alien"),
        (SUCCEEDED, "trial.parameters.x", 7.0, "x"),
        (SUCCEEDED, "trial.parameters.x", [1], "parameters"),
        (SUCCEEDED, "trial.parameters", {}, "parameters"),
        (SUCCEEDED, "trial.attempts.0.worker_id", "\x1b[8m", "worker_id"),
        (SUCCEEDED, "trial.revision", 10**9, "revision"),
        (SUCCEEDED, "trial.labels", {"k": "\ud800"}, "trial"),
        (SUCCEEDED, "trial.lease", LEASE, "lease"),
        (SUCCEEDED, "measurements.0.step", -1, "step"),
        (SUCCEEDED, "measurements.0.metrics", {"\x1b": 1.0}, "metrics"),
        (SUCCEEDED, "leases.0.token", "t" * 65, "token"),
        (SUCCEEDED, "leases.0.worker_id", "a\nb", "worker_id"),
        (SUCCEEDED, "trial.state", "lost", "state"),
        (FAILED, "trial.failure", None, "failure"),
        (FAILED, "trial.failure.message", "m" * 10_001, "message"),
        (QUEUED, "trial.state", "running", "lease"),
        (RUNNING, "trial.lease", None, "lease"),
        (RUNNING, "trial.lease.duration", 1e9, "duration"),
        (DELETED, "deleted", [[1, 1]], "deleted"),
        (DELETED, "deleted", [[6, 2**70]], "deleted"),
        (DELETED, "deleted", [[6, 1], [6, 1]], "deleted"),
        (END, "trials", 2, "trials"),
    ],
)  # fmt: skip
def test_what_no_call_would_take_is_refused_with_its_line(
    exported, folder: Path, line: int, path: str, value: Any, hint: str
) -> None:
    before = studies_in(folder)
    code, told = import_lines(folder, changed(exported, line, path, value))
    assert code == 1, told
    assert "line " in told
    assert hint in told
    assert len(told.strip().splitlines()) == 1
    assert studies_in(folder) == before


@pytest.mark.parametrize(
    "spoil", [lambda t: "[" * 100_000, lambda t: t[:10], lambda t: "é" + t, lambda t: t[:-1] + ',"a":1}']
)
@pytest.mark.parametrize("line", [0, 1, -1])
def test_files_that_are_no_export_are_refused(exported, folder: Path, spoil: Callable[[str], str], line: int) -> None:
    lines = list(exported)
    lines[line] = spoil(lines[line])
    before = studies_in(folder)
    code, told = import_lines(folder, lines)
    assert code == 1
    assert "line " in told
    assert import_lines(folder, [*exported, exported[1]])[0] == 1
    assert studies_in(folder) == before


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of everything within."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield ".".join((*path, str(name)))
        yield from places(one, (*path, str(name)))


def calls_work(client: bo_client.Client, address: str, dashboard: str, study_id: str) -> None:
    """Each kind of call: it answers, or refuses for a reason that a study of calls has too."""
    name = f"studies/{study_id}"
    full = pb.TRIAL_VIEW_FULL
    client.call("GetStudy", pb.GetStudyRequest(name=name))
    trials = client.call("ListTrials", pb.ListTrialsRequest(parent=name, view=full)).trials
    for trial in trials:
        client.call("GetTrial", pb.GetTrialRequest(name=trial.name, view=full))
    study = client.study(study_id)
    next(iter(study.watch()))
    for act in (study.best, lambda: study.predict([{"x": 0.5, "kind": "a"}]), study.analyze):
        working(act)
    client.call("UpdateStudy", pb.UpdateStudyRequest(study={"name": name}, update_mask={"paths": ["labels"]}))
    working(lambda: [trial.complete({"loss": 0.5}) for trial in study.suggest(3, worker_id="w")])
    number = trials[0].name.rpartition("/")[2] if trials else "1"
    for path in ("best", f"trials/{number}", "diagnosis"):
        try:
            with urllib.request.urlopen(f"{dashboard}/data/studies/{study_id}/{path}", timeout=60) as answer:
                json.load(answer)
        except urllib.error.HTTPError as refusal:
            if refusal.code >= 500:
                raise


def working(act: Callable[[], object]) -> None:
    try:
        act()
    except bo_client.BoClientError as refusal:
        if refusal.reason not in WORKING:
            raise


@pytest.mark.slow
def test_a_spoiled_export_is_refused_or_every_call_works(exported, tmp_path: Path) -> None:
    taken: list[str] = []
    entries = [json.loads(line) for line in exported]
    everywhere = [(i, path) for i, entry in enumerate(entries) for path in places(entry)]

    @settings(max_examples=150, database=None, phases=[Phase.generate], derandomize=True)
    @given(st.sampled_from(everywhere), st.sampled_from(NASTY))
    def spoil(place: tuple[int, str], value: Any) -> None:
        before = len(taken)
        code, told = import_lines(tmp_path, changed(exported, *place, value), "--as", f"m{before}")
        assert code == 0 or "line " in told, (place, value, told)
        taken.extend([f"m{before}"] if code == 0 else [])

    spoil()
    assert import_lines(tmp_path, exported, "--as", "whole")[0] == 0
    assert studies_in(tmp_path) == sorted([*taken, "whole"])
    tried = taken[:: max(1, len(taken) // TRIED)]
    with making_servers(tmp_path) as make:
        process = make("--dashboard", "127.0.0.1:0")
        address = process.start()
        line = next(line for line in process.log.splitlines() if "dashboard at " in line)
        dashboard = line.partition("dashboard at ")[2].strip().rstrip("/")
        with bo_client.connect(address, timeout=60) as client:
            for study_id in [*tried, "whole"]:
                calls_work(client, address, dashboard, study_id)
        process.stop()
        assert "Traceback" not in process.log, process.log
    for study_id in tried:
        target = str(tmp_path / f"{study_id}.jsonl")
        assert command("export-study", "--storage", f"sqlite:///{tmp_path}/bo.db", study_id, target)[0] == 0
