"""The settings of the dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bo_client.errors import InvalidRequest
from bo_client.security import Security, is_local

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
PLACEHOLDER_TOKEN = "nobody"  # noqa: S105 - no secret
"""The token for the check whether users' tokens may be sent to the server."""


@dataclass(frozen=True)
class DashboardSettings:
    """The settings of a dashboard: its address, its server and its security.

    Raises:
        InvalidRequest: names the option, its value and the fix.
    """

    server: str
    """HOST:PORT of the gRPC server, or `unix:PATH`."""
    security: Security = field(default_factory=Security)
    """Security of the connection to the server. Its token is never used: each user has their own."""
    listen: str = "127.0.0.1:8080"
    """HOST:PORT to listen on; port 0 selects a free port."""
    certificate: Path | None = None
    """File with the certificate and its intermediate certificates, in PEM; None for no TLS."""
    key: Path | None = None
    insecure: bool = False
    """Whether other machines may connect without TLS."""
    require_tokens: bool = False
    """Whether to reject requests while the server requires no tokens, also on loopback."""
    hosts: Sequence[str] = ()
    """Additional host names under which browsers reach the dashboard, as behind a proxy."""
    origins: Sequence[str] = ()
    """Origins whose pages may call it, such as https://tools.example."""

    def __post_init__(self) -> None:
        port = self.listen.rpartition(":")[2]
        if not (self.host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise InvalidRequest.of("--listen", f"is {self.listen!r}; give HOST:PORT, such as 127.0.0.1:8080")
        if (self.certificate is None) != (self.key is None):
            missing = "--tls-key" if self.key is None else "--tls-cert"
            raise InvalidRequest.of(missing, "is missing; give a certificate together with its key")
        if not (self.is_private or self.insecure or self.certificate):
            raise InvalidRequest.of(
                "--listen",
                f"{self.host} can be reached from other machines without TLS; listen on 127.0.0.1, "
                "or give --tls-cert and --tls-key, or allow it with --insecure",
            )
        for origin in self.origins:
            if origin.count("/") != 2 or not origin.startswith(("http://", "https://")):
                raise InvalidRequest.of("--allow-origin", f"is {origin!r}; give one such as https://tools.example")
        replace(self.security, token=PLACEHOLDER_TOKEN).check(self.server)

    @property
    def host(self) -> str:
        """The host of `listen`; IPv6 in brackets."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of `listen`, 0 to 65535."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_private(self) -> bool:
        """Whether only this machine can connect."""
        return is_local(self.listen)

    @property
    def scheme(self) -> str:
        """`https` with TLS, else `http`."""
        return "https" if self.certificate else "http"

    @property
    def rejects_anonymous(self) -> bool:
        """Whether requests are rejected while the server requires no tokens.

        An additional host name means that other machines connect through a proxy.
        """
        return self.require_tokens or bool(self.hosts) or not self.is_private

    @property
    def known_hosts(self) -> frozenset[str] | None:
        """Accepted host names without ports; None for any, because tokens are then required."""
        if not self.is_private and not self.hosts:
            return None
        return frozenset(name.lower() for name in (*LOCAL_NAMES, self.host, *self.hosts))
