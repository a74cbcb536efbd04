"""The gRPC server: threads, limits, health, reflection, and a graceful end."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bo_service.adapters.grpc.interceptors import ErrorsToStatus, RequestLog
from bo_service.adapters.grpc.reading import ReadableRequests
from bo_service.adapters.grpc.servicer import OptimizationServicer
from bo_service.application.services import Services
from bo_service.core.errors import StartupError
from bo_service.core.limits import MAX_MESSAGE_BYTES, MAX_WATCHES

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["OptimizationService"].full_name

QUICK_THREADS = 16
WAITING_THREADS = 64
"""Calls that may wait for the surrogate at once; more get a quick suggestion."""

OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second server would share the port, unnoticed
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),  # a watcher whose machine has died is noticed
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients' own pings are welcome
]


class GrpcServer:
    """Serves from the moment it is made.

    Raises:
        StartupError: the address can't be listened on.
    """

    def __init__(self, services: Services, host: str, port: int) -> None:
        self._servicer = OptimizationServicer(services, WAITING_THREADS, MAX_WATCHES)
        self._health = health.HealthServicer()
        threads = ThreadPoolExecutor(QUICK_THREADS + WAITING_THREADS + MAX_WATCHES, thread_name_prefix="grpc")
        self._server = grpc.server(
            threads, interceptors=[RequestLog(), ErrorsToStatus(), ReadableRequests()], options=OPTIONS
        )
        rpc.add_OptimizationServiceServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            self.port: int = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise StartupError(
                f"--listen: {host}:{port} can't be listened on: the port is in use or the address is not this "
                "machine's; stop the other program, choose another port, or port 0 for any free one"
            ) from error
        self._server.start()
        self._announce(health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float) -> None:
        """Takes no new calls, ends the streams, and waits up to `grace` seconds for calls in progress."""
        self._announce(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._servicer.stop()
        self._server.stop(grace).wait()

    def _announce(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for name in ("", SERVICE_NAME):
            self._health.set(name, status)
