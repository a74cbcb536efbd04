"""Builds a server out of its parts, and takes it apart again."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

import grpc

from bo_service.adapters.affinity import Affinity
from bo_service.adapters.compute.pool import PoolOptimizer
from bo_service.adapters.dashboard import DashboardProcess, PrivateSocket
from bo_service.adapters.grpc.server import COMPUTING, READINESS, GrpcServer
from bo_service.adapters.grpc.tls import CertificateFiles
from bo_service.adapters.health import HealthMonitor
from bo_service.adapters.storage.opening import open_store
from bo_service.adapters.storage.postgresql import PostgresStore
from bo_service.adapters.telemetry.instrument import Instrument, Instruments
from bo_service.adapters.telemetry.levels import Levels
from bo_service.adapters.telemetry.metrics import Metrics, serve_metrics
from bo_service.adapters.telemetry.observed import ObservedCalls, ObservedOptimizer, ObservedStore
from bo_service.adapters.telemetry.wanted import tracing_from_environment
from bo_service.adapters.ticker import Ticker
from bo_service.application.door import AuthMode, Door
from bo_service.application.health import check_storage
from bo_service.application.learning import LearningOptimizer
from bo_service.application.ports import Clock, Store
from bo_service.application.preparers import Preparers
from bo_service.application.preparing import Preparations
from bo_service.application.pulse import keep_pulse
from bo_service.application.running import expire_leases, forget_old_answers
from bo_service.application.services import Services
from bo_service.application.watching import notice_changes
from bo_service.config import Config

logger = logging.getLogger("bo_service")

SWEEP_S = 1.0
NOTICE_S = 0.5
FORGET_S = 3600.0
DOOR_S = 2.0
"""A token revoked through another server is still let in for so long."""
USES_S = 60.0
LESSONS_S = 5.0
"""What was learned for so long is learned anew where the server is killed."""
CHECK_S, ANNOUNCE_S = 2.0, 0.5


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def clock_of(store: Store) -> Clock:
    """The database's, where several servers share it."""
    return store.clock if isinstance(store, PostgresStore) else SystemClock()


@contextmanager
def running_server(config: Config) -> Iterator[int]:
    """A server that answers inside the block; yields its port.

    Raises:
        StartupError: it can't start.
    """
    with ExitStack() as stack:
        affinity = Affinity(config.processors)
        stack.callback(affinity.close)
        store = open_store(config.storage)
        stack.callback(store.close)
        clock = clock_of(store)
        door, credentials = _door(store, clock, config), _credentials(config)
        pool = PoolOptimizer(config.processes, affinity.free)
        stack.callback(pool.close)
        instruments, metrics = _instruments(stack, config)
        watcher = Instruments(instruments)
        preparations = Preparations(watcher.suggestions_found)
        kept: Store = ObservedStore(store, watcher) if instruments else store
        learning = LearningOptimizer(ObservedOptimizer(pool, watcher) if instruments else pool, kept)
        services = Services(kept, clock, learning, preparations=preparations)
        keep_pulse(services)
        forget_old_answers(services)
        watchers = [ObservedCalls(watcher)] if instruments else []
        private = None if config.dashboard is None else _private_socket(stack)
        server = GrpcServer(services, door, config.listen, credentials, watchers, private)
        if metrics is not None:
            _serve_metrics(stack, config, metrics, Levels(store, pool.load))
        _keep_going(stack, services, door, watcher)
        stack.callback(Ticker("lessons", LESSONS_S, learning.save_lessons, at_end=True).stop)
        stack.callback(Preparers(services, config.processes + 1).stop)
        if isinstance(store, PostgresStore):
            stack.callback(Ticker("changes", NOTICE_S, partial(notice_changes, services)).stop)
        server.start()
        stack.callback(server.stop, config.drain_seconds, config.grace_seconds)
        _watch_health(stack, services, pool, _announcing(server, metrics))
        if private is not None:
            with affinity.lifted():
                dashboard = stack.enter_context(DashboardProcess(private, config.dashboard_options))
            logger.info("dashboard at %s", dashboard.address)
        yield server.port


def _instruments(stack: ExitStack, config: Config) -> tuple[list[Instrument], Metrics | None]:
    """Those that are asked for, traces outermost so that other lines know theirs."""
    found: list[Instrument] = []
    tracing = tracing_from_environment()
    if tracing is not None:
        found.append(tracing[0])
        stack.callback(tracing[1])
    metrics = None if config.metrics is None else Metrics()
    if metrics is not None:
        found.append(metrics)
    return found, metrics


def _door(store: Store, clock: Clock, config: Config) -> Door:
    """Raises StartupError where strangers would come in."""
    door = Door(store, clock, AuthMode(config.auth))
    config.check_door(door.is_open)
    if not door.is_open and not door.has_tokens:
        logger.warning("nobody can call: there is no token that is worth something; see bo-service token create")
    return door


def _credentials(config: Config) -> grpc.ServerCredentials | None:
    if config.tls is None:
        return None
    return CertificateFiles(config.tls.certificate, config.tls.key, config.tls.client_authority).credentials


def _private_socket(stack: ExitStack) -> str:
    socket = PrivateSocket()
    stack.callback(socket.close)
    return socket.address


def _serve_metrics(stack: ExitStack, config: Config, metrics: Metrics, levels: Levels) -> None:
    address = config.metrics_address
    assert address is not None
    metrics.registry.register(levels)
    port, stop = serve_metrics(metrics.registry, address.host, address.port)
    stack.callback(stop)
    logger.info("metrics at http://%s:%d/metrics", address.host, port)


def _keep_going(stack: ExitStack, services: Services, door: Door, instrument: Instrument) -> None:
    """What a server does on its own."""
    tasks: list[tuple[str, float, Callable[[], object]]] = [
        ("pulse", SWEEP_S, partial(keep_pulse, services)),
        ("leases", SWEEP_S, lambda: instrument.leases_expired(expire_leases(services))),
        ("answers", FORGET_S, partial(forget_old_answers, services)),
        ("tokens", DOOR_S, door.refresh),
    ]
    for name, seconds, act in tasks:
        stack.callback(Ticker(name, seconds, act).stop)
    stack.callback(Ticker("token uses", USES_S, door.note_uses, at_end=True).stop)


def _announcing(server: GrpcServer, metrics: Metrics | None) -> Callable[[str, bool], None]:
    def announce(name: str, is_serving: bool) -> None:
        server.announce(name, is_serving)
        if metrics is not None:
            metrics.announced(name, is_serving)

    return announce


def _watch_health(
    stack: ExitStack, services: Services, pool: PoolOptimizer, announce: Callable[[str, bool], None]
) -> None:
    monitor = HealthMonitor(partial(check_storage, services))
    monitor.check()

    def tell() -> None:
        announce(READINESS, monitor.storage_is_well)
        announce(COMPUTING, pool.is_ready())

    tell()
    stack.callback(Ticker("health check", CHECK_S, monitor.check).stop)
    stack.callback(Ticker("health", ANNOUNCE_S, tell).stop)
