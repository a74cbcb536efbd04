"""What callers do to a server that they want to stop, each bounded in number; for `fairness.py` and for tests.

An attack is begun with the server's address and the tokens by role, and runs until it is told to end. It goes on about
the study `attacked`, and begins a new call for each that is answered.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from bo_api.v1 import optimization_service_pb2 as pb

from benchmarks.http2 import RawConnection, message

SERVICE = "/bo_api.v1.OptimizationService/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
STUDY = "studies/attacked"
STREAMS = 200
"""Calls of one connection."""
PAUSE_S = 0.2
"""After a refusal, before the next call begins."""
Tokens = Mapping[str, str]
"""By role; empty for a server that asks for none."""
Sent = tuple[tuple[str, str], ...]
"""Metadata."""


def metadata(tokens: Tokens, role: str) -> Sent:
    """Return what is sent with each call."""
    return (("authorization", f"Bearer {tokens[role]}"),) if role in tokens else ()


@contextmanager
def channel(address: str) -> Iterator[grpc.Channel]:
    """Open a connection of its own."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as opened:
        yield opened


@contextmanager
def silent(address: str, path: str, sent: Sent, count: int = STREAMS) -> Iterator[None]:
    """Keep so many calls open that have sent their headers and nothing else; those that end are begun anew."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait()
        yield from ()

    with channel(address) as opened:
        begin: Any = opened.stream_stream(path)

        def again() -> None:
            if over.is_set():
                return
            with suppress(ValueError):  # the connection was closed
                call = begin(nothing(), timeout=600, metadata=sent)
                call.add_done_callback(later)  # which keeps the call: one that nobody keeps is cancelled

        def later(_: Any) -> None:
            if not over.is_set():
                timer = threading.Timer(PAUSE_S, again)
                timer.daemon = True
                timer.start()

        for _ in range(count):
            again()
        try:
            yield
        finally:
            over.set()


@contextmanager
def repeated(address: str, method: str, request: bytes, sent: Sent, count: int) -> Iterator[None]:
    """Keep so many calls in progress, over as many connections as they need."""
    over = threading.Event()
    opened = [
        grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(-(-count // STREAMS))
    ]

    def again(begin: Any) -> None:
        if over.is_set():
            return
        with suppress(ValueError):  # the connection was closed
            begin.future(request, timeout=600, metadata=sent).add_done_callback(lambda done: ended(done, begin))

    def ended(done: Any, begin: Any) -> None:
        if isinstance(done, grpc.Call) and done.code() is not grpc.StatusCode.OK:
            timer = threading.Timer(PAUSE_S, again, (begin,))
            timer.daemon = True
            timer.start()
        else:
            again(begin)

    begins: list[Any] = [one.unary_unary(SERVICE + method) for one in opened]
    for i in range(count):
        again(begins[i % len(begins)])
    try:
        yield
    finally:
        over.set()
        for one in opened:
            one.close()


@contextmanager
def unread(address: str, method: str, request: bytes, sent: Sent, count: int) -> Iterator[None]:
    """Ask so many times for what is never read: the server may send nothing of it."""
    with RawConnection(address, window=0) as raw:
        for i in range(count):
            raw.headers(2 * i + 1, SERVICE + method, sent)
            raw.data(2 * i + 1, message(request), ends=True)
        yield


@contextmanager
def resets(address: str, method: str, sent: Sent) -> Iterator[None]:
    """Begin calls and cancel them at once, as fast as they can be sent; a connection that is closed is opened anew."""
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            with suppress(OSError), RawConnection(address, timeout=1.0) as raw:
                raw.socket.setblocking(True)
                for i in range(100_000):
                    if over.is_set():
                        return
                    raw.headers(2 * i + 1, SERVICE + method, sent, ends=True)
                    raw.reset(2 * i + 1)
                    _drop_answers(raw)
            time.sleep(PAUSE_S)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _drop_answers(raw: RawConnection) -> None:
    with suppress(BlockingIOError):
        if not raw.socket.recv(65536, 0x40):  # MSG_DONTWAIT
            raise ConnectionError


@contextmanager
def nothing(address: str, tokens: Tokens) -> Iterator[None]:  # noqa: ARG001 - as the attacks
    """Attack not at all."""
    yield


SUGGEST = pb.SuggestTrialsRequest(parent=STUDY, worker_id="greedy", count=1).SerializeToString()
ANALYZE = pb.AnalyzeStudyRequest(name=STUDY).SerializeToString()
LIST = pb.ListTrialsRequest(parent=STUDY, page_size=1000).SerializeToString()


def create() -> bytes:
    """Return a request for a trial of the attacked study (see `fairness.py`)."""
    request = pb.CreateTrialRequest(parent=STUDY)
    for name in (f"x{i}" for i in range(6)):
        request.trial.parameters[name].float_value = 0.5
    request.trial.parameters["k"].int_value = 7
    request.trial.parameters["c"].string_value = "a"
    return request.SerializeToString()


ATTACKS: dict[str, Callable[[str, Tokens], object]] = {
    "none": nothing,
    "silent calls of strangers": lambda to, _: silent(to, f"{SERVICE}ReportMeasurements", ()),
    "silent health checks": lambda to, _: silent(to, "/grpc.health.v1.Health/Check", ()),
    "silent calls of a reader": lambda to, tokens: silent(to, f"{SERVICE}GetStudy", metadata(tokens, "reader")),
    "silent heartbeats of a worker": lambda to, tokens: silent(
        to, f"{SERVICE}ReportMeasurements", metadata(tokens, "worker")
    ),
    "AnalyzeStudy ×150": lambda to, tokens: repeated(to, "AnalyzeStudy", ANALYZE, metadata(tokens, "reader"), 150),
    "idle reflection ×150": lambda to, tokens: silent(to, REFLECTION, metadata(tokens, "reader"), 150),
    "ListTrials ×200, never read": lambda to, tokens: unread(
        to, "ListTrials", LIST, metadata(tokens, "reader"), STREAMS
    ),
    "SuggestTrials ×1000": lambda to, tokens: repeated(to, "SuggestTrials", SUGGEST, metadata(tokens, "worker"), 1000),
    "CreateTrial ×1000": lambda to, tokens: repeated(to, "CreateTrial", create(), metadata(tokens, "worker"), 1000),
    "resets of strangers": lambda to, _: resets(to, "GetStudy", ()),
    "resets of a reader": lambda to, tokens: resets(to, "GetStudy", metadata(tokens, "reader")),
}
"""By what is done."""
