"""Query of a server's health, for a container's health check."""

from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


@dataclass(frozen=True)
class Target:
    """The address and the TLS settings of a server."""

    address: str
    is_encrypted: bool = False
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None


def ask_health(target: Target, name: str, timeout: float) -> str:
    """Return the name of the health status, or UNREACHABLE with the reason.

    Args:
        target: the server.
        name: the service to ask for.
        timeout: seconds to wait.
    """
    with _channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=timeout)
        except grpc.RpcError as error:
            return f"UNREACHABLE: {error.code().name} {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _channel(target: Target) -> grpc.Channel:
    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if not target.is_encrypted:
        return grpc.insecure_channel(target.address, options)
    if target.server_name:
        options.append(("grpc.ssl_target_name_override", target.server_name))
    files = (target.authority, target.key, target.certificate)
    authority, key, certificate = (None if path is None else path.read_bytes() for path in files)
    return grpc.secure_channel(target.address, grpc.ssl_channel_credentials(authority, key, certificate), options)
