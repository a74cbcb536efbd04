"""What a server is told when it starts."""

import ipaddress
import os
from dataclasses import dataclass, field

from bo_service.core.errors import StartupError


def default_processes() -> int:
    """One processor is left to everything else; more than four rarely have work."""
    return min(4, max(1, (os.cpu_count() or 1) - 1))


@dataclass(frozen=True)
class Config:
    """A server's settings, checked.

    Raises:
        StartupError: naming the option, what was given and what to do.
    """

    storage: str
    """`sqlite:///FILE`, relative to the current folder, `sqlite:////FILE`, absolute, or `postgresql://…/DATABASE`."""
    listen: str
    """HOST:PORT; port 0 takes any free one."""
    insecure: bool = False
    """Whether others than this machine may be listened to although nothing is encrypted."""
    processes: int = field(default_factory=default_processes)
    """That compute suggestions."""

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise StartupError(f"--processes: is {self.processes}; give 1 or more")
        self.port  # noqa: B018 - checked at once
        if not self.insecure and not _is_loopback(self.host):
            raise StartupError(
                f"--listen: {self.host} can be reached from other machines, and calls are neither encrypted nor "
                "authenticated; listen on 127.0.0.1, or accept that with --insecure"
            )

    @property
    def host(self) -> str:
        """As in the address; IPv6 in brackets."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """From 0 to 65535."""
        text = self.listen.rpartition(":")[2]
        if not (self.host and text.isascii() and text.isdigit() and int(text) < 65536):
            raise StartupError(f"--listen: is {self.listen!r}; give HOST:PORT, such as 127.0.0.1:50051")
        return int(text)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
