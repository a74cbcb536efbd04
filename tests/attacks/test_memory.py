"""Callers who fill the server's memory: with answers that they never take, and with studies that are too wide."""

import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from google.protobuf import json_format
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.attacks.conftest import SPACE, Target, make_target
from tests.attacks.http2 import connection
from tests.attacks.test_disclosure import metrics_of
from tests.attacks.test_stalls import OWN, SERVICE, code_of, works
from tests.e2e.conftest import making_servers
from tests.processes import memory_of, processes_of

pytestmark = pytest.mark.xdist_group("attacks-memory")  # its server is started once

PATIENCE_S = 120.0
CONNECTIONS, CALLS = 2, 120
GROWTH_MIB = 250
"""64 MiB of answers, which gRPC holds twice, and what is at work at the same time."""
HUGE = 2**31 - 1
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems limit no process from outside")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server that counts its calls, with a study."""
    folder = tmp_path_factory.mktemp("memory")
    with making_servers(folder) as make:
        found = make_target(make, folder / "bo.db", "--metrics", "127.0.0.1:0")
        with found.client() as client:
            client.create_study("s", SPACE, "loss", goal="minimize")
        yield found


def handled(filled: Target, method: str, code: str = "") -> int:
    """Return how many calls of a method have ended, or have with a status."""
    counts = re.findall(r'bo_rpc_handled_total\{code="(\w+)",method="(\w+)"\} (\S+)', metrics_of(filled.process))
    return sum(int(float(count)) for c, m, count in counts if m == method and code in ("", c))


@pytest.fixture(scope="module")
def filled(target):
    """The target, with a page of 2 MB and a trial of 1 MB."""
    with grpc.insecure_channel(target.address, OWN) as channel:
        stub, metadata = rpc.OptimizationServiceStub(channel), target.metadata("worker")

        def create(**trial: object) -> None:
            given = {"parent": "studies/s", "trial": {"parameters": {"x": {"floatValue": 0.5}}, **trial}}
            stub.CreateTrial(json_format.ParseDict(given, pb.CreateTrialRequest()), metadata=metadata, timeout=60)

        curve = [{"step": i, "metrics": {f"a_metric_of_a_long_name_{k}": 1.0 for k in range(50)}} for i in range(500)]
        create(measurements=curve, failure={"reason": "FAILURE_REASON_DIVERGED"})
        labels = {f"k{i}": "v" * 256 for i in range(64)}
        for _ in range(80):
            create(labels=labels, failure={"reason": "FAILURE_REASON_DIVERGED", "message": "m" * 10_000})
    return target


def answer_to(filled, method: str, request: Message) -> grpc.StatusCode:
    """What a reader is told, on a connection of its own."""
    with grpc.insecure_channel(filled.address, OWN) as channel:
        call = channel.unary_stream(SERVICE + method)
        return code_of(call(request.SerializeToString(), metadata=filled.metadata("reader"), timeout=60))


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


LIST = pb.ListTrialsRequest(parent="studies/s", page_size=1000)
GET = pb.GetTrialRequest(name="studies/s/trials/1", view=pb.TRIAL_VIEW_FULL)
WATCH = pb.WatchStudyRequest(name="studies/s", view=pb.TRIAL_VIEW_FULL)


@pytest.mark.parametrize(
    ("method", "request_", "window"),
    [
        pytest.param("ListTrials", LIST, 0, id="pages without a window"),
        pytest.param("ListTrials", LIST, HUGE, id="pages on a socket that is not read"),
        pytest.param("GetTrial", GET, 0, id="curves without a window"),
        pytest.param("WatchStudy", WATCH, 0, id="streams without a window"),
    ],
)
def test_answers_that_are_not_taken_are_bounded(filled, method: str, request_: Message, window: int) -> None:
    pid, before_all = filled.process.process.pid, handled(filled, method)
    before, calls = memory_of(pid), CALLS if method != "WatchStudy" else 40
    refused = handled(filled, method, "RESOURCE_EXHAUSTED")
    ended = CONNECTIONS * calls - (48 if method == "WatchStudy" else 0)  # one caller's streams, which go on
    metadata = dict(filled.metadata("reader"))
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            opened = stack.enter_context(connection(filled.address, window, is_reading=not window))
            for _ in range(calls):
                opened.call(SERVICE + method, request_.SerializeToString(), metadata)
        works(filled, seconds=60.0)
        until(lambda: handled(filled, method) >= before_all + ended)
        assert memory_of(pid) - before < GROWTH_MIB * 2**20
        works(filled, seconds=60.0)
        assert handled(filled, method, "RESOURCE_EXHAUSTED") > refused

    until(lambda: answer_to(filled, "ListTrials", LIST) is grpc.StatusCode.OK)  # the connections are gone


def test_health_that_is_watched_and_not_read_stops_nobody(server_process) -> None:
    address = server_process.address
    asked = health_pb2.HealthCheckRequest().SerializeToString()
    with ExitStack() as stack:
        for window in (0, 5, 10, 20):
            opened = stack.enter_context(connection(address, window))
            for _ in range(30):
                opened.call("/grpc.health.v1.Health/Watch", asked, {})
        with bo_client.connect(address, patience=0.0, timeout=60.0) as client:
            (trial,) = client.create_study("s", SPACE, "loss", goal="minimize").suggest()
            assert trial.heartbeat().lease_valid
        with grpc.insecure_channel(address, OWN) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert server_process.stop() == 0


def test_a_study_that_is_too_wide_is_refused_and_told_why(target) -> None:
    values = [f"v{i}" for i in range(1000)]
    space = bo_client.SearchSpace([bo_client.CategoricalParameter(f"c{i}", values) for i in range(150)])
    with target.client(timeout=60.0) as client, pytest.raises(bo_client.BoClientError) as refused:
        client.create_study("wide", space, "loss", goal="minimize")
    for told in ("space.parameters", "150,000 columns", "'c0'", "at most 4,096", "discrete_parameter"):
        assert told in str(refused.value)


@linux
def test_a_computing_process_has_a_bound_on_its_memory(tmp_path) -> None:
    """What it can't hold costs one answer: suggestions come from elsewhere, and it is replaced."""
    with making_servers(tmp_path) as make:
        process = make("--processes", "1", "--process-memory", "512")
        process.start()
        starved(process)


def starved(process) -> None:
    server = process.process.pid
    until(lambda: limited(server))
    (computing,) = limited(server)
    with bo_client.connect(process.address, patience=0.0, timeout=60.0) as client:
        space = {f"x{i}": (0.0, 1.0) for i in range(3)}
        study = client.create_study("s", space, "loss", goal="minimize", algorithm="quasi_random")
        for _ in range(4):
            (trial,) = study.suggest()
            trial.complete({"loss": trial.parameters["x0"]})
        # Nothing more fits, and the process, which has computed nothing yet, has no memory left over from before.
        resource.prlimit(computing, resource.RLIMIT_DATA, (2**20, 512 * 2**20))
        with pytest.raises(bo_client.BoClientError) as refused:
            study.analyze(timeout=60.0)
        assert refused.value.reason == "LIMIT_EXCEEDED"
        assert study.suggest()
        until(lambda: limited(server) not in ([], [computing]))
        assert study.analyze()


def limited(server: int) -> list[int]:
    """Those of its processes that may take 512 MiB, of which one has begun."""
    return [pid for pid in processes_of(server) if data_limit(pid) == 512 * 2**20]


def data_limit(pid: int) -> int:
    """Bytes of data that a process may have at most; -1: any number."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_DATA)[1]
    except ProcessLookupError:
        return -1
