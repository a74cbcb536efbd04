"""Spans of real calls, kept in memory."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.domain.errors import NotFound, StartupError
from bo_service.request_context import hash_of
from bo_service.rpc.admission import Admission
from bo_service.storage.factory import open_store
from bo_service.telemetry.config import tracing_from_environment
from bo_service.telemetry.instrument import Computation
from bo_service.telemetry.tracing import Tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Servicer(rpc.OptimizationServiceServicer):
    """Works as the server's own does, with what is watched inside."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def SuggestTrials(self, request, context):
        task = Computation("suggest", 12)
        with self._tracing.transaction("read"):
            pass
        with self._tracing.computation(task):
            task.outcome = "too_late"
        self._tracing.replayed("SuggestTrials")
        return pb.SuggestTrialsResponse()

    def GetStudy(self, request, context):
        raise NotFound("none")

    def ListStudies(self, request, context):
        raise KeyError("a fault of ours")

    def WatchStudy(self, request, context):
        yield pb.WatchStudyResponse(revision=1)
        yield pb.WatchStudyResponse(revision=2)


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider)


@pytest.fixture
def address(tracing):
    store = open_store("memory:")
    admission = Admission(Authenticator(store, store.clock, AuthMode.NONE), tracing)
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[admission])
    rpc.add_OptimizationServiceServicer_to_server(Servicer(tracing), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()
    admission.stop()
    store.close()


@pytest.fixture
def stub(address):
    with grpc.insecure_channel(address) as channel:
        yield rpc.OptimizationServiceStub(channel)


def finished(spans):
    return {span.name: span for span in spans.get_finished_spans()}


def settled(spans, name: str):
    """The span of a call, once it has ended, which is after the client has its answer."""
    deadline = time.monotonic() + 120
    while name not in (found := finished(spans)):
        assert time.monotonic() < deadline, f"no span {name} among {list(found)}"
        time.sleep(0.01)
    return found[name]


def test_a_call_continues_the_clients_trace_and_holds_what_it_did(stub, spans) -> None:
    shown = [("traceparent", f"00-{TRACE}-{SPAN}-01"), ("x-request-id", "mine")]
    stub.SuggestTrials(pb.SuggestTrialsRequest(parent="studies/s"), timeout=10, metadata=shown)
    call = settled(spans, "SuggestTrials")
    inner = finished(spans)
    assert f"{call.context.trace_id:032x}" == TRACE
    assert f"{call.parent.span_id:016x}" == SPAN
    assert call.kind is SpanKind.SERVER
    wanted = {"rpc.system": "grpc", "rpc.method": "SuggestTrials", "bo.request": hash_of("mine"), "bo.replayed": True}
    assert wanted.items() <= dict(call.attributes).items()
    assert call.attributes["rpc.response.status_code"] == "OK"
    for name in ("storage read", "optimizer suggest"):
        assert inner[name].parent.span_id == call.context.span_id
    assert dict(inner["optimizer suggest"].attributes) == {"bo.observations": 12, "bo.outcome": "too_late"}


def test_the_python_client_sends_the_trace_that_its_program_is_in(address, spans) -> None:
    tracer = TracerProvider().get_tracer("program")
    with bo_client.connect(address) as client, tracer.start_as_current_span("tuning") as mine:
        client.call("SuggestTrials", pb.SuggestTrialsRequest(parent="studies/s"))
    call = settled(spans, "SuggestTrials")
    assert call.context.trace_id == mine.get_span_context().trace_id
    assert call.parent.span_id == mine.get_span_context().span_id


def test_refusals_are_the_clients_and_faults_are_the_servers(stub, spans) -> None:
    for method, request in (
        ("GetStudy", pb.GetStudyRequest(name="studies/s")),
        ("ListStudies", pb.ListStudiesRequest()),
    ):
        with pytest.raises(grpc.RpcError):
            getattr(stub, method)(request, timeout=10)
    assert settled(spans, "GetStudy").attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert settled(spans, "GetStudy").status.status_code is StatusCode.UNSET
    assert settled(spans, "ListStudies").status.status_code is StatusCode.ERROR
    assert "a fault of ours" not in str(settled(spans, "ListStudies").to_json())


def test_a_stream_is_one_span(stub, spans) -> None:
    assert [m.revision for m in stub.WatchStudy(pb.WatchStudyRequest(name="studies/s"), timeout=10)] == [1, 2]
    settled(spans, "WatchStudy")
    assert len(spans.get_finished_spans()) == 1


def test_what_the_server_does_on_its_own_is_no_trace(tracing, spans) -> None:
    with tracing.transaction("write"):
        pass
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_nobody_traces_unless_asked(environment) -> None:
    assert tracing_from_environment(environment) is None


def test_the_standard_variables_choose_the_exporter() -> None:
    found = tracing_from_environment({"OTEL_TRACES_EXPORTER": "console"})
    assert found is not None
    found[1]()
    with pytest.raises(StartupError, match="OTEL_TRACES_EXPORTER"):
        tracing_from_environment({"OTEL_TRACES_EXPORTER": "zipkin"})
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}
    with pytest.raises(StartupError, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        tracing_from_environment(asked)


def test_without_the_extra_it_says_what_to_install_and_only_when_asked() -> None:
    hide = "import sys; sys.modules['opentelemetry'] = None; sys.modules['opentelemetry.sdk'] = None\n"
    ask = "from bo_service.telemetry.config import tracing_from_environment as f\n"
    code = f"""{hide}{ask}
import bo_service.bootstrap
assert f({{}}) is None
try:
    f({{"OTEL_TRACES_EXPORTER": "otlp"}})
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert 'pip install "bo-service[otel]"' in done.stdout, done.stderr


def test_nothing_of_it_is_loaded_unless_asked() -> None:
    modules = "sys, bo_service.bootstrap, bo_service.cli.main, bo_client, bo_client.wire.transport"
    code = f"import {modules}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=True)
    assert not [name for name in done.stdout.split() if name.startswith("opentelemetry")]
