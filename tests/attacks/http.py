"""HTTP as attackers speak it: bytes on a socket."""

import re
import resource
import socket
import time
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

PATIENCE = 60.0
FILES = 4096


def address_of(site) -> tuple[str, int]:
    parts = urlsplit(site.url)
    return str(parts.hostname), int(parts.port or 0)


def connect(site, timeout: float = PATIENCE) -> socket.socket:
    return socket.create_connection(address_of(site), timeout=timeout)


def received(line: socket.socket) -> bytes:
    """What comes until the other side ends, or has nothing more to say."""
    found = b""
    with suppress(ConnectionError):
        while chunk := line.recv(65536):
            found += chunk
    return found


def answer_to(site, sent: bytes, timeout: float = PATIENCE) -> bytes:
    """All that is answered to some bytes, until the connection is closed."""
    with connect(site, timeout) as line:
        with suppress(ConnectionError):
            line.sendall(sent)
        return received(line)


def status_of(answer: bytes) -> int:
    """Zero where nothing was answered."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def request(site, method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """A whole request, after which the connection ends."""
    host = "" if any(header.lower().startswith("host:") for header in headers) else f"Host: {urlsplit(site.url).netloc}"
    lines = [f"{method} {path} HTTP/1.1", *([host] if host else []), *headers, "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def latency(site, path: str = "/data/caller") -> float:
    """Seconds that a new caller waits for an answer."""
    began = time.monotonic()
    answer = answer_to(site, request(site, "GET", path))
    assert status_of(answer) == 200, answer
    return time.monotonic() - began


@contextmanager
def silent_sockets(site, count: int, sent: bytes = b""):
    """Connections that say so much and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    lines: list[socket.socket] = []
    try:
        for _ in range(count):
            lines.append(connect(site))
            if sent:
                lines[-1].sendall(sent)
        yield lines
    finally:
        for line in lines:
            line.close()
