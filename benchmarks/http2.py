"""A client of HTTP/2 that does what no proper client does: it writes frames as it is told, and reads when it wants to.

Usage: `with RawConnection("127.0.0.1:50051") as raw: raw.headers(1, "/bo_api.v1.OptimizationService/GetStudy")`
"""

import socket
import struct
from collections.abc import Iterable
from types import TracebackType

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x6, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4
INITIAL_WINDOW_SIZE = 0x4
"""A setting's number."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame as it is sent (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """Return a header that is put into no table (RFC 7541, section 6.2.2)."""
    return b"\x00" + _string(name) + _string(value)


def message(data: bytes) -> bytes:
    """Return a message as gRPC frames it, uncompressed."""
    return b"\x00" + struct.pack(">I", len(data)) + data


class RawConnection:
    """A connection without encryption."""

    def __init__(self, address: str, window: int | None = None, timeout: float = 10.0) -> None:
        """Connect; `window` are the bytes of each answer that the server may send before it waits."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout)
        settings = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.socket.sendall(data)

    def headers(self, stream: int, path: str, more: Iterable[tuple[str, str]] = (), ends: bool = False) -> None:
        """Begin a call of gRPC."""
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, header_block(path, more)))

    def data(self, stream: int, payload: bytes, ends: bool = False) -> None:
        """Send a part of a stream."""
        self.send(frame(DATA, END_STREAM if ends else 0, stream, payload))

    def reset(self, stream: int) -> None:
        """Cancel a stream."""
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    def is_closed_by_server(self) -> bool:
        """Read until the server closes; False where it has not done so within the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


def header_block(path: str, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the headers of a call of gRPC, with these beside."""
    usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    return b"".join(literal(name, value) for name, value in [*usual, *more])


def _string(text: str) -> bytes:
    data = text.encode()
    return _integer(len(data)) + data


def _integer(number: int, prefix: int = 127) -> bytes:
    """RFC 7541, section 5.1."""
    if number < prefix:
        return bytes([number])
    number -= prefix
    encoded = bytearray([prefix])
    while number >= 128:
        encoded.append(number % 128 + 128)
        number //= 128
    encoded.append(number)
    return bytes(encoded)
