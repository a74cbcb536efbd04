"""A real server in this process, and what it must never do, whatever it is sent."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.context import AppContext
from bo_service.compute.pool import PoolOptimizer
from bo_service.rpc.server import SERVICE_NAME, GrpcServer
from bo_service.storage.sqlite import SqliteStore

METHODS = {m.name: m for m in pb.DESCRIPTOR.services_by_name["OptimizationService"].methods}
TIMEOUT_S = 10.0
ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
COMPUTING = {"Predict", "PredictSlice", "AnalyzeStudy"}
"""May say that the surrogate took too long."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Errors(logging.Handler):
    """What is logged as an error: every fault of the server, and every traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))


class Target:
    """Sends bytes and judges what comes back."""

    def __init__(self, channel: grpc.Channel, errors: Errors) -> None:
        self.statuses: Counter[str] = Counter()
        self.slowest: tuple[float, str] = (0.0, "")
        self.channel = channel
        self.errors = errors
        self.reason = ""
        """Why the last call was refused, as programs are told; empty where it wasn't."""
        self._calls: dict[str, Any] = {}

    def send(self, method: str, data: bytes) -> bytes | None:
        """The answer; None where it was refused, rightly.

        Raises:
            AssertionError: the server did what it must never do.
        """
        began, self.reason = time.monotonic(), ""
        try:
            answer = self._stub(method)(data, timeout=TIMEOUT_S)
            if METHODS[method].server_streaming:
                answer = _first(answer)
            self._count(method, "OK", began)
        except grpc.RpcError as error:
            self._count(method, error.code().name, began)
            self._judge(method, error)
            answer = None
        assert not self.errors.lines, self.errors.lines[0]
        return answer

    def ask(self, method: str, request: Message) -> Any:
        """The answer as a message; None where it was refused."""
        data = self.send(method, request.SerializeToString())
        return None if data is None else getattr(pb, f"{method}Response").FromString(data)

    def _count(self, method: str, status: str, began: float) -> None:
        self.statuses[status] += 1
        self.slowest = max(self.slowest, (time.monotonic() - began, method))

    def _judge(self, method: str, error: Any) -> None:
        details = _details(error)
        code = error.code()
        said = f"{method} ended as {code.name}: {error.details()}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and method in COMPUTING:
            assert "ErrorInfo" in details, f"{said}: the call hung"
            return
        assert code in ALLOWED, said
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in (error.details() or ""):
            return  # gRPC itself refuses messages that are too large, by name and number
        assert "ErrorInfo" in details, f"{said} tells programs nothing"
        self.reason = details["ErrorInfo"].reason
        if code is grpc.StatusCode.INVALID_ARGUMENT and details["ErrorInfo"].reason == "INVALID_ARGUMENT":
            assert details["BadRequest"].field_violations, f"{said} names no field"

    def _stub(self, method: str) -> Any:
        if method not in self._calls:
            make = self.channel.unary_stream if METHODS[method].server_streaming else self.channel.unary_unary
            self._calls[method] = make(f"/{SERVICE_NAME}/{method}")
        return self._calls[method]


def _first(stream: Any) -> bytes:
    try:
        return bytes(next(iter(stream)))
    finally:
        stream.cancel()


def _details(error: Any) -> dict[str, Any]:
    found = {}
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        name = detail.TypeName().rpartition(".")[2]
        message = getattr(error_details_pb2, name)()
        detail.Unpack(message)
        found[name] = message
    return found


@contextmanager
def running_target(folder: Path) -> Iterator[Target]:
    """A server over a fresh file, with one process that computes."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    store = SqliteStore(folder / "bo.db")
    optimizer = PoolOptimizer(1)
    services = AppContext.of(store, SystemClock(), optimizer)
    server = GrpcServer(services, Authenticator(store, services.clock, AuthMode.NONE), "127.0.0.1:0")
    server.start()
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    try:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            yield Target(channel, errors)
    finally:
        server.stop(drain=0.0, grace=2.0)
        optimizer.close()
        store.close()
        logging.getLogger().removeHandler(errors)
