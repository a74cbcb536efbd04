"""Files and notes of trials, as the client and its command add, list and read them."""

import json
import re
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_client.cli.main import main
from bo_client.testing import InProcessServer
from click.testing import CliRunner

from bo_service.domain.errors import InvalidArgument
from bo_service.rpc.import_validation import CallValidator
from bo_service.storage.factory import open_store
from bo_service.storage.transfer import export_study, import_study

IDS = count(1)
NOW = datetime(2027, 1, 1, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n\0\xff"


@pytest.fixture(scope="module")
def server() -> InProcessServer:
    return InProcessServer()


@pytest.fixture
def study(server: InProcessServer) -> bo_client.Study:
    client = server.client()
    settings = {"algorithm": "quasi_random"}
    return client.create_study(f"s{next(IDS)}", {"x": (0.0, 1.0)}, "loss", direction="minimize", **settings)


@pytest.fixture
def ended(study: bo_client.Study) -> bo_client.Study:
    study.add({"x": 0.5}, 1.0)
    return study


def test_a_worker_adds_files_to_the_trial_that_it_runs(study, tmp_path: Path) -> None:
    (trial,) = study.suggest()
    file = tmp_path / "confusion.png"
    file.write_bytes(PNG)
    added = trial.add_artifact(file)
    assert (added.artifact_id, added.media_type, added.size, added.uri) == ("confusion.png", "image/png", len(PNG), "")
    trial.add_artifact(b"[]", name="mistakes.json")
    trial.add_artifact(b"new", name="mistakes.json", media_type="text/plain")
    elsewhere = trial.add_artifact("gs://bucket/run/model.keras")
    assert (elsewhere.artifact_id, elsewhere.uri, elsewhere.size) == (
        "model.keras",
        "gs://bucket/run/model.keras",
        None,
    )
    trial.complete(1.0)
    found = study.artifacts(trial.number)
    assert [(a.artifact_id, a.media_type) for a in found] == [
        ("confusion.png", "image/png"),
        ("mistakes.json", "text/plain"),
        ("model.keras", "application/octet-stream"),
    ]
    assert found == trial.artifacts()
    assert study.read_artifact(trial.number, "confusion.png") == PNG
    assert study.read_artifact(trial.number, "mistakes.json") == b"new"
    with pytest.raises(bo_client.InvalidRequest, match=r"gs://bucket/run/model.keras"):
        study.read_artifact(trial.number, "model.keras")
    with pytest.raises(bo_client.NotFound, match="no artifact gone"):
        study.read_artifact(trial.number, "gone")


def test_a_trial_that_runs_takes_files_from_its_worker_alone(study) -> None:
    first, other = study.suggest(2, worker_id="w")
    with pytest.raises(bo_client.FailedPrecondition, match="only the worker that runs it"):
        study.add_artifact(first.number, b"x", name="a")
    with pytest.raises(bo_client.FailedPrecondition, match="lease_token is not one that was given out"):
        study.add_artifact(first.number, b"x", name="a", lease_token=other.lease_token)
    first.fail("CRASHED")
    (again,) = study.suggest(worker_id="w")
    assert again.number == first.number
    with pytest.raises(bo_client.FailedPrecondition, match=r"lease ran out.*was given to worker 'w'"):
        first.add_artifact(b"x", name="a")
    again.add_artifact(b"x", name="a")
    again.complete(1.0)
    first.add_artifact(b"y", name="b")
    assert [a.artifact_id for a in again.artifacts()] == ["a", "b"]


def test_no_more_of_a_file_is_read_than_may_be_sent(ended, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(2**40)  # without a block on the disk; no machine could read it
    with pytest.raises(bo_client.InvalidRequest, match=r"more than 1048576 bytes.*add its URI"):
        ended.add_artifact(1, large)
    with pytest.raises(bo_client.InvalidRequest, match="cannot be read: No such file"):
        ended.add_artifact(1, tmp_path / "gone")
    with pytest.raises(bo_client.InvalidRequest, match="name: is missing"):
        ended.add_artifact(1, b"")


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".hidden", "a\n", "a\x1b[8m", "a\\b", "a b", "ä", "a" * 129])
def test_names_that_are_paths_or_steer_terminals_are_refused(ended, name: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=r"artifact_id: is .*; give 1 to 128 letters, digits"):
        ended.add_artifact(1, b"x", name=name, media_type="text/plain")
    assert ended.artifacts(1) == []


@pytest.mark.parametrize(
    "media_type", ["png", "Image/PNG", "text/html; charset=utf-8", "a/b\r\nx: y", "a/" + "b" * 126]
)
def test_media_types_that_are_none_are_refused(ended, media_type: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="media_type: is"):
        ended.add_artifact(1, b"x", name="a", media_type=media_type)


def test_a_note_tells_who_wrote_it_and_when_also_after_the_end(study) -> None:
    (trial,) = study.suggest()
    trial.set_note("first\nline")
    assert study.trial(1).note.text == "first\nline"
    trial.complete(1.0)
    before = study.info().revision
    noted = study.set_note(1, "second")
    assert (noted.note.text, noted.note.author, noted.state) == ("second", "anyone", "SUCCEEDED")
    assert noted.note.update_time > noted.end_time
    assert study.info().revision == before + 1  # so that watchers hear of it
    assert study.set_note(1, "").note is None
    with pytest.raises(bo_client.InvalidRequest, match="text: has 10001 characters; at most 10000"):
        study.set_note(1, "n" * 10_001)


