"""The gRPC server that Katib calls, on a port of its own, without TLS and tokens."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.application.context import AppContext
from bo_service.domain.access import Principal, Role
from bo_service.domain.errors import StartupError
from bo_service.katib.early_stopping_servicer import EarlyStoppingServicer
from bo_service.katib.experiment import PREFIX
from bo_service.katib.servicer import SuggestionServicer
from bo_service.katib.trial_status import TrialStatusWriter
from bo_service.rpc.admission import HEALTH, AccessRule, Admission
from bo_service.rpc.handlers import CallObserver
from bo_service.rpc.server import MAX_CALLS, OPTIONS, SPARE_THREADS

SERVICES: tuple[str, ...] = tuple(
    pb.DESCRIPTOR.services_by_name[name].full_name for name in ("Suggestion", "EarlyStopping")
)
PROBED = "manager.v1beta1.Suggestion"
"""The service whose health Katib's probes ask for."""
KATIB = Principal(ANONYMOUS_ADMIN.name, Role.WORKER, (f"{PREFIX}*",))
"""Whoever calls: a worker with access to the studies of Katib's experiments alone."""
RULES = {
    **{
        f"/{service}/{method.name}": AccessRule(Role.WORKER)
        for service in SERVICES
        for method in pb.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods
    },
    **{f"{HEALTH}{method}": AccessRule(None) for method in ("Check", "List", "Watch")},
}


class _EverybodyIsKatib:
    """Authenticates every caller as Katib, which sends no token."""

    def authenticate(self, authorization: str | None) -> Principal:
        return KATIB

    def is_still_authorized(self, principal: Principal) -> bool:
        return True


class KatibServer:
    """A server that listens once it is created, and answers after `start`.

    Raises:
        StartupError: the address cannot be listened on.
    """

    def __init__(
        self,
        app: AppContext,
        address: str,
        namespace: str,
        db_manager: str,
        writer: TrialStatusWriter | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        """Create the server.

        Args:
            app: the application.
            address: HOST:PORT.
            namespace: Kubernetes namespace of the experiments; part of the ids of their studies.
            db_manager: HOST:PORT of Katib's database, where early stopping reads learning curves.
            writer: marks trials as stopped early; None outside of a cluster.
            observer: observes each call.
        """
        self._health = health.HealthServicer(experimental_non_blocking=False)
        self._admission = Admission(_EverybodyIsKatib(), observer, RULES)
        spare = ThreadPoolExecutor(SPARE_THREADS, thread_name_prefix="katib")
        around: list[grpc.ServerInterceptor] = [self._admission]
        self._server = grpc.server(spare, interceptors=around, options=OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        rpc.add_SuggestionServicer_to_server(SuggestionServicer(app, namespace), self._server)
        early_stopping = EarlyStoppingServicer(db_manager, writer)
        rpc.add_EarlyStoppingServicer_to_server(early_stopping, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = int(self._server.add_insecure_port(address))
        except RuntimeError as error:
            raise StartupError(
                f"--katib: cannot listen on {address}: the port is in use or the address is not this machine's; "
                "choose another port, or port 0 for any free one"
            ) from error

    def start(self) -> None:
        """Start to answer calls."""
        self._server.start()

    def announce(self, is_serving: bool) -> None:
        """Set the health status of all services."""
        statuses = health_pb2.HealthCheckResponse
        for name in ("", PROBED, *SERVICES):
            self._health.set(name, statuses.SERVING if is_serving else statuses.NOT_SERVING)

    def stop(self, grace: float) -> None:
        """Report NOT_SERVING and finish the calls in progress.

        Args:
            grace: seconds that they may take.
        """
        self._health.enter_graceful_shutdown()
        self._server.stop(grace).wait()
        self._admission.stop()
