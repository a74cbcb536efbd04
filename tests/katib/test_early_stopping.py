"""Early stopping of Katib's experiments, beside stand-ins for its database, its metrics collector and Kubernetes."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import grpc
import pytest
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.katib.trial_status import TrialStatusWriter
from bo_service.optimizer.early_stopping.curves import Curve, OtherTrial
from bo_service.optimizer.early_stopping.decision import should_stop
from bo_service.optimizer.early_stopping.rules import StoppingContext
from tests.katib.controller import PATIENCE_S, Service, Status, experiment, served

MINIMIZE = {"type": "MINIMIZE", "objectiveMetricName": "loss"}
MAXIMIZE = {"type": "MAXIMIZE", "objectiveMetricName": "loss"}


class Database(rpc.DBManagerServicer):
    """Katib's database."""

    def __init__(self) -> None:
        self.logs: dict[str, list[str]] = {}
        self.reads: list[str] = []

    def GetObservationLog(self, request: pb.GetObservationLogRequest, context: Any) -> pb.GetObservationLogReply:
        self.reads.append(request.trial_name)
        logs = [
            pb.MetricLog(
                time_stamp=f"2026-01-01T00:00:{i:02}Z", metric=pb.Metric(name=request.metric_name, value=value)
            )
            for i, value in enumerate(self.logs[request.trial_name])
        ]
        return pb.GetObservationLogReply(observation_log=pb.ObservationLog(metric_logs=logs))


class KubernetesApi(ThreadingHTTPServer):
    """One trial of Kubernetes, whose status others change `conflicts` times while it is being marked."""

    trial: dict[str, Any]
    conflicts = 0
    refusal = 0
    calls: list[tuple[str, str, str, str]]


