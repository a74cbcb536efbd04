"""The gRPC server: threads, limits, health, reflection and graceful shutdown."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import token_service_pb2 as token_pb
from bo_api.v1 import token_service_pb2_grpc as token_rpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bo_service.application.authentication import Authenticator
from bo_service.application.context import AppContext
from bo_service.domain.errors import StartupError
from bo_service.domain.limits import MAX_MESSAGE_BYTES, MAX_WATCHES
from bo_service.rpc.admission import Admission
from bo_service.rpc.handlers import CallObserver
from bo_service.rpc.servicer import OptimizationServicer
from bo_service.rpc.token_servicer import TokenServicer

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["OptimizationService"].full_name
TOKEN_SERVICE_NAME: str = token_pb.DESCRIPTOR.services_by_name["TokenService"].full_name
LIVENESS, READINESS, COMPUTING = "", SERVICE_NAME, f"{SERVICE_NAME}/optimizer"
"""Service names for health checks: the process responds; calls can succeed; the surrogate can compute."""

SPARE_THREADS = 4
"""Threads for methods without a lane (see `admission.py`), which do not exist."""
WAITING_THREADS = 64
"""Maximum calls that wait for the surrogate; further ones get quasi-random suggestions."""

MAX_CALLS = 8192
"""Maximum calls including rejected ones; the lanes have their own, lower limits, which report when to retry."""

OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second server would share the port, unnoticed
    ("grpc.max_concurrent_streams", 256),  # of one connection
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 8 * 1024),  # else some calls with more are accepted, by chance
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 60_000),  # without a call; clients connect again where they need to
    ("grpc.max_connection_age_ms", 12 * 3_600_000),
    ("grpc.max_connection_age_grace_ms", 10 * 60_000),  # watches then end, and go on over a new connection
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),  # a watcher whose machine has died is noticed
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients' own pings are welcome
]


class GrpcServer:
    """A gRPC server that listens once it is created, and answers after `start`.

    Raises:
        StartupError: the address cannot be listened on.
    """

    def __init__(
        self,
        app: AppContext,
        authenticator: Authenticator,
        address: str,
        credentials: grpc.ServerCredentials | None = None,
        observer: CallObserver | None = None,
        private: str | None = None,
    ) -> None:
        """Create the server.

        Args:
            app: the application.
            authenticator: authenticates callers.
            address: HOST:PORT.
            credentials: TLS credentials; None for unencrypted connections.
            observer: observes each call.
            private: additional address of a private socket, always unencrypted.
        """
        self._servicer = OptimizationServicer(app, WAITING_THREADS, MAX_WATCHES)
        self._health = health.HealthServicer(experimental_non_blocking=False)  # else who doesn't read stops who tells
        self._admission = Admission(authenticator, observer)
        spare = ThreadPoolExecutor(SPARE_THREADS, thread_name_prefix="grpc")
        around: list[grpc.ServerInterceptor] = [self._admission]
        self._server = grpc.server(spare, interceptors=around, options=OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        rpc.add_OptimizationServiceServicer_to_server(self._servicer, self._server)
        token_rpc.add_TokenServiceServicer_to_server(TokenServicer(app, authenticator), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE_NAME, TOKEN_SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.port = self._listen(address, credentials)
        if private is not None:
            self._listen(private, None)

    @property
    def is_stalled(self) -> bool:
        """Whether no heartbeat is answered."""
        return self._admission.is_stalled

    def start(self) -> None:
        """Start to answer calls."""
        self._server.start()
        self.announce(LIVENESS, True)

    def announce(self, name: str, is_serving: bool) -> None:
        """Set the health status of a service. A server that is shutting down stays NOT_SERVING.

        Args:
            name: the service.
            is_serving: its status.
        """
        statuses = health_pb2.HealthCheckResponse
        self._health.set(name, statuses.SERVING if is_serving else statuses.NOT_SERVING)

    def stop(self, drain: float, grace: float) -> None:
        """Shut down gracefully: report NOT_SERVING, accept calls for a while, then end streams and finish calls.

        Args:
            drain: seconds to keep accepting calls, so that load balancers notice.
            grace: seconds that calls in progress may take after that.
        """
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
                f"--listen: cannot listen on {address}: the port is in use or the address is not this "
                "machine's; stop the other program, choose another port, or port 0 for any free one"
            ) from error
