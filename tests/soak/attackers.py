"""Attackers, one class for each kind: `strike` is one bounded round, which is repeated until the soak ends."""

import random
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from grpc_health.v1 import health_pb2

from tests.attacks.http2 import connection

SERVICE = "/bo_api.v1.OptimizationService/"
HOLD_S = 1.0
"""For how long an attacker keeps what it has opened."""


@dataclass(frozen=True)
class Ground:
    """What is attacked."""

    address: str
    """HOST:PORT of the server."""
    encrypted: str
    """The same of a server with TLS."""
    dashboard: str
    """The same of the dashboard."""
    reader: str
    """A reader's token."""
    study: str
    """A study with a page of trials."""


class Attacker(ABC):
    """One thread that attacks until it is stopped."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self.ground = ground
        self.rng = random.Random(f"{type(self).__name__}/{seed}")
        self.rounds = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)

    @abstractmethod
    def strike(self) -> None:
        """Attack once. What the server cuts off ends the round."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60)

    def hold(self) -> None:
        """Keep what is open for a while."""
        self._stopped.wait(HOLD_S)

    @property
    def token(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.ground.reader}"}

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError, EOFError, grpc.RpcError):
                self.strike()
            self.rounds += 1
            self._stopped.wait(0.2)


class SilentCalls(Attacker):
    """Headers of calls, with and without a token, whose messages never come."""

    def strike(self) -> None:
        with connection(self.ground.address) as opened:
            for method in ("ReportMeasurements", "SuggestTrials", "AnalyzeStudy", "GetStudy"):
                for metadata in ({}, self.token):
                    for _ in range(15):
                        opened.call(SERVICE + method, None, metadata)
            self.hold()


class AnswersNotTaken(Attacker):
    """Large pages over connections without a window, and over sockets that are not read."""

    def strike(self) -> None:
        ask = pb.ListTrialsRequest(parent=self.ground.study, page_size=1000).SerializeToString()
        window = self.rng.choice([0, 1, 2**31 - 1])
        with connection(self.ground.address, window, is_reading=window < 2) as opened:
            for _ in range(30):
                opened.call(f"{SERVICE}ListTrials", ask, self.token)
            self.hold()


class IdleStreams(Attacker):
    """Streams that are opened and not read: changes, health, reflection."""

    def strike(self) -> None:
        watch = pb.WatchStudyRequest(name=self.ground.study).SerializeToString()
        health = health_pb2.HealthCheckRequest().SerializeToString()
        with connection(self.ground.address, self.rng.choice([0, 10])) as opened:
            for _ in range(20):
                opened.call(f"{SERVICE}WatchStudy", watch, self.token)
                opened.call("/grpc.health.v1.Health/Watch", health, {})
                opened.call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", None, self.token)
            self.hold()


class SilentSockets(Attacker):
    """Connections that say nothing."""

    def strike(self) -> None:
        with ExitStack() as stack:
            for address in (self.ground.address, self.ground.encrypted, self.ground.dashboard):
                for _ in range(20):
                    stack.enter_context(dial(address))
            self.hold()


class FailedHandshakes(Attacker):
    """Clients that speak no TLS, break off in the middle, or trust nobody."""

    def strike(self) -> None:
        for _ in range(10):
            with dial(self.ground.encrypted) as opened:
                opened.sendall(b"\x16\x03\x01\x02\x00\x01" + self.rng.randbytes(self.rng.randrange(600)))
        with dial(self.ground.encrypted) as opened, suppress(ssl.SSLError):
            ssl.create_default_context().wrap_socket(opened, server_hostname="localhost")


class OddRequests(Attacker):
    """HTTP as no browser sends it."""

    def strike(self) -> None:
        big = "9" * 30
        odd = [
            "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
            f"GET /data/studies/s/trials?after={big} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "POST /data/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: 100000\r\n\r\n{'[' * 100_000}",
            f"POST /data/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: {big}\r\n\r\n",
            "POST /bo_api.v1.OptimizationService/GetStudy HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ÿ\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        ]
        for text in odd:
            with dial(self.ground.dashboard) as opened:
                opened.sendall(text.encode("latin-1"))
                opened.settimeout(5)
                opened.recv(1000)


class Garbage(Attacker):
    """Bytes at random, as frames, as messages and as nothing at all."""

    def strike(self) -> None:
        for address in (self.ground.address, self.ground.encrypted, self.ground.dashboard):
            with dial(address) as opened, suppress(OSError):
                opened.sendall(self.rng.randbytes(2000))
        with connection(self.ground.address, 65535) as opened:
            for method in ("GetStudy", "SuggestTrials", "PredictSlice", "NoSuchMethod"):
                for metadata in ({}, self.token, {"authorization": "Bearer bo_nothing"}):
                    opened.call(SERVICE + method, self.rng.randbytes(200), metadata)
            self.hold()


ATTACKERS = (SilentCalls, AnswersNotTaken, IdleStreams, SilentSockets, FailedHandshakes, OddRequests, Garbage)


def dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)