class Handler(BaseHTTPRequestHandler):
    server: KubernetesApi

    def do_GET(self) -> None:
        self._answer(self.server.refusal or (200 if self.path.endswith("/trials/team-1") else 404))

    def do_PATCH(self) -> None:
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        metadata = self.server.trial["metadata"]
        if self.server.conflicts:
            self.server.conflicts -= 1
            metadata["resourceVersion"] += "+"
            self.server.trial["status"]["conditions"].append({"type": "Running", "status": "True"})
        if change["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return self._answer(409)
        self.server.trial["status"] |= change["status"]
        return self._answer(200)

    def _answer(self, code: int) -> None:
        headers = self.headers.get("Authorization", ""), self.headers.get("Content-Type", "")
        self.server.calls.append((self.command, self.path, *headers))
        body = json.dumps(self.server.trial if code == 200 else {"kind": "Status"}).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Cluster:
    service: Service
    database: Database
    address: str
    kubernetes: KubernetesApi
    trials: list[pb.Trial] = field(default_factory=list)

    def end(
        self, name: str, values: Sequence[str], condition: Any = Status.SUCCEEDED, final: str | None = None
    ) -> None:
        trial = pb.Trial(name=name)
        trial.status.condition = condition
        trial.status.observation.metrics.add(name="loss", value=values[-1] if final is None else final)
        self.database.logs[name] = list(values)
        self.trials.append(trial)

    def rules(self, given: pb.Experiment, address: str | None = None) -> list[pb.EarlyStoppingRule]:
        request = pb.GetEarlyStoppingRulesRequest(
            experiment=given, trials=self.trials, db_manager_address=address or self.address
        )
        with grpc.insecure_channel(self.service.address) as channel:
            reply = rpc.EarlyStoppingStub(channel).GetEarlyStoppingRules(request, timeout=PATIENCE_S)
        return list(reply.early_stopping_rules)

    def mark(self, name: str) -> None:
        with grpc.insecure_channel(self.service.address) as channel:
            rpc.EarlyStoppingStub(channel).SetTrialStatus(pb.SetTrialStatusRequest(trial_name=name), timeout=PATIENCE_S)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("team")
    database = Database()
    server = grpc.server(ThreadPoolExecutor(2))
    rpc.add_DBManagerServicer_to_server(database, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with KubernetesApi(("127.0.0.1", 0), Handler) as kubernetes:
        kubernetes.trial = {
            "metadata": {"name": "team-1", "resourceVersion": "7"},
            "status": {"conditions": [{"type": "Created", "status": "True"}], "startTime": "2026-01-01T00:00:00Z"},
        }
        kubernetes.calls = []
        Thread(target=kubernetes.serve_forever, daemon=True).start()
        writer = TrialStatusWriter(f"http://127.0.0.1:{kubernetes.server_port}", tmp_path)
        with served("memory:", address, writer) as service:
            yield Cluster(service, database, address, kubernetes)
        kubernetes.shutdown()
    server.stop(None).wait()


def with_settings(objective: dict[str, Any] = MINIMIZE, **settings: str) -> pb.Experiment:
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    spec = {"algorithmName": "bo-median", "algorithmSettings": listed}
    return experiment("stopped", objective=objective, earlyStopping=spec)


def is_stopped(rules: Sequence[pb.EarlyStoppingRule], curve: Sequence[float], is_minimized: bool = True) -> bool:
    """As Katib's metrics collector decides: by the best value so far, at report number `start_step`."""
    (rule,) = rules
    if len(curve) < rule.start_step:
        return False
    best = (min if is_minimized else max)(curve[: rule.start_step])
    return best > float(rule.value) if rule.comparison == pb.GREATER else best < float(rule.value)


CURVES = [[0.9, 0.8, 0.5], [0.9, 0.7, 0.6], [1.0, 0.9, 0.7], [0.8, 0.85, 0.4], [0.95, 0.75, 0.75]]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trial_is_stopped_where_our_own_median_rule_stops_it(cluster: Cluster, sign: int) -> None:
    for i, curve in enumerate(CURVES):
        assert cluster.rules(with_settings(MINIMIZE if sign == 1 else MAXIMIZE, start_step="2")) == []
        cluster.end(f"t{i}", [repr(sign * value) for value in curve])
    cluster.end("early", [repr(sign * 0.99)], Status.EARLYSTOPPED)  # before the step: not compared
    cluster.end("late", [repr(sign * value) for value in (0.97, 0.96)], Status.EARLYSTOPPED)
    rules = cluster.rules(with_settings(MINIMIZE if sign == 1 else MAXIMIZE, start_step="2"))
    (rule,) = rules
    assert (rule.name, rule.start_step, float(rule.value)) == (
        "loss",
        2,
        sign * median([*(c[1] for c in CURVES), 0.96]),
    )
    others = (*(OtherTrial(-c[1], True, -c[-1]) for c in CURVES), OtherTrial(-0.96, True))
    settings = StoppingSettings(StoppingRule.MEDIAN)
    for curve in ([0.5, 0.9], [0.9, 0.5], [0.9, 0.9], [0.85, 0.83], [0.81, 0.82], [0.3, 0.99]):
        own = Curve((1, 2), tuple(-value for value in curve))
        case = StoppingContext(settings, "loss", 2, own, others, tuple(-c[-1] for c in CURVES), None, str)
        decision = should_stop(case) is not None
        assert is_stopped(rules, [sign * value for value in curve], sign == 1) == decision


def test_a_trial_that_is_better_than_all_final_values_goes_on(cluster: Cluster) -> None:
    for i in range(5):
        cluster.end(f"t{i}", ["0.1", "0.8"])  # which become worse
    rules = cluster.rules(with_settings(start_step="1"))
    assert float(rules[0].value) == 0.8
    assert not is_stopped(rules, [0.5])


def test_reports_are_read_once_and_need_not_be_finite(cluster: Cluster) -> None:
    for i, values in enumerate((["1", "nan", "9"], ["2", "3", "9"], ["unavailable"], ["inf", "nan"])):
        cluster.end(f"t{i}", values, final="5.0")
    given = with_settings(start_step="2", min_trials_required="3")
    (rule,) = cluster.rules(given)
    assert float(rule.value) == 5.0  # the median of 1 and 3 is better than all final values
    assert cluster.rules(given) == [rule]
    assert cluster.database.reads == ["t0", "t1", "t2", "t3"]


def test_without_katibs_database_there_is_no_rule(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for i in range(5):
        cluster.end(f"t{i}", ["1", "1", "1", "1"])
    assert len(cluster.rules(with_settings())) == 1
    del cluster.database.logs["t4"]
    cluster.trials.append(pb.Trial(name="unread"))
    cluster.trials[-1].status.condition = Status.EARLYSTOPPED
    assert cluster.rules(with_settings()) == []
    assert "Katib's database at 127.0.0.1" in caplog.text


def test_no_other_address_is_connected_to(cluster: Cluster) -> None:
    with pytest.raises(grpc.RpcError, match="start it with --katib-db-manager") as refused:
        cluster.rules(with_settings(), "169.254.169.254:80")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"start_step": "1", "min_trials_required": "1"}, ""),
        ({"start_step": "0"}, "start_step: is '0'; give a whole number from 1 to 2,147,483,647"),
        ({"start_step": "1.5"}, "start_step: is '1.5'"),
        ({"min_trials_required": "many"}, "min_trials_required: is 'many'; give a whole number from 1 to 1,000"),
        ({"min_trials_required": "inf"}, "min_trials_required: is 'inf'"),
        ({"gamma": "3"}, "holds 'gamma'; the settings are start_step, min_trials_required"),
    ],
    ids=str,
)
def test_settings_are_checked_before_an_experiment_begins(
    service: Service, settings: dict[str, str], said: str
) -> None:
    request = pb.ValidateEarlyStoppingSettingsRequest(early_stopping=with_settings(**settings).spec.early_stopping)
    with grpc.insecure_channel(service.address) as channel:
        call = rpc.EarlyStoppingStub(channel).ValidateEarlyStoppingSettings.future(request, timeout=PATIENCE_S)
        assert call.code() is (grpc.StatusCode.INVALID_ARGUMENT if said else grpc.StatusCode.OK)
        assert said in str(call.details())


