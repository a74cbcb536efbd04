"""Builds a server out of its parts, and takes it apart again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

from bo_service.adapters.compute.pool import PoolOptimizer
from bo_service.adapters.grpc.server import GrpcServer
from bo_service.adapters.storage.opening import open_store
from bo_service.adapters.storage.postgresql import PostgresStore
from bo_service.adapters.ticker import Ticker
from bo_service.application.pulse import keep_pulse
from bo_service.application.running import expire_leases, forget_old_answers
from bo_service.application.services import Services
from bo_service.application.watching import notice_changes
from bo_service.config import Config

GRACE_S = 5.0
SWEEP_S = 1.0
NOTICE_S = 0.5
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
        store = open_store(config.storage)
        stack.callback(store.close)
        shared = store if isinstance(store, PostgresStore) else None  # by other servers, with a clock for all
        optimizer = PoolOptimizer(config.processes)
        stack.callback(optimizer.close)
        services = Services(store, shared.clock if shared else SystemClock(), optimizer)
        keep_pulse(services)
        forget_old_answers(services)
        server = GrpcServer(services, config.host, config.port)
        stack.callback(server.stop, GRACE_S)
        ticks = [
            ("pulse", SWEEP_S, keep_pulse),
            ("leases", SWEEP_S, expire_leases),
            ("answers", FORGET_S, forget_old_answers),
        ]
        if shared:
            ticks.append(("changes", NOTICE_S, notice_changes))
        for name, seconds, act in ticks:
            stack.callback(Ticker(name, seconds, partial(act, services)).stop)
        yield server.port
