"""What the dashboard is told when it starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bo_client.errors import InvalidRequest
from bo_client.security import Security, is_local

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
NOBODY = "nobody"
"""Stands for the tokens of users where it is asked whether they may be sent."""


@dataclass(frozen=True)
class Settings:
    """Where it listens, whom it calls, and whom it trusts.

    Raises:
        InvalidRequest: naming the option, what was given and what to do.
    """

    server: str
    """HOST:PORT of the gRPC server, or `unix:PATH`."""
    security: Security = field(default_factory=Security)
    """How that is reached. Its token is never used: each user brings their own."""
    listen: str = "127.0.0.1:8080"
    """HOST:PORT; port 0 takes any free one."""
    certificate: Path | None = None
    """In PEM, with those between it and its authority; None: nothing is encrypted."""
    key: Path | None = None
    insecure: bool = False
    """Whether other machines may come although nothing is encrypted, or anybody may."""
    require_tokens: bool = False
    """Whether to serve nobody while the server asks for no tokens, also on loopback."""
    hosts: Sequence[str] = ()
    """Further names by which browsers call it, as behind a proxy."""
    origins: Sequence[str] = ()
    """Origins whose pages may call it, such as https://tools.example."""

    def __post_init__(self) -> None:
        port = self.listen.rpartition(":")[2]
        if not (self.host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise InvalidRequest.of("--listen", f"is {self.listen!r}; give HOST:PORT, such as 127.0.0.1:8080")
        if (self.certificate is None) != (self.key is None):
            missing = "--tls-key" if self.key is None else "--tls-cert"
            raise InvalidRequest.of(missing, "is missing; a certificate and its key are given together")
        if not (self.is_private or self.insecure or self.certificate):
            raise InvalidRequest.of(
                "--listen",
                f"{self.host} can be reached from other machines, and nothing would be encrypted; listen on 127.0.0.1, "
                "or give --tls-cert and --tls-key, or accept that with --insecure",
            )
        for origin in self.origins:
            if origin.count("/") != 2 or not origin.startswith(("http://", "https://")):
                raise InvalidRequest.of("--allow-origin", f"is {origin!r}; give one such as https://tools.example")
        replace(self.security, token=NOBODY).check(self.server)

    @property
    def host(self) -> str:
        """IPv6 in brackets."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """From 0 to 65535."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_private(self) -> bool:
        """Whether this machine alone can come."""
        return is_local(self.listen)

    @property
    def scheme(self) -> str:
        """`https` where it encrypts."""
        return "https" if self.certificate else "http"

    @property
    def needs_closed_door(self) -> bool:
        """Whether nobody is served while the server itself would let anybody in."""
        return self.require_tokens or not (self.is_private or self.insecure)

    @property
    def known_hosts(self) -> frozenset[str] | None:
        """Names by which it may be called, without ports; None: any, as tokens alone protect it."""
        if not self.is_private and not self.hosts:
            return None
        return frozenset(name.lower() for name in (*LOCAL_NAMES, self.host, *self.hosts))
