"""What a server is told when it starts."""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bo_service.core.errors import StartupError

EXAMPLES = {"--metrics": "127.0.0.1:9464", "--dashboard": "127.0.0.1:8080"}


def default_processes() -> int:
    """Two at least, so that a small study needn't wait for a large one; more than four rarely have work."""
    return min(4, max(2, os.cpu_count() or 1))


@dataclass(frozen=True)
class Address:
    """HOST:PORT; IPv6 in brackets. Raises StartupError, naming the option."""

    option: str
    text: str

    def __post_init__(self) -> None:
        port = self.text.rpartition(":")[2]
        if not (self.host and port.isascii() and port.isdigit() and int(port) < 65536):
            example = EXAMPLES.get(self.option, "127.0.0.1:50051")
            raise StartupError(f"{self.option}: is {self.text!r}; give HOST:PORT, such as {example}")

    @property
    def host(self) -> str:
        """IPv6 in brackets."""
        return self.text.rpartition(":")[0]

    @property
    def port(self) -> int:
        """From 0 to 65535."""
        return int(self.text.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class TlsFiles:
    """What calls are encrypted with, all in PEM."""

    certificate: Path
    """The server's, then those between it and its authority."""
    key: Path
    client_authority: Path | None = None
    """Whose certificates clients must show; None: clients show none."""


@dataclass(frozen=True)
class Config:
    """A server's settings, checked.

    Raises:
        StartupError: naming the option, what was given and what to do.
    """

    storage: str = field(repr=False)
    """`sqlite:///FILE`, relative to the current folder, `sqlite:////FILE`, absolute, or `postgresql://…/DATABASE`."""
    listen: str
    """HOST:PORT; port 0 takes any free one."""
    insecure: bool = False
    """Whether other machines may call although nothing is encrypted, or anybody may."""
    processes: int = field(default_factory=default_processes)
    """That compute suggestions."""
    cpu_affinity: str | None = None
    """Numbers, with commas, of the processors that the threads which answer calls keep to; None: any."""
    tls: TlsFiles | None = None
    """None: nothing is encrypted."""
    auth: str = "auto"
    """An `application.door.AuthMode`."""
    metrics: str | None = None
    """HOST:PORT; None: nothing is measured."""
    metrics_insecure: bool = False
    """Whether other machines may read the metrics, which nothing protects."""
    dashboard: str | None = None
    """HOST:PORT; None: there is none."""
    dashboard_hosts: Sequence[str] = ()
    """Further names by which browsers call it."""
    dashboard_origins: Sequence[str] = ()
    """Origins whose pages may call it."""
    drain_seconds: float = 0.0
    """From the moment that health says NOT_SERVING until no more calls are taken."""
    grace_seconds: float = 10.0
    """Then for calls in progress."""

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise StartupError(f"--processes: is {self.processes}; give 1 or more")
        if not all(number.isascii() and number.isdigit() for number in self._cpus):
            raise StartupError(
                f"--cpu-affinity: is {self.cpu_affinity!r}; give a processor's number, such as 0, or 0,1"
            )
        if not (self.is_private or self.insecure or self.tls):
            raise StartupError(
                f"--listen: {self.host} can be reached from other machines, and calls are neither encrypted nor "
                "authenticated; listen on 127.0.0.1, or give --tls-cert and --tls-key, and with --tls-client-ca or "
                "tokens (bo-service token create) say who may call; or accept all that with --insecure"
            )
        address = self.metrics_address
        if address is not None and not address.is_loopback and not self.metrics_insecure:
            raise StartupError(
                f"--metrics: {address.host} can be reached from other machines, and metrics are neither encrypted nor "
                "protected; listen on 127.0.0.1, or accept that with --metrics-insecure"
            )

        self._check_dashboard()

    def _check_dashboard(self) -> None:
        address = self.dashboard_address
        if address is not None and not (address.is_loopback or self.insecure or self.tls):
            raise StartupError(
                f"--dashboard: {address.host} can be reached from other machines, and nothing would be encrypted; "
                "listen on 127.0.0.1, or give --tls-cert and --tls-key, or accept that with --insecure"
            )

    @property
    def processors(self) -> frozenset[int]:
        """Of `cpu_affinity`."""
        return frozenset(map(int, self._cpus))

    @property
    def _cpus(self) -> list[str]:
        return self.cpu_affinity.split(",") if self.cpu_affinity else []

    @property
    def address(self) -> Address:
        return Address("--listen", self.listen)

    @property
    def metrics_address(self) -> Address | None:
        return None if self.metrics is None else Address("--metrics", self.metrics)

    @property
    def dashboard_address(self) -> Address | None:
        return None if self.dashboard is None else Address("--dashboard", self.dashboard)

    @property
    def dashboard_options(self) -> list[str]:
        """Those of `bo dashboard`. Beside client certificates it insists on tokens: browsers are asked for none."""
        address = self.dashboard_address
        assert address is not None
        found = ["--listen", address.text]
        if self.tls is not None and not address.is_loopback:
            found += ["--tls-cert", str(self.tls.certificate), "--tls-key", str(self.tls.key)]
        if self.tls is not None and self.tls.client_authority is not None and not self.insecure:
            found.append("--require-tokens")
        for option, given in (("--allow-host", self.dashboard_hosts), ("--allow-origin", self.dashboard_origins)):
            found += [text for each in given for text in (option, each)]
        return [*found, "--insecure"] if self.insecure else found

    @property
    def host(self) -> str:
        """As in the address; IPv6 in brackets."""
        return self.address.host

    @property
    def port(self) -> int:
        """From 0 to 65535."""
        return self.address.port

    @property
    def is_private(self) -> bool:
        """Whether this machine alone can call."""
        return self.address.is_loopback

    def check_door(self, is_open: bool) -> None:
        """Raises StartupError where the server would let strangers in: `is_open` says that callers need no token."""
        if is_open and not (self.is_private or self.insecure or (self.tls and self.tls.client_authority)):
            raise StartupError(
                f"--listen: {self.host} can be reached from other machines, and anybody could call; make a token "
                f'with `bo-service token create --storage "{self.storage}" --role admin`, or say with --tls-client-ca '
                "whose certificates callers must show, or let everybody in with --insecure"
            )
