"""Prometheus metrics, served on a separate port."""

import importlib.metadata
import time
from collections.abc import Iterator
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
)

from bo_service.application.prefetch import CacheOutcome
from bo_service.domain.errors import StorageUnavailable
from bo_service.rpc.handlers import outcome
from bo_service.telemetry.instrument import Computation

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STREAMS = ("WatchStudy",)
"""Methods without a latency metric: their streams last as long as the client listens."""


class Metrics:
    """An instrument that counts and times; `registry` holds the metrics."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("bo_build_info", "Version of bo-service.", ["version"], registry=registry)
        build.labels(importlib.metadata.version("bo-service")).set(1)
        self._latency = Histogram(
            "bo_rpc_duration_seconds", "Duration of calls.", ["method"], buckets=LATENCY_BUCKETS_S, registry=registry
        )
        self._handled = Counter("bo_rpc_handled", "Calls, by status code.", ["method", "code"], registry=registry)
        self._in_flight = Gauge("bo_rpc_in_flight", "Calls in progress.", ["method"], registry=registry)
        self._computed = Histogram(
            "bo_computation_duration_seconds",
            "Duration of optimizer tasks, including the wait for a process. Outcomes: ready, too_late, quasi_random …",
            ["task", "outcome"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._transactions = Histogram(
            "bo_storage_transaction_duration_seconds",
            "Duration of transactions, including the wait for the lock.",
            ["kind"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._storage_errors = Counter(
            "bo_storage_errors",
            "Transactions that failed because the database was unavailable.",
            ["kind"],
            registry=registry,
        )
        self._replays = Counter(
            "bo_request_replays", "Repeated requests that got the stored response.", ["method"], registry=registry
        )
        self._expiries = Counter("bo_lease_expiries", "Trials whose lease expired.", registry=registry)
        self._prefetch_outcomes = Counter(
            "bo_prepared_suggestions",
            "Calls by the source of the surrogate's suggestions: ready, joined, computed, too_late. Outcome stale: "
            "prefetched but never requested.",
            ["outcome"],
            registry=registry,
        )
        for cache_outcome in CacheOutcome:
            self._prefetch_outcomes.labels(cache_outcome.value)
        self._serving = Gauge("bo_health_serving", "1 while health reports SERVING.", ["service"], registry=registry)

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

    def refused(self, method: str, code: str) -> None:
        self._handled.labels(method, code).inc()

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

    def suggestions_found(self, outcome: CacheOutcome) -> None:
        self._prefetch_outcomes.labels(outcome.value).inc()

    def announced(self, service: str, is_serving: bool) -> None:
        """Record the health status of a service."""
        self._serving.labels(service or "server").set(is_serving)
