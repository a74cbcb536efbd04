"""A network that goes wrong: a proxy that delays, stalls, cuts and half-closes the connections to a server."""

import random
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK = 16_384


@dataclass
class Pipe:
    """One direction of a connection."""

    source: socket.socket
    sink: socket.socket
    held_until: float = 0.0
    """Nothing passes before this moment."""
    is_cut: bool = False


@dataclass
class FaultProxy:
    """Listens on loopback and passes bytes on. Use it as a context; what goes wrong is for its caller to say."""

    target: tuple[str, int]
    faults: dict[str, int] = field(default_factory=dict)
    """How often each kind of fault met a connection."""

    def __enter__(self) -> "FaultProxy":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pipes: list[Pipe] = []
        self._guard = threading.Lock()
        self._is_black = False
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finished.set()
        self._thread.join()
        for pipe in self._pipes:
            pipe.source.close()
        self._listener.close()
        self._selector.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    # What goes wrong

    def stall(self, seconds: float) -> None:
        """Nothing passes on any connection for so long; all of it does afterwards."""
        with self._guard:
            self._count("stall", len(self._pipes))
            for pipe in self._pipes:
                pipe.held_until = time.monotonic() + seconds

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Nothing passes on any connection, be it new, and nobody is told; all of it does afterwards."""
        self._is_black = True
        try:
            yield
        finally:
            self._is_black = False

    def misbehave(self, rng: random.Random) -> str:
        """Does something to a connection at random; what."""
        with self._guard:
            alive = [p for p in self._pipes if not p.is_cut]
            if not alive:
                return "nothing"
            pipe = rng.choice(alive)
            kind = rng.choice(["delay", "delay", "stall", "cut", "reset", "half-close"])
            self._count(kind, 1)
            if kind in ("delay", "stall"):
                pipe.held_until = time.monotonic() + rng.uniform(0.05, 0.5 if kind == "delay" else 3.0)
            elif kind == "half-close":
                self._half_close(pipe)
            else:
                self._cut(pipe, abruptly=kind == "reset")
            return kind

    # How it passes bytes on

    def _run(self) -> None:
        while not self._finished.is_set():
            for key, _ in self._selector.select(0.01):
                with self._guard:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif not key.data.is_cut:
                        self._pass(key.data)
            time.sleep(0.001)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self.target, timeout=2)
        except OSError:  # it is down: the client is told as the system would tell it
            client.close()
            return
        for source, sink in ((client, server), (server, client)):
            source.settimeout(5)
            pipe = Pipe(source, sink)
            self._pipes.append(pipe)
            self._selector.register(source, selectors.EVENT_READ, pipe)

    def _pass(self, pipe: Pipe) -> None:
        if self._is_black or time.monotonic() < pipe.held_until:
            return
        try:
            data = pipe.source.recv(CHUNK)
            if data:
                pipe.sink.sendall(data)
            else:
                self._half_close(pipe)
        except OSError:
            self._cut(pipe, abruptly=False)

    def _half_close(self, pipe: Pipe) -> None:
        """This direction ends; the other goes on."""
        self._drop(pipe)
        try:
            pipe.sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._cut(pipe, abruptly=False)

    def _cut(self, pipe: Pipe, abruptly: bool) -> None:
        """Both directions end at once; abruptly, with a reset."""
        ends = {pipe.source, pipe.sink}
        for other in [p for p in self._pipes if p.source in ends]:
            self._drop(other)
        for end in ends:
            if abruptly:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            end.close()

    def _drop(self, pipe: Pipe) -> None:
        if not pipe.is_cut:
            pipe.is_cut = True
            self._selector.unregister(pipe.source)

    def _count(self, kind: str, times: int) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + times
