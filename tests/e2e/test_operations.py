"""What a running server tells those who operate it: metrics and log lines."""

import gzip
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from prometheus_client.parser import text_string_to_metric_families

from bo_service.request_context import hash_of

pytestmark = pytest.mark.xdist_group("operations")  # its server is started once

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """A server that is measured and logs JSON."""

    def __init__(self, process) -> None:
        self.process = process
        self.address = process.start()
        self.url = re.search(r"http://127\.0\.0\.1:\d+/metrics", process.log)[0]

    def samples(self) -> Samples:
        text = urllib.request.urlopen(self.url, timeout=60).read().decode()
        families = text_string_to_metric_families(text)
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def value(self, name: str, **labels: str) -> float:
        return self.samples().get((name, frozenset(labels.items())), 0.0)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.process.log.splitlines()]

    def line(self, **wanted: object) -> dict[str, object]:
        """The last line that has these fields, once there is one."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for line in reversed(self.lines()):
                if wanted.items() <= line.items():
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no line with {wanted}")


@pytest.fixture(scope="module")
def scraped(make_shared_server) -> Scraped:
    return Scraped(
        make_shared_server(
            "--metrics", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug", "--processes", "1"
        )
    )


def test_metrics_count_and_time_what_happens(scraped: Scraped) -> None:
    with bo_client.connect(scraped.address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", lease_duration=1, initial_trials=3)
        for i in range(4):
            (trial,) = study.suggest()
            trial.complete({"loss": float(i % 3)})
        request = pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", request_id="once")
        assert client.call("SuggestTrials", request) == client.call("SuggestTrials", request)
        for _ in range(2):
            with pytest.raises(bo_client.NotFound):
                client.study("none")
        stream = study.watch()
        next(stream)
        assert scraped.value("bo_rpc_in_flight", method="WatchStudy") == 1
        stream.close()
        deadline = time.monotonic() + 120
        while not scraped.value("bo_lease_expiries_total") and time.monotonic() < deadline:
            time.sleep(0.2)
        with pytest.raises(bo_client.FailedPrecondition):
            client.create_study("empty", SPACE, "loss", goal="minimize").predict([{"x": 0.5}])
    seen = scraped.samples()

    def value(name: str, **labels: str) -> float:
        return seen.get((name, frozenset(labels.items())), 0.0)

    assert value("bo_rpc_handled_total", method="SuggestTrials", code="OK") == 6
    assert value("bo_rpc_handled_total", method="GetStudy", code="NOT_FOUND") == 2
    assert value("bo_rpc_duration_seconds_count", method="SuggestTrials") == 6
    assert value("bo_rpc_duration_seconds_sum", method="SuggestTrials") > 0
    assert value("bo_rpc_duration_seconds_count", method="WatchStudy") == 0
    assert value("bo_rpc_in_flight", method="SuggestTrials") == 0
    assert value("bo_request_replays_total", method="SuggestTrials") == 1
    assert value("bo_lease_expiries_total") == 1
    # one, since the points of the initial design are made together and kept for the calls that follow
    assert value("bo_computation_duration_seconds_count", task="suggest", outcome="quasi_random") >= 1
    assert value("bo_computation_duration_seconds_count", task="suggest", outcome="ready") >= 1
    assert value("bo_computation_duration_seconds_count", task="predict", outcome="not_enough_data") == 1
    assert value("bo_storage_transaction_duration_seconds_count", kind="write") > 10
    assert value("bo_storage_transaction_duration_seconds_count", kind="read") > 3
    assert (value("bo_studies"), value("bo_trials", state="succeeded"), value("bo_trials", state="queued")) == (2, 4, 1)
    assert value("bo_health_serving", service="bo_api.v1.OptimizationService") == 1
    assert value("process_resident_memory_bytes") > 1e7
    assert ("bo_computing_waiting", frozenset()) in seen
    assert {name for name, _ in seen} >= {"bo_build_info", "python_info", "bo_computing_restarts_total"}


def test_each_line_of_a_call_says_which_call(scraped: Scraped) -> None:
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    shown = [("x-request-id", "mine-1"), ("traceparent", parent)]
    with grpc.insecure_channel(scraped.address) as channel:
        call = channel.unary_unary("/bo_api.v1.OptimizationService/GetStudy", lambda m: m.SerializeToString())
        with pytest.raises(grpc.RpcError):
            call(pb.GetStudyRequest(name="studies/none"), timeout=10, metadata=shown)
    line = scraped.line(logger="bo_service.grpc", method="GetStudy")
    told = {name: line[name] for name in ("request_id", "trace_id", "code", "study", "principal", "level")}
    assert told == {
        "request_id": hash_of("mine-1"),
        "trace_id": TRACE,
        "code": "NOT_FOUND",
        "study": "none",
        "principal": "anyone",
        "level": "INFO",
    }
    assert isinstance(line["duration_ms"], float)
    assert str(line["peer"]).startswith("ipv4:127.0.0.1:")


def test_what_would_forge_lines_is_no_request_id(scraped: Scraped) -> None:
    forged = ["two words", "x" * 200, 'quote"', "semi;colon"]
    with grpc.insecure_channel(scraped.address) as channel:
        call = channel.unary_unary("/bo_api.v1.OptimizationService/ListStudies", lambda m: m.SerializeToString())
        for given in forged:
            call(pb.ListStudiesRequest(), timeout=10, metadata=[("x-request-id", given), ("traceparent", given)])
    scraped.line(method="ListStudies")
    told = [line for line in scraped.lines() if line.get("method") == "ListStudies"]
    assert all(re.fullmatch(r"[0-9a-f]{16}", str(line["request_id"])) for line in told)
    assert not any("trace_id" in line for line in told)


def test_the_python_client_says_who_it_is_each_time_it_tries(scraped: Scraped) -> None:
    with bo_client.connect(scraped.address) as client:
        study = client.create_study("named", SPACE, "loss", goal="minimize")
        client.call("SuggestTrials", pb.SuggestTrialsRequest(parent=study.name, worker_id="w", request_id="retry-me"))
    assert scraped.line(method="SuggestTrials", study="named")["request_id"] == hash_of("retry-me")
    assert re.fullmatch(r"[0-9a-f]{16}", str(scraped.line(method="CreateStudy", study="named")["request_id"]))


def test_a_metrics_port_in_use_is_named(scraped: Scraped, tmp_path) -> None:
    port = scraped.url.split(":")[2].split("/")[0]
    serve = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", f"sqlite:///{tmp_path}/other.db"]
    done = subprocess.run(
        [*serve, "--listen", "127.0.0.1:0", "--metrics", f"127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 1
    assert f"--metrics: cannot listen on 127.0.0.1:{port}" in done.stderr.splitlines()[-1]


class Collector(BaseHTTPRequestHandler):
    """Takes what is sent to OTLP's path."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.taken.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_spans_are_sent_to_a_collector_at_the_latest_when_it_ends(make_server) -> None:
    collector = HTTPServer(("127.0.0.1", 0), Collector)
    collector.taken = []  # type: ignore[attr-defined]
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    asked = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "tuning",
        "NO_PROXY": "127.0.0.1",
    }
    process = make_server("--processes", "1", "--log-format", "json", environment=asked)
    with bo_client.connect(process.start()) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        assert study.suggest()
    assert process.stop() == 0
    collector.shutdown()
    collector.server_close()
    (path,) = {path for path, _ in collector.taken}  # type: ignore[attr-defined]
    sent = b"".join(body for _, body in collector.taken)  # type: ignore[attr-defined]
    assert path == "/v1/traces"
    for text in (b"SuggestTrials", b"storage write", b"optimizer suggest", b"tuning"):
        assert text in sent
    lines = [json.loads(line) for line in process.log.splitlines()]
    (told,) = [line for line in lines if line.get("message", "").startswith("SuggestTrials OK")]
    assert bytes.fromhex(told["trace_id"]) in sent  # the log names the trace
