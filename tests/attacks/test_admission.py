"""What is decided before work is done for a call: who may, how many, how fast, and for how long.

The attacks speak HTTP/2 themselves where gRPC's own client would be too polite. Each is bounded in number.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from benchmarks.attacks import REFLECTION, repeated, resets, unread
from benchmarks.http2 import CONTINUATION, HEADERS, PING, RawConnection, frame, header_block, message
from bo_service.domain.access import Role
from bo_service.katib.server import RULES as KATIB_RULES
from bo_service.rpc.admission import LANE_BY_METHOD, LANES, RULES
from tests.attacks.test_stalls import OWN, SERVICE, code_of, silent_calls, works

pytestmark = pytest.mark.xdist_group("attacks-admission")  # its server is started once

OPEN = {path for path, rule in RULES.items() if rule.role is None}


def begun(target, path: str, metadata=()) -> grpc.StatusCode:
    """How a call ends that sends its headers alone."""
    with silent_calls(target, path, metadata, count=1) as (call,):
        return code_of(call)


@pytest.mark.parametrize("path", sorted(set(RULES) - OPEN))
def test_every_method_refuses_strangers_from_the_headers_alone(target, path: str) -> None:
    assert begun(target, path) is grpc.StatusCode.UNAUTHENTICATED
    assert begun(target, path, [("authorization", "Bearer bo_0_0")]) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", sorted(path for path, rule in RULES.items() if rule.role is Role.ADMIN))
def test_every_method_refuses_a_lower_role_from_the_headers_alone(target, path: str) -> None:
    assert begun(target, path, target.metadata("worker")) is grpc.StatusCode.PERMISSION_DENIED


def test_health_alone_is_open() -> None:
    assert {path.split("/")[1] for path in OPEN} == {"grpc.health.v1.Health"}


def test_every_lane_is_bounded_and_known() -> None:
    assert {path.rpartition("/")[2] for path in (*RULES, *KATIB_RULES)} >= set(LANE_BY_METHOD)
    assert set(LANE_BY_METHOD.values()) <= set(LANES)
    for name, (threads, most, share) in LANES.items():
        assert threads <= most, name
        assert share <= most <= 4096, name


def test_a_method_that_there_is_not_is_refused_at_once(target) -> None:
    for path in ("/bo_api.v1.OptimizationService/Nothing", "/a/b", "/", "/bo_api.v1.TokenService/"):
        assert begun(target, path) in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED), path
    works(target)


def test_a_call_that_is_one_too_many_is_told_when_to_try_again(target) -> None:
    share = LANES["reflect"][2]
    with silent_calls(target, REFLECTION, target.metadata("reader"), share + 8) as found:
        refused = next(call for call in found if ended(call) is grpc.StatusCode.RESOURCE_EXHAUSTED)
        details = Status.FromString(dict(refused.trailing_metadata())["grpc-status-details-bin"])
        retry = RetryInfo()
        assert any(detail.Unpack(retry) for detail in details.details)
        assert retry.retry_delay.ToTimedelta().total_seconds() > 0
        works(target)


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until something holds; the test fails where it doesn't in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(call: grpc.Call, seconds: float = 0.5) -> grpc.StatusCode | None:
    """How a call has ended within so many seconds."""
    over = threading.Event()
    if not call.add_callback(over.set):
        return call.code()
    return call.code() if over.wait(seconds) else None


def test_watches_are_bounded_for_each_caller(target) -> None:
    """A thousand streams of one token: others watch all the same."""
    request = pb.WatchStudyRequest(name="studies/s").SerializeToString()
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(target.address, OWN)) for _ in range(5)]
        begin = [channel.unary_stream(f"{SERVICE}WatchStudy") for channel in channels]
        streams = [begin[i % 5](request, metadata=target.metadata("reader")) for i in range(1000)]
        stack.callback(lambda: [stream.cancel() for stream in streams])
        works(target)
        with target.client("worker") as client:
            assert next(client.study("s").watch()).revision > 0
        wait_until(lambda: sum(stream.is_active() for stream in streams) <= LANES["watch"][2])


def test_a_reader_with_many_connections_is_one_caller(target) -> None:
    share = LANES["reflect"][2]
    with ExitStack() as stack:
        found = []
        for _ in range(share * 3):
            silent = silent_calls(target, REFLECTION, target.metadata("reader"), 1)
            found += stack.enter_context(silent)
        wait_until(lambda: sum(call.is_active() for call in found) <= share)
        works(target)


@pytest.mark.parametrize("path", [f"{SERVICE}WatchStudy", REFLECTION])
def test_streams_end_with_their_token(target, path: str) -> None:
    """Idle ones too: nothing is sent on them by either side."""
    with target.client("admin") as admin, grpc.insecure_channel(target.address, OWN) as channel:
        made = admin.tokens.create(role="reader")
        sent = [("authorization", f"Bearer {made.text}")]
        over = threading.Event()
        if path == REFLECTION:
            call = channel.stream_stream(path)(iter(over.wait, True), metadata=sent)
        else:
            request = pb.WatchStudyRequest(name="studies/s").SerializeToString()
            call = channel.unary_stream(path)(request, metadata=sent)
            next(call)
        assert ended(call, 0.2) is None
        admin.tokens.revoke(made.info.id)
        assert ended(call, 15.0) is not None  # an idle stream of a caller that is let in may be open for 20 s
        over.set()


def test_resets_leave_workers_alone(target) -> None:
    """Calls that begin and are cancelled at once, as fast as they can be sent."""
    with resets(target.address, "GetStudy", target.metadata("reader")):
        works(target)
    with resets(target.address, "ReportMeasurements", []):
        works(target)


def test_a_thousand_suggestions_of_one_study_leave_others_alone(target) -> None:
    with target.client() as client:
        client.create_study(
            "attacked", bo_client.SearchSpace([bo_client.FloatParameter("x0", 0, 1)]), "loss", "minimize"
        )
    request = pb.SuggestTrialsRequest(parent="studies/attacked", worker_id="greedy").SerializeToString()
    with repeated(target.address, "SuggestTrials", request, target.metadata("worker"), 1000):
        works(target, 60.0)


def test_half_a_message_holds_no_thread(target) -> None:
    body = message(b"x" * 1000)[:500]
    with ExitStack() as stack:
        for _ in range(8):
            raw = stack.enter_context(RawConnection(target.address))
            for i in range(25):
                raw.headers(2 * i + 1, f"{SERVICE}GetStudy", target.metadata("reader"))
                raw.data(2 * i + 1, body)
        works(target)


def test_messages_that_drip_hold_no_thread(target) -> None:
    """They are longer on their way than others are ready to wait, though bytes arrive all the time."""
    over = threading.Event()
    with RawConnection(target.address) as raw:
        for i in range(50):
            raw.headers(2 * i + 1, f"{SERVICE}GetStudy", target.metadata("reader"))
            raw.data(2 * i + 1, message(b"x" * 1000)[:10])

        def drip() -> None:
            while not over.wait(0.05):
                with suppress(OSError):
                    for i in range(50):
                        raw.data(2 * i + 1, b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            works(target)
        finally:
            over.set()
            thread.join()


def test_long_headers_are_refused(target) -> None:
    with RawConnection(target.address) as raw:
        for i in range(50):
            raw.headers(2 * i + 1, f"{SERVICE}GetStudy", [(f"x-{j}", "y" * 1000) for j in range(15)])
        works(target)


def test_metadata_beyond_eight_kibibytes_are_always_refused(target) -> None:
    with grpc.insecure_channel(target.address, OWN) as channel:
        call = channel.unary_unary(f"{SERVICE}GetStudy")
        request = pb.GetStudyRequest(name="studies/s").SerializeToString()
        call(request, timeout=60, metadata=[*target.metadata("reader"), ("x-long", "y" * 7_000)])
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as refused:
                call(request, timeout=60, metadata=[*target.metadata("reader"), ("x-long", "y" * 8_200)])
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_headers_that_never_end_are_refused(target) -> None:
    with RawConnection(target.address) as raw:
        block = header_block(f"{SERVICE}GetStudy", [("x", "y" * 4000)])
        with suppress(OSError):  # where the server has closed
            raw.send(frame(HEADERS, 0, 1, block))
            for _ in range(2000):
                raw.send(frame(CONTINUATION, 0, 1, header_block("/", [("x", "y" * 4000)])))
        works(target)


def test_too_many_pings_close_the_connection(target) -> None:
    with RawConnection(target.address, timeout=60.0) as raw:
        with suppress(OSError):
            for i in range(50):
                raw.send(frame(PING, 0, 0, i.to_bytes(8)))
        assert raw.is_closed_by_server()


def test_many_silent_connections_leave_others_alone(target) -> None:
    """They don't even greet."""
    host, _, port = target.address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection((host, int(port)), 10))
        works(target)


def test_a_thousand_trials_created_leave_others_alone(target) -> None:
    with target.client() as client:
        client.create_study("filled", bo_client.SearchSpace([bo_client.FloatParameter("x0", 0, 1)]), "loss", "minimize")
    request = pb.CreateTrialRequest(parent="studies/filled")
    request.trial.parameters["x0"].float_value = 0.5
    sent = tuple(target.metadata("worker"))
    with repeated(target.address, "CreateTrial", request.SerializeToString(), sent, 1000):
        works(target, 60.0)


def test_answers_that_are_never_read_leave_others_alone(target) -> None:
    request = pb.ListTrialsRequest(parent="studies/s", page_size=1000).SerializeToString()
    with unread(target.address, "ListTrials", request, tuple(target.metadata("reader")), 200):
        works(target)
