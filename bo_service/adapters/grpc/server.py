"""The gRPC server: threads, limits, health, reflection, and a graceful end."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import token_service_pb2 as token_pb
from bo_api.v1 import token_service_pb2_grpc as token_rpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bo_service.adapters.grpc.admission import Admission
from bo_service.adapters.grpc.authorization import Authorization
from bo_service.adapters.grpc.interceptors import CallIdentity, ErrorsToStatus, RequestLog
from bo_service.adapters.grpc.reading import ReadableRequests
from bo_service.adapters.grpc.servicer import OptimizationServicer
from bo_service.adapters.grpc.token_servicer import TokenServicer
from bo_service.application.door import Door
from bo_service.application.services import Services
from bo_service.core.errors import StartupError
from bo_service.core.limits import MAX_MESSAGE_BYTES, MAX_WATCHES

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["OptimizationService"].full_name
TOKEN_SERVICE_NAME: str = token_pb.DESCRIPTOR.services_by_name["TokenService"].full_name
LIVENESS, READINESS, COMPUTING = "", SERVICE_NAME, f"{SERVICE_NAME}/optimizer"
"""Names that health is asked by: whether the process answers, whether calls can succeed, whether suggestions can come
from the surrogate."""

SPARE_THREADS = 4
"""For what has no lane (see `admission.py`): health's watch, and methods that there aren't."""
WAITING_THREADS = 64
"""Calls that may wait for the surrogate at once; more get a quick suggestion."""

OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second server would share the port, unnoticed
    ("grpc.max_concurrent_streams", 256),  # of one connection
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),  # a watcher whose machine has died is noticed
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients' own pings are welcome
]


class GrpcServer:
    """Listens from the moment it is made, and answers from `start` on.

    Raises:
        StartupError: the address can't be listened on.
    """

    def __init__(
        self,
        services: Services,
        door: Door,
        address: str,
        credentials: grpc.ServerCredentials | None = None,
        watchers: Sequence[grpc.ServerInterceptor] = (),
        private: str | None = None,
    ) -> None:
        """`address` is HOST:PORT; nothing is encrypted without `credentials`; `watchers` see each call; `private` is a
        further address, of a socket that others can't reach, where nothing is ever encrypted."""
        self._servicer = OptimizationServicer(services, WAITING_THREADS, MAX_WATCHES)
        self._health = health.HealthServicer()
        self._admission = Admission()
        inner = [ErrorsToStatus(), self._admission, ReadableRequests(), Authorization(door)]
        around = [CallIdentity(), *watchers, RequestLog(), *inner]
        spare = ThreadPoolExecutor(SPARE_THREADS, thread_name_prefix="grpc")
        self._server = grpc.server(spare, interceptors=around, options=OPTIONS)
        rpc.add_OptimizationServiceServicer_to_server(self._servicer, self._server)
        token_rpc.add_TokenServiceServicer_to_server(TokenServicer(services, door), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE_NAME, TOKEN_SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.port = self._listen(address, credentials)
        if private is not None:
            self._listen(private, None)

    def start(self) -> None:
        """Answers from now on."""
        self._server.start()
        self.announce(LIVENESS, True)

    def announce(self, name: str, is_serving: bool) -> None:
        """What health says from now on, but for a server that is being stopped, which isn't serving."""
        statuses = health_pb2.HealthCheckResponse
        self._health.set(name, statuses.SERVING if is_serving else statuses.NOT_SERVING)

    def stop(self, drain: float, grace: float) -> None:
        """Says that it isn't serving, goes on for `drain` seconds all the same, so that nobody new is sent here; then
        takes no new calls, ends the streams, and waits up to `grace` seconds for calls in progress."""
        self._health.enter_graceful_shutdown()
        time.sleep(drain)
        stopped = self._server.stop(grace)
        self._servicer.stop()
        stopped.wait()
        self._admission.stop()

    def _listen(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise StartupError(
                f"--listen: {address} can't be listened on: the port is in use or the address is not this "
                "machine's; stop the other program, choose another port, or port 0 for any free one"
            ) from error
