"""Assemble a server from its parts, and shut it down."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import grpc

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.context import AppContext
from bo_service.application.health import check_storage
from bo_service.application.outages import extend_leases_after_outage
from bo_service.application.ports import Optimizer, Store
from bo_service.application.sessions import PrefetchThreads
from bo_service.application.trial_lifecycle import expire_leases, forget_old_answers
from bo_service.compute.affinity import Affinity
from bo_service.compute.pool import PoolOptimizer
from bo_service.config import Config
from bo_service.dashboard_process import DashboardProcess, PrivateSocket
from bo_service.descriptor_limit import raise_descriptor_limit
from bo_service.domain.errors import StorageUnavailable
from bo_service.optimizer.algorithms.custom import installed_algorithms
from bo_service.periodic_task import PeriodicTask
from bo_service.rpc.health import HealthMonitor
from bo_service.rpc.server import COMPUTING, READINESS, GrpcServer
from bo_service.rpc.tls import CertificateFiles
from bo_service.storage.factory import open_store
from bo_service.telemetry.config import tracing_from_environment
from bo_service.telemetry.instrument import Instrument, Instruments
from bo_service.telemetry.observed import ObservedOptimizer, ObservedStore

if TYPE_CHECKING:  # what few servers need is loaded by those alone
    from bo_service.katib.server import KatibServer
    from bo_service.telemetry.metrics import Metrics

logger = logging.getLogger("bo_service")

LEASE_CHECK_S = 1.0
FOREIGN_CHANGES_S = 0.5
RESPONSE_CLEANUP_S = 3600.0
TOKEN_RELOAD_S = 2.0
"""Seconds for which a token that was revoked through another server stays valid here."""
TOKEN_USES_S = 60.0
HYPERPARAMETER_FLUSH_S = 5.0
"""Seconds of learned hyperparameters that are lost if the server is killed."""
HEALTH_CHECK_S, HEALTH_ANNOUNCE_S = 1.0, 0.5


@contextmanager
def running_server(config: Config) -> Iterator[int]:
    """Run a server inside the block, and yield its port.

    Raises:
        StartupError: the server cannot start.
    """
    raise_descriptor_limit()
    with ExitStack() as stack:
        affinity = Affinity(config.processors)
        stack.callback(affinity.close)
        store = open_store(config.storage)
        stack.callback(store.close)
        authenticator, credentials = _authenticator(store, config), _credentials(config)
        pool = PoolOptimizer(config.processes, affinity.free, config.memory_each)
        stack.callback(pool.close)
        if installed_algorithms():
            logger.info("algorithms installed beside the server: %s", ", ".join(installed_algorithms()))
        instruments, metrics = _instruments(stack, config)
        instrument = Instruments(instruments)
        observed_store: Store = ObservedStore(store, instrument) if instruments else store
        optimizer: Optimizer = ObservedOptimizer(pool, instrument) if instruments else pool
        on_outcome = instrument.suggestions_found if instruments else None
        app = AppContext.of(observed_store, store.clock, optimizer, on_outcome)
        _run_unless_read_only(partial(extend_leases_after_outage, app), partial(forget_old_answers, app))
        private = None if config.dashboard is None else _private_socket(stack)
        observer = instrument if instruments else None
        server = GrpcServer(app, authenticator, config.listen, credentials, observer, private)
        katib = _katib_server(config, app, observer)
        if metrics is not None:
            _serve_metrics(stack, config, metrics, store, pool)
        _start_periodic_tasks(stack, app, authenticator, instrument, server)
        saving = PeriodicTask("hyperparameters", HYPERPARAMETER_FLUSH_S, app.sessions.save_hyperparameters, at_end=True)
        stack.callback(saving.stop)
        stack.callback(PrefetchThreads(app.sessions, config.processes + 1).stop)
        if store.is_shared:
            stack.callback(PeriodicTask("changes", FOREIGN_CHANGES_S, app.sessions.notice_changes).stop)
        server.start()
        stack.callback(server.stop, config.drain_seconds, config.grace_seconds)
        _watch_health(stack, app, pool, _announcing(server, metrics, katib))
        if katib is not None:
            katib.start()
            stack.callback(katib.stop, config.grace_seconds)
        if private is not None:
            with affinity.lifted():
                dashboard = stack.enter_context(DashboardProcess(private, config.dashboard_options))
            logger.info("dashboard at %s", dashboard.address)
        yield server.port


def _run_unless_read_only(*tasks: Callable[[], object]) -> None:
    """Run tasks that are repeated later anyway, so that a server with a read-only database starts without them."""
    for task in tasks:
        try:
            task()
        except StorageUnavailable as error:
            logger.warning("starting read-only: the database cannot be written: %s", error.message)
            return


def _instruments(stack: ExitStack, config: Config) -> tuple[list[Instrument], "Metrics | None"]:
    """Return the enabled instruments. Tracing is outermost, so that other log lines contain its trace id."""
    instruments: list[Instrument] = []
    tracing = tracing_from_environment()
    if tracing is not None:
        instruments.append(tracing[0])
        stack.callback(tracing[1])
    metrics = None
    if config.metrics is not None:
        from bo_service.telemetry.metrics import Metrics

        metrics = Metrics()
        instruments.append(metrics)
    return instruments, metrics


def _authenticator(store: Store, config: Config) -> Authenticator:
    """Return the authenticator.

    Raises:
        StartupError: the configuration would expose the server without authentication.
    """
    authenticator = Authenticator(store, store.clock, AuthMode(config.auth))
    config.check_authentication(authenticator.allows_anonymous)
    if not authenticator.allows_anonymous and not authenticator.has_tokens:
        logger.warning("no valid token exists, so every call will be rejected; run `bo-service token create`")
    if authenticator.allows_anonymous and config.is_dashboard_exposed:
        logger.warning(
            "the dashboard rejects every request until a token exists, as other machines can reach it; "
            "create the first token on this machine with `bo token create --role admin`"
        )
    return authenticator


def _credentials(config: Config) -> grpc.ServerCredentials | None:
    if config.tls is None:
        return None
    return CertificateFiles(config.tls.certificate, config.tls.key, config.tls.client_authority).credentials


def _private_socket(stack: ExitStack) -> str:
    socket = PrivateSocket()
    stack.callback(socket.close)
    return socket.address


def _serve_metrics(stack: ExitStack, config: Config, metrics: "Metrics", store: Store, pool: PoolOptimizer) -> None:
    from bo_service.telemetry.gauges import GaugeCollector
    from bo_service.telemetry.metrics_server import serve_metrics

    address = config.metrics_address
    assert address is not None
    metrics.registry.register(GaugeCollector(store, pool.load))
    port, stop = serve_metrics(metrics.registry, address.host, address.port)
    stack.callback(stop)
    logger.info("metrics at http://%s:%d/metrics", address.host, port)


def _start_periodic_tasks(
    stack: ExitStack, app: AppContext, authenticator: Authenticator, instrument: Instrument, server: GrpcServer
) -> None:
    """Start the periodic tasks. While no heartbeat arrives, the liveness row is not updated, as in an outage."""
    tasks: list[tuple[str, float, Callable[[], object]]] = [
        ("pulse", LEASE_CHECK_S, lambda: server.is_stalled or extend_leases_after_outage(app)),
        ("leases", LEASE_CHECK_S, lambda: instrument.leases_expired(expire_leases(app))),
        ("answers", RESPONSE_CLEANUP_S, partial(forget_old_answers, app)),
        ("tokens", TOKEN_RELOAD_S, authenticator.reload),
    ]
    for name, seconds, act in tasks:
        stack.callback(PeriodicTask(name, seconds, act).stop)
    stack.callback(PeriodicTask("token uses", TOKEN_USES_S, authenticator.note_uses, at_end=True).stop)


def _katib_server(config: Config, app: AppContext, observer: Instruments | None) -> "KatibServer | None":
    address = config.katib_address
    if address is None:
        return None
    from bo_service.katib.server import KatibServer
    from bo_service.katib.trial_status import TrialStatusWriter

    database = config.katib_db_manager
    server = KatibServer(app, address.text, config.katib_namespace, database, TrialStatusWriter.of_pod(), observer)
    logger.info("Katib's suggestion service at %s:%d", address.host, server.port)
    return server


def _announcing(
    server: GrpcServer, metrics: "Metrics | None", katib: "KatibServer | None"
) -> Callable[[str, bool], None]:
    def announce(name: str, is_serving: bool) -> None:
        server.announce(name, is_serving)
        if katib is not None and name == READINESS:
            katib.announce(is_serving)
        if metrics is not None:
            metrics.announced(name, is_serving)

    return announce


def _watch_health(
    stack: ExitStack, app: AppContext, pool: PoolOptimizer, announce: Callable[[str, bool], None]
) -> None:
    monitor = HealthMonitor(partial(check_storage, app))
    monitor.check()

    def announce_all() -> None:
        announce(READINESS, monitor.is_storage_healthy)
        announce(COMPUTING, pool.is_ready())

    announce_all()
    stack.callback(PeriodicTask("health check", HEALTH_CHECK_S, monitor.check).stop)
    stack.callback(PeriodicTask("health", HEALTH_ANNOUNCE_S, announce_all).stop)