def test_a_trial_is_marked_as_stopped_once_and_keeps_its_other_conditions(cluster: Cluster) -> None:
    cluster.kubernetes.conflicts = 2
    cluster.mark("team-1")
    cluster.mark("team-1")
    conditions = cluster.kubernetes.trial["status"]["conditions"]
    assert [c["type"] for c in conditions] == ["Created", "Running", "Running", "EarlyStopped"]
    assert (conditions[-1]["status"], conditions[-1]["reason"]) == ("True", "TrialEarlyStopped")
    assert cluster.kubernetes.trial["status"]["startTime"] == "2026-01-01T00:00:00Z"
    path = "/apis/kubeflow.org/v1beta1/namespaces/team/trials/team-1"
    marks = [call for call in cluster.kubernetes.calls if call[0] == "PATCH"]
    assert set(marks) == {("PATCH", f"{path}/status", "Bearer secret", "application/merge-patch+json")}
    assert len(marks) == 3


@pytest.mark.parametrize(
    ("name", "refusal", "code", "said"),
    [
        ("../secrets/all", 0, grpc.StatusCode.INVALID_ARGUMENT, "trial_name: is '../secrets/all'"),
        ("team-2", 0, grpc.StatusCode.NOT_FOUND, "404"),
        ("team-1", 403, grpc.StatusCode.PERMISSION_DENIED, "needs `get` of trials and `patch` of trials/status"),
        ("team-1", 500, grpc.StatusCode.UNAVAILABLE, "500"),
    ],
)
def test_what_the_api_server_refuses_is_said(
    cluster: Cluster, name: str, refusal: int, code: grpc.StatusCode, said: str
) -> None:
    cluster.kubernetes.refusal = refusal
    with pytest.raises(grpc.RpcError) as error:
        cluster.mark(name)
    assert (error.value.code(), said in str(error.value.details())) == (code, True)


def test_a_trial_that_others_change_all_the_time_is_not_marked(cluster: Cluster) -> None:
    cluster.kubernetes.conflicts = 100
    with pytest.raises(grpc.RpcError, match="was changed by others 5 times"):
        cluster.mark("team-1")


def test_outside_of_a_cluster_no_trial_can_be_marked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert TrialStatusWriter.of_pod() is None
    with grpc.insecure_channel(service.address) as channel, pytest.raises(grpc.RpcError, match="outside of a") as error:
        rpc.EarlyStoppingStub(channel).SetTrialStatus(pb.SetTrialStatusRequest(trial_name="any"), timeout=PATIENCE_S)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
