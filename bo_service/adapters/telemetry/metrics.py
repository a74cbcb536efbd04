"""Metrics for Prometheus, on a port of their own."""

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from bo_service.adapters.grpc.interceptors import outcome
from bo_service.adapters.telemetry.instrument import Computation
from bo_service.application.desks import Finding
from bo_service.core.errors import StartupError, StorageUnavailable

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STREAMS = ("WatchStudy",)
"""Last as long as somebody listens, which is no latency."""


class Metrics:
    """An instrument that counts and times; `registry` has what it found."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("bo_build_info", "Which bo-service this is.", ["version"], registry=registry)
        build.labels(importlib.metadata.version("bo-service")).set(1)
        self._latency = Histogram(
            "bo_rpc_duration_seconds", "Time to answer a call.", ["method"], buckets=QUICK, registry=registry
        )
        self._handled = Counter("bo_rpc_handled", "Calls, by how they ended.", ["method", "code"], registry=registry)
        self._in_flight = Gauge("bo_rpc_in_flight", "Calls being answered.", ["method"], registry=registry)
        self._computed = Histogram(
            "bo_computation_duration_seconds",
            "Time the optimizer takes, with its wait for a process. Outcome ready, too_late, quasi_random …",
            ["task", "outcome"],
            buckets=QUICK,
            registry=registry,
        )
        self._transactions = Histogram(
            "bo_storage_transaction_duration_seconds",
            "Time of a transaction, with its wait for its turn.",
            ["kind"],
            buckets=QUICK,
            registry=registry,
        )
        self._storage_errors = Counter(
            "bo_storage_errors", "Transactions in which the database failed.", ["kind"], registry=registry
        )
        self._replays = Counter(
            "bo_request_replays", "Requests that were answered as they were before.", ["method"], registry=registry
        )
        self._expiries = Counter("bo_lease_expiries", "Trials taken from silent workers.", registry=registry)
        self._found = Counter(
            "bo_prepared_suggestions",
            "Calls by how they came by the surrogate's suggestions: ready, joined, computed, too_late. Outcome stale: "
            "prepared, and never asked for.",
            ["outcome"],
            registry=registry,
        )
        for finding in Finding:
            self._found.labels(finding.value)
        self._serving = Gauge("bo_health_serving", "1 where health says SERVING.", ["service"], registry=registry)

    @contextmanager
    def call(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        began = time.perf_counter()
        with self._in_flight.labels(method).track_inprogress():
            try:
                yield
            finally:
                self._handled.labels(method, outcome(context)).inc()
                if method not in STREAMS:
                    self._latency.labels(method).observe(time.perf_counter() - began)

    @contextmanager
    def transaction(self, kind: str) -> Iterator[None]:
        with self._transactions.labels(kind).time():
            try:
                yield
            except StorageUnavailable:
                self._storage_errors.labels(kind).inc()
                raise

    @contextmanager
    def computation(self, computation: Computation) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self._computed.labels(computation.task, computation.outcome).observe(took)

    def replayed(self, method: str) -> None:
        self._replays.labels(method).inc()

    def leases_expired(self, count: int) -> None:
        self._expiries.inc(count)

    def suggestions_found(self, finding: Finding) -> None:
        self._found.labels(finding.value).inc()

    def announced(self, service: str, is_serving: bool) -> None:
        """What health says."""
        self._serving.labels(service or "server").set(is_serving)


def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> tuple[int, Callable[[], None]]:
    """Answers Prometheus over HTTP; the port, and how to end it.

    Raises:
        StartupError: the address can't be listened on.
    """
    try:
        server, thread = start_http_server(port, host.strip("[]"), registry)
    except OSError as error:
        raise StartupError(
            f"--metrics: {host}:{port} can't be listened on ({error.strerror}); choose another port, or 0 for any"
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return int(server.server_port), stop
