"""The configuration of a server."""

import ipaddress
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bo_service.domain.errors import StartupError

EXAMPLES = {"--metrics": "127.0.0.1:9464", "--dashboard": "127.0.0.1:8080", "--katib": "127.0.0.1:6789"}
KATIB_DB_MANAGER = "katib-db-manager.kubeflow:6789"
"""Where Katib's manifests install its database."""


def default_processes() -> int:
    """Return the default number of processes, from 2 to 4.

    With two, a small study never waits for a large one; more than four rarely have work.
    """
    return min(4, max(2, os.cpu_count() or 1))


CGROUP_MEMORY_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the memory limit of a container."""
MIB = 2**20
MIN_PROCESS_MEMORY_MIB = 512
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DEFAULT_SHARE, MIN_DEFAULT_MIB = 0.5, 1024


def machine_memory() -> int:
    """Return the memory of this machine or container in bytes."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in CGROUP_MEMORY_FILES:
        with suppress(OSError, ValueError):  # ValueError: "max"
            limits.append(int(file.read_text()))
    return min(limits)


@dataclass(frozen=True)
class Address:
    """HOST:PORT of an option; IPv6 in brackets.

    Raises:
        StartupError: the text has another form; the message names the option.
    """

    option: str
    text: str

    def __post_init__(self) -> None:
        port = self.text.rpartition(":")[2]
        if not (self.host and port.isascii() and port.isdigit() and int(port) < 65536):
            example = EXAMPLES.get(self.option, "127.0.0.1:50051")
            raise StartupError(f"{self.option}: is {self.text!r}; give HOST:PORT, such as {example}")

    @property
    def host(self) -> str:
        """Host; IPv6 in brackets."""
        return self.text.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Port from 0 to 65535."""
        return int(self.text.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class TlsFiles:
    """TLS files in PEM."""

    certificate: Path
    """Certificate chain of the server."""
    key: Path
    client_authority: Path | None = None
    """Certificate authority of the clients; None if clients need no certificate."""


@dataclass(frozen=True)
class Config:
    """The validated settings of a server.

    Raises:
        StartupError: a setting is invalid; the message names the option, the value and the fix.
    """

    storage: str = field(repr=False)
    """`sqlite:///FILE` relative to the current folder, `sqlite:////FILE` absolute, or `postgresql://…/DATABASE`."""
    listen: str
    """HOST:PORT; port 0 selects a free port."""
    insecure: bool = False
    """Whether a non-loopback address is allowed without TLS or authentication."""
    processes: int = field(default_factory=default_processes)
    """Number of processes that compute suggestions."""
    process_memory: int | None = None
    """Memory limit of each process in MiB; None for its share of half of the machine's memory, at least 1024."""
    cpu_affinity: str | None = None
    """Comma-separated indices of the CPUs for the threads that answer calls; None for all CPUs."""
    tls: TlsFiles | None = None
    """None for unencrypted connections."""
    auth: str = "auto"
    """An `application.authentication.AuthMode`."""
    metrics: str | None = None
    """HOST:PORT of the Prometheus endpoint; None disables it."""
    metrics_insecure: bool = False
    """Whether the metrics may use a non-loopback address."""
    dashboard: str | None = None
    """HOST:PORT of the dashboard; None disables it."""
    log_format: str = "text"
    """`text` or `json`."""
    dashboard_hosts: Sequence[str] = ()
    """Additional host names of the dashboard."""
    dashboard_origins: Sequence[str] = ()
    """Web origins that may call the methods over HTTP."""
    katib: str | None = None
    """HOST:PORT of Katib's suggestion and early stopping services; None disables them."""
    katib_insecure: bool = False
    """Whether they may use a non-loopback address."""
    katib_db_manager: str = KATIB_DB_MANAGER
    """HOST:PORT of Katib's database, where early stopping reads learning curves."""
    katib_namespace: str = ""
    """Kubernetes namespace of Katib's experiments; part of the ids of their studies."""
    drain_seconds: float = 0.0
    """Seconds from NOT_SERVING until the server accepts no more calls."""
    grace_seconds: float = 10.0
    """Seconds that calls in progress may take after that."""

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise StartupError(f"--processes: is {self.processes}; give 1 or more")
        if self.process_memory is not None and self.process_memory < MIN_PROCESS_MEMORY_MIB:
            raise StartupError(f"--process-memory: is {self.process_memory}; give {MIN_PROCESS_MEMORY_MIB} MiB or more")
        if not all(number.isascii() and number.isdigit() for number in self._cpus):
            raise StartupError(f"--cpu-affinity: is {self.cpu_affinity!r}; give CPU indices, such as 0 or 0,1")
        if not (self.is_private or self.insecure or self.tls):
            raise StartupError(
                f"--listen: other machines can reach {self.host}, and calls are neither encrypted nor "
                "authenticated; listen on 127.0.0.1, or give --tls-cert and --tls-key with --tls-client-ca or "
                "tokens (bo-service token create), or allow it with --insecure"
            )
        address = self.metrics_address
        if address is not None and not address.is_loopback and not self.metrics_insecure:
            raise StartupError(
                f"--metrics: other machines can reach {address.host}, and metrics are neither encrypted nor "
                "authenticated; listen on 127.0.0.1, or allow it with --metrics-insecure"
            )
        katib = self.katib_address
        if katib is not None and not katib.is_loopback and not self.katib_insecure:
            raise StartupError(
                f"--katib: other machines can reach {katib.host}, and Katib's calls are neither encrypted nor "
                "authenticated; listen on 127.0.0.1, or allow it with --katib-insecure where a network policy admits "
                "Katib's controller alone"
            )
        Address("--katib-db-manager", self.katib_db_manager)
        if self.katib_namespace and not NAMESPACE.fullmatch(self.katib_namespace):
            raise StartupError(
                f"--katib-namespace: is {self.katib_namespace!r}; give the name of a Kubernetes namespace"
            )
        self._check_dashboard()

    def _check_dashboard(self) -> None:
        address = self.dashboard_address
        if address is not None and not (address.is_loopback or self.insecure or self.tls):
            raise StartupError(
                f"--dashboard: other machines can reach {address.host}, and connections are not encrypted; "
                "listen on 127.0.0.1, or give --tls-cert and --tls-key, or allow it with --insecure"
            )
        if self.is_dashboard_exposed and self.auth == "none":
            raise StartupError(
                "--auth: is none, and other machines can reach the dashboard, where anyone could create an "
                "administrator's token; omit --auth and create a token (`bo-service token create`), "
                "or let --dashboard listen on 127.0.0.1 without --dashboard-host"
            )

    @property
    def is_dashboard_exposed(self) -> bool:
        """Whether other machines can reach the dashboard.

        An additional host name implies that a proxy forwards them.
        """
        address = self.dashboard_address
        return address is not None and (not address.is_loopback or bool(self.dashboard_hosts))

    @property
    def memory_each(self) -> int:
        """Memory limit of each process in bytes."""
        if self.process_memory is not None:
            return self.process_memory * MIB
        return max(int(DEFAULT_SHARE * machine_memory() / self.processes), MIN_DEFAULT_MIB * MIB)

    @property
    def processors(self) -> frozenset[int]:
        """CPUs of `cpu_affinity`."""
        return frozenset(map(int, self._cpus))

    @property
    def _cpus(self) -> list[str]:
        return self.cpu_affinity.split(",") if self.cpu_affinity else []

    @property
    def address(self) -> Address:
        """The parsed `listen`."""
        return Address("--listen", self.listen)

    @property
    def metrics_address(self) -> Address | None:
        """The parsed `metrics`."""
        return None if self.metrics is None else Address("--metrics", self.metrics)

    @property
    def dashboard_address(self) -> Address | None:
        """The parsed `dashboard`."""
        return None if self.dashboard is None else Address("--dashboard", self.dashboard)

    @property
    def katib_address(self) -> Address | None:
        """The parsed `katib`."""
        return None if self.katib is None else Address("--katib", self.katib)

    @property
    def dashboard_options(self) -> list[str]:
        """Options of `bo dashboard`.

        With client certificates they require tokens, as browsers send no client certificate.
        """
        address = self.dashboard_address
        assert address is not None
        options = ["--listen", address.text]
        if self.tls is not None and not address.is_loopback:
            options += ["--tls-cert", str(self.tls.certificate), "--tls-key", str(self.tls.key)]
        if self.tls is not None and self.tls.client_authority is not None and not self.insecure:
            options.append("--require-tokens")
        for option, values in (("--allow-host", self.dashboard_hosts), ("--allow-origin", self.dashboard_origins)):
            options += [argument for value in values for argument in (option, value)]
        if self.log_format != "text":
            options += ["--log-format", self.log_format]
        return [*options, "--insecure"] if self.insecure else options

    @property
    def host(self) -> str:
        """Host as in the address; IPv6 in brackets."""
        return self.address.host

    @property
    def port(self) -> int:
        """From 0 to 65535."""
        return self.address.port

    @property
    def is_private(self) -> bool:
        """Whether only this machine can call the server."""
        return self.address.is_loopback

    def check_authentication(self, allows_anonymous: bool) -> None:
        """Check that anonymous callers cannot come from other machines.

        Args:
            allows_anonymous: whether callers need no token.

        Raises:
            StartupError: the server would be exposed without authentication.
        """
        if allows_anonymous and not (self.is_private or self.insecure or (self.tls and self.tls.client_authority)):
            raise StartupError(
                f"--listen: other machines can reach {self.host}, and anyone could call; create a token "
                f'with `bo-service token create --storage "{self.storage}" --role admin`, or require client '
                "certificates with --tls-client-ca, or allow it with --insecure"
            )