def test_the_command_adds_shows_and_gets_them(server, ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.json").write_text("[1]")

    def bo(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, [arguments[0], *arguments[1:]], obj=server.client())
        assert done.exit_code == code, done.output
        return done.output

    assert bo("artifact", "add", ended.id, "1", "table.json") == "added table.json (application/json, 3 bytes)\n"
    bo("artifact", "add", ended.id, "1", "s3://b/model", "--media-type", "application/zip")
    assert bo("note", ended.id, "1", "odd \x1b[8m one") == "trial 1 has a note\n"
    shown = bo("show", ended.id, "--trial", "1")
    for line in ("note by anyone", "artifact table.json", "artifact model (application/zip) at s3://b/model"):
        assert line in shown
    assert "\x1b" not in shown
    record = json.loads(bo("show", ended.id, "--trial", "1", "--json"))
    assert [file["artifact_id"] for file in record["artifacts"]] == ["model", "table.json"]
    assert record["note"]["text"] == "odd \x1b[8m one"
    assert bo("artifact", "list", ended.id, "1").splitlines()[1] == "table.json (application/json, 3 bytes)"
    assert "exists; choose another file" in bo("artifact", "get", ended.id, "1", "table.json", code=1)
    bo("artifact", "get", ended.id, "1", "table.json", "-o", "copy.json")
    assert Path("copy.json").read_text() == "[1]"
    assert "read it from s3://b/model" in bo("artifact", "get", ended.id, "1", "model", code=1)
    assert bo("note", ended.id, "1", "") == "trial 1 has no note\n"


def test_a_call_that_is_repeated_adds_and_writes_once(ended) -> None:
    name = f"{ended.name}/trials/1"
    adding = pb.AddArtifactRequest(
        name=name, artifact_id="a", media_type="text/plain", content=b"x", request_id="add", sha256="0" * 64
    )
    with pytest.raises(bo_client.InvalidRequest, match=r"sha256: is 0+, and that of content is 2d711642b726b04401627"):
        ended.client.call("AddArtifact", adding)
    adding.sha256 = ""
    writing = pb.SetTrialNoteRequest(name=name, text="first", request_id="write")
    first = ended.client.call("AddArtifact", adding), ended.client.call("SetTrialNote", writing)
    ended.set_note(1, "second")
    before = ended.info().revision
    assert (ended.client.call("AddArtifact", adding), ended.client.call("SetTrialNote", writing)) == first
    assert ended.info().revision == before
    assert ended.trial(1).note.text == "second"
    adding.content = b"y"
    with pytest.raises(bo_client.InvalidRequest, match="request_id"):
        ended.client.call("AddArtifact", adding)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of a study with a note and two artifacts."""
    file = tmp_path_factory.mktemp("exported") / "bo.db"
    with bo_client.local(file) as client:
        settings = {"algorithm": "quasi_random"}
        study = client.create_study("moved", {"x": (0.0, 1.0)}, "loss", direction="minimize", **settings)
        study.add({"x": 0.5}, 1.0)
        study.set_note(1, "kept")
        study.add_artifact(1, PNG, name="b.png")
        study.add_artifact(1, "gs://a/b", name="c")
    store = open_store(f"sqlite:///{file}")
    with store.read() as records:
        lines = list(export_study(records, "moved", NOW))
    store.close()
    return lines


def test_artifacts_and_notes_move_with_their_study(exported) -> None:
    store = open_store("memory:")
    import_study(store, exported, None, NOW, CallValidator(NOW))
    with store.read() as records:
        assert records.get_trial("moved", 1).note.text == "kept"
        assert [a.artifact_id for a in records.list_artifacts("moved", [1])[1]] == ["b.png", "c"]
        assert records.artifact_content("moved", 1, "b.png") == PNG
        assert list(export_study(records, "moved", NOW)) == exported


@pytest.mark.parametrize(
    ("line", "changes", "hint"),
    [
        (2, {"artifact_id": "../b.png"}, "line 3: artifact.artifact_id: is '../b.png'"),
        (2, {"size": 7}, "line 3: artifact.size: is 7, and content has 10 bytes"),
        (2, {"sha256": "0" * 64}, "line 3: artifact.sha256: is 0"),
        (2, {"uri": "gs://x"}, "line 3: artifact: has content, so it needs size and sha256, and no uri"),
        (2, {"media_type": "text/html\r\n"}, "line 3: artifact.media_type"),
        (3, {"uri": "x\x1b:"}, "line 4: artifact.uri"),
        (1, {"note": {"text": "n" * 10_001, "author": "a", "update_time": "2026-01-01T00:00:00+00:00"}}, "trial.note"),
    ],
)
def test_what_no_call_would_add_is_not_imported(exported, line: int, changes: dict[str, object], hint: str) -> None:
    entry = json.loads(exported[line])
    entry["trial" if line == 1 else "artifact"].update(changes)
    store = open_store("memory:")
    with pytest.raises(InvalidArgument, match=re.escape(hint)):
        import_study(store, [*exported[:line], json.dumps(entry), *exported[line + 1 :]], None, NOW, CallValidator(NOW))
    with store.read() as records:
        assert records.list_studies() == []
