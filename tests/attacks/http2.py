"""A client of HTTP/2 that is written by hand, so that it can do what libraries don't: never take an answer."""

import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(headers: Sequence[tuple[str, str]]) -> bytes:
    """As literals that nobody indexes."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in headers)


def _string(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, length = len(raw) - 127, b"\x7f"
    while rest >= 128:
        length, rest = length + bytes([rest % 128 | 128]), rest // 128
    return length + bytes([rest]) + raw


class Connection:
    """Calls whose answers get a window of `window` bytes. It answers pings, so that it looks alive."""

    def __init__(self, address: str, window: int = 0, is_reading: bool = True) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._guard = threading.Lock()
        self._next = 1
        self.ended: dict[int, int] = {}
        """Streams that ended, and how many frames of headers each had."""
        self.received = 0
        """Bytes of answers."""
        settings = struct.pack(">HI", INITIAL_WINDOW, window)
        more = struct.pack(">I", 2**31 - 1 - 65535) if window else b""
        self._send(PREFACE + frame(SETTINGS, 0, 0, settings) + (frame(WINDOW_UPDATE, 0, 0, more) if more else b""))
        self._reader = threading.Thread(target=self._read, daemon=True)
        if is_reading:
            self._reader.start()

    def call(self, path: str, message: bytes | None, metadata: Mapping[str, str]) -> int:
        """Send a call, without a message where that is None; its stream."""
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        headers += [("content-type", "application/grpc"), ("te", "trailers"), *metadata.items()]
        stream, self._next = self._next, self._next + 2
        sent = b""
        if message is not None:
            sent = frame(DATA, END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)
        self._send(frame(HEADERS, END_HEADERS, stream, block(headers)) + sent)
        return stream

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, data: bytes) -> None:
        with self._guard:
            self._socket.sendall(data)

    def _read(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                head = self._exactly(9)
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream, payload = int.from_bytes(head[5:], "big"), self._exactly(length)
                if kind == PING and not flags & ACK:
                    self._send(frame(PING, ACK, 0, payload))
                elif kind == SETTINGS and not flags & ACK:
                    self._send(frame(SETTINGS, ACK, 0))
                elif kind == HEADERS:
                    self.ended[stream] = self.ended.get(stream, 0) + 1
                elif kind == DATA:
                    self.received += length

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._socket.recv(min(count - len(found), 65536))
            if not part:
                raise EOFError
            found += part
        return found


@contextmanager
def connection(address: str, window: int = 0, is_reading: bool = True) -> Iterator[Connection]:
    made = Connection(address, window, is_reading)
    try:
        yield made
    finally:
        made.close()
