"""Builds a server out of its parts, and takes it apart again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

from bo_service.adapters.compute.pool import PoolOptimizer
from bo_service.adapters.grpc.server import GrpcServer
from bo_service.adapters.storage.sqlite import SqliteStore
from bo_service.adapters.ticker import Ticker
from bo_service.application.running import expire_leases, forget_old_answers, renew_every_lease
from bo_service.application.services import Services
from bo_service.config import Config

GRACE_S = 5.0
SWEEP_S = 1.0
FORGET_S = 3600.0


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@contextmanager
def running_server(config: Config) -> Iterator[int]:
    """A server that answers inside the block; yields its port.

    Raises:
        StartupError: it can't start.
    """
    with ExitStack() as stack:
        store = SqliteStore(config.path)
        stack.callback(store.close)
        optimizer = PoolOptimizer(config.processes)
        stack.callback(optimizer.close)
        services = Services(store, SystemClock(), optimizer)
        renew_every_lease(services)
        forget_old_answers(services)
        server = GrpcServer(services, config.host, config.port)
        stack.callback(server.stop, GRACE_S)
        for name, seconds, act in (("leases", SWEEP_S, expire_leases), ("answers", FORGET_S, forget_old_answers)):
            stack.callback(Ticker(name, seconds, partial(act, services)).stop)
        yield server.port
