"""What programs are tested with: the server in their own process, and prepared answers."""

import threading

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2
from bo_client.testing import CannedTransport, InProcessServer

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
STUDY = pb.GetStudyResponse(study=study_pb2.Study(name="studies/s", revision=3))


def test_a_program_is_tested_against_the_real_server(server) -> None:
    study = server.client().create_study("s", SPACE, "loss", goal="minimize", max_trials=7)
    best = study.optimize(lambda parameters: (parameters["x"] - 0.3) ** 2)
    assert study.info().state is bo_client.StudyState.COMPLETED
    assert bo_client.Origin.SURROGATE in {trial.origin for trial in study.trials()}
    assert best.value("loss") < 0.01


def test_every_run_of_a_test_is_suggested_the_same() -> None:
    runs = [InProcessServer().client().create_study("s", SPACE, "loss", goal="minimize") for _ in range(2)]
    for study in runs:
        study.optimize(lambda parameters: parameters["x"], n_trials=6)
    first, second = ([trial.parameters for trial in study.trials()] for study in runs)
    assert first == second


def test_servers_share_nothing_and_leave_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, other = InProcessServer(), InProcessServer()
    one.client().create_study("s", SPACE, "loss", goal="minimize")
    assert list(other.client().studies()) == []
    del one, other
    assert list(tmp_path.iterdir()) == []


def test_tokens_are_made_and_ask_nobody_for_one(server) -> None:
    client = server.client()
    made = client.tokens.create("worker")
    assert [token.id for token in client.tokens] == [made.info.id]
    assert list(client.studies()) == []


def test_a_lease_ends_while_a_watch_waits(server) -> None:
    study = server.client().create_study("s", SPACE, "loss", goal="minimize", lease_duration=60)
    study.suggest()
    changes = study.watch()
    assert next(changes).trials[0].state is bo_client.TrialState.RUNNING
    threading.Timer(0.1, server.advance, (61,)).start()
    assert next(changes).trials[0].state is bo_client.TrialState.QUEUED


def test_without_the_servers_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bo_service.in_process", None)
    with pytest.raises(ImportError, match=r"pip install 'bo-service\[server\]'.*CannedTransport"):
        InProcessServer()


def test_prepared_answers_come_in_order_and_calls_are_kept() -> None:
    ended = pb.SuggestTrialsResponse(shortfall=pb.SHORTFALL_COMPLETED)
    away = bo_client.ServerUnavailable("away")
    transport = CannedTransport(GetStudy=STUDY, SuggestTrials=[away, ended])
    study = transport.client().study("s")
    with pytest.raises(bo_client.ServerUnavailable, match="away"):
        study.suggest(worker_id="w")
    assert study.suggest(worker_id="w").shortfall is bo_client.Shortfall.COMPLETED
    with pytest.raises(bo_client.NotSupported, match=r"CannedTransport\(SuggestTrials=…\)"):
        study.suggest(worker_id="w")
    assert [method for method, _ in transport.calls if method != "GetStudy"] == ["SuggestTrials"] * 3
    assert transport.calls[0] == ("GetStudy", pb.GetStudyRequest(name="studies/s"))


def test_an_answer_may_depend_on_the_request() -> None:
    transport = CannedTransport(GetStudy=lambda r: pb.GetStudyResponse(study=study_pb2.Study(name=r.name)))
    assert [transport.client().study(name).id for name in ("a", "b")] == ["a", "b"]


def test_a_prepared_stream_ends_with_its_last_answer() -> None:
    told = [pb.WatchStudyResponse(study=STUDY.study, revision=n) for n in (1, 2)]
    transport = CannedTransport(GetStudy=STUDY, WatchStudy=[*told, bo_client.NotFound("it is deleted")])
    changes = transport.client().study("s").watch()
    assert [next(changes).revision for _ in told] == [1, 2]
    with pytest.raises(bo_client.NotFound, match="deleted"):
        next(changes)
