"""The client: the connection to a server, and its studies."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.message import Message

from bo_client.definitions import SpaceLike, goal_of, metric_list, space_of
from bo_client.differences import explained_conflict, is_same_space
from bo_client.errors import AlreadyExists, BoClientError, InvalidRequest
from bo_client.models import Metric, ObjectiveSpec, StudyInfo
from bo_client.retries import call_with_retries, new_request_id
from bo_client.security import address_from, security_from
from bo_client.settings import Fidelity, StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.tokens import Tokens
from bo_client.wire import codec
from bo_client.wire.codec_plain import build_or_raise
from bo_client.wire.codec_space import space_to_wire

if TYPE_CHECKING:
    from bo_client.wire.transport import Transport

R = TypeVar("R", bound=Message)

DEFAULT_PATIENCE_S = 60.0
"""Default seconds for which calls are retried."""
MIN_ATTEMPT_S = 0.001
"""Minimum timeout of an attempt in seconds."""
PARAMETER_PATH = re.compile(r"space\.parameters\[(\d+)\](?:\.\w+_parameter\b)?")
SHUTDOWN_CALL_TIMEOUT_S = 5.0
"""Timeout of a call in seconds while the process shuts down."""


def connect(
    server: str | None = None,
    timeout: float = 30.0,
    patience: float | None = None,
    *,
    token: str | None = None,
    tls: bool | None = None,
    ca: str | Path | None = None,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    server_name: str | None = None,
    plaintext_token: bool | None = None,
) -> "Client":
    """Create a client of a server; the connection is opened at the first call.

    Args:
        server: HOST:PORT; by default BO_SERVER, else 127.0.0.1:50051.
        timeout: seconds after which a call without a response counts as unanswered.
        patience: seconds for which calls are retried while the server does not respond, as during a restart of the
            server or a network outage; by default 60. A call with its own timeout ends with that. If no server has ever
            listened at the address, calls fail immediately, unless patience is given.
        token: bearer token of each call; by default the content of BO_TOKEN or of the file BO_TOKEN_FILE.
        tls: whether to use TLS; by default if `ca`, `certificate` or BO_TLS is given.
        ca: file with the certificate authority of the server, in PEM; by default BO_CA, else gRPC's defaults.
        certificate: file with a client certificate, in PEM; by default BO_CERT.
        key: file with the key of the client certificate; by default BO_KEY.
        server_name: name in the server's certificate, if it differs from the host; by default BO_SERVER_NAME.
        plaintext_token: whether to send the token to another machine without TLS.

    Returns:
        The client.

    Raises:
        InvalidRequest: the address has no port, a file cannot be read, or the token would be sent unencrypted.
    """
    from bo_client.wire.transport import GrpcTransport  # gRPC is loaded by those who call a server

    security = security_from(
        token=token,
        tls=tls,
        ca=ca,
        certificate=certificate,
        key=key,
        server_name=server_name,
        plaintext_token=plaintext_token,
    )
    transport = GrpcTransport(address_from(server), security)
    return Client(transport, timeout, DEFAULT_PATIENCE_S if patience is None else patience, patience is not None)


class Client:
    """A client of one server. Threads may share it."""

    def __init__(
        self,
        transport: "Transport",
        timeout: float = 30.0,
        patience: float = 60.0,
        waits_for_server: bool = True,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Create a client; `connect` is the usual way.

        Args:
            transport: carries the calls.
            timeout: seconds after which a call without a response counts as unanswered.
            patience: seconds for which calls are retried while the server does not respond.
            waits_for_server: whether to retry even if no server has ever listened.
            wait: waits for a number of seconds before a retry; returns True to end the retries.
        """
        self.transport = transport
        self.timeout = timeout
        self.patience = patience
        self.waits_for_server = waits_for_server
        self._wait = wait

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, object]) -> "Client":
        """Return the client itself, as threads may share it; copies of its owners, such as estimators, share it too."""
        return self

    def __reduce__(self) -> tuple[partial["Client"], tuple[()]]:
        """Pickle the connection options without the token; the loading process uses its own BO_TOKEN or BO_TOKEN_FILE.

        Raises:
            TypeError: the transport is not gRPC's.
        """
        from bo_client.wire.transport import GrpcTransport

        if not isinstance(self.transport, GrpcTransport):
            raise TypeError(f"a Client over a {type(self.transport).__name__} can't be pickled; give HOST:PORT instead")
        security = self.transport.security
        options = {field.name: getattr(security, field.name) for field in fields(security) if field.name != "token"}
        patience = self.patience if self.waits_for_server else None
        return partial(connect, self.transport.address, self.timeout, patience, **options), ()

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def hasty(self) -> "Client":
        """Return a client for a process that shuts down: calls have a short timeout and are not retried."""
        return Client(self.transport, min(self.timeout, SHUTDOWN_CALL_TIMEOUT_S), 0.0)

    def create_study(
        self,
        study_id: str,
        space: SpaceLike,
        metrics: str | Mapping[str, str] | Sequence[Metric],
        goal: str | None = None,
        *,
        direction: str | None = None,
        max_trials: int | None = None,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        lease_duration: float | None = None,
        max_attempts: int | None = None,
        seed: int | None = None,
        algorithm: str | None = None,
        acquisition: str | None = None,
        per_cost: bool | None = None,
        initial_trials: int | None = None,
        beta: float | None = None,
        xi: float | None = None,
        grid_points: int | None = None,
        confirming_trials: int | None = None,
        warm_start_studies: Sequence[str | Study] | None = None,
        stopping: Literal["none", "median", "successive_halving", "curve"] | None = None,
        stopping_min_step: int | None = None,
        stopping_min_trials: int | None = None,
        stopping_reduction_factor: float | None = None,
        stopping_max_step: int | None = None,
        stopping_confidence: float | None = None,
        fidelity: Fidelity | None = None,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        objective: ObjectiveSpec | None = None,
    ) -> Study:
        """Create a study, or find the one with this id and the same spec.

        Settings that are None get the server's default.

        Args:
            study_id: 1 to 63 letters, digits, '-', '_' or '.', beginning with a letter or digit.
            space: what may be tried: a SearchSpace, a list of parameters, or a dict of parameters by name, each a
                parameter, (low, high), (low, high, "log"), range(low, high, step), or a list of values.
            metrics: the name of the one to optimize, with its `goal`; a dict of goals by name; or Metric values with
                their goals, which are one to three objectives, and constraints on what is measured.
            goal: "minimize" or "maximize".
            direction: the name of `goal` in Optuna.
            max_trials: number of trials; together with `max_steps` and `max_seconds`, whichever runs out first.
            max_steps: steps of the fidelity, such as epochs, that all trials together may train.
            max_seconds: seconds that all trials together may train, summed over workers.
            lease_duration: seconds for which a worker owns a trial after each heartbeat.
            max_attempts: attempts at a trial before failures of machines end it, 1 to 100; by default 3.
            seed: makes suggestions reproducible; by default it is derived from the study's id.
            algorithm: "gaussian_process", "quasi_random", "random", "grid", or the name of an algorithm that is
                installed beside the server; by default "gaussian_process".
            acquisition: "log_ei", "log_nei", "ucb", "log_pi" or "portfolio", where there is one objective; by default
                "log_ei", or "log_nei" where there is noise.
            grid_points: for "grid", how many values of each float, and of each integer that has more, are combined; by
                default 5.
            confirming_trials: how many of the last of `max_trials` repeat the configuration that is best on average,
                1 to 100, where a single run is partly luck; `recommend()` then says which to take.
            initial_trials: trials before the surrogate is used, 1 to 1000; by default as many as parameters, but 3
                to 10.
            beta: for "ucb", the exploration weight in standard deviations, at most 100; by default 2.
            xi: how far beyond the best value an improvement begins, in standard deviations, 0 to 10; by default 0.
            per_cost: count improvement per second that a trial takes, so that cheap ones come first.
            warm_start_studies: earlier studies to start from, or their ids, at most 8; each counts as far as it
                ranks this one's results.
            stopping: the rule that tells unpromising trials to stop early, judging what they report at each step.
            stopping_min_step: no trial is stopped before this step; by default a tenth of `stopping_max_step`.
            stopping_min_trials: no trial is stopped before so many others can be compared with; by default 5.
            stopping_reduction_factor: for "successive_halving", of how many trials one goes on at each rung, above 1,
                at most 100; by default 3.
            stopping_max_step: last step of a whole trial; by default the largest at which one has succeeded.
            stopping_confidence: for "curve", how sure it must be that a trial will not become the best, 0.5 to below 1;
                by default 0.95.
            fidelity: trains trials in parts, such as {"metric": "epoch", "max": 27, "min": 1}: they pause at 1, 3 and 9
                epochs, and the best third goes on. For workers that can resume; never changes.
            objective: what the values depend on besides the parameters. Workers with another objective, or with other
                options, are refused. Without one, the first worker that says its own sets it.

        Raises:
            InvalidRequest: names each invalid field.
            AlreadyExists: the id belongs to a study with another spec or objective.
        """
        settings = {
            "max_trials": max_trials,
            "max_steps": max_steps,
            "max_seconds": max_seconds,
            "lease_duration": lease_duration,
            "max_attempts": max_attempts,
            "seed": seed,
            "algorithm": algorithm,
            "acquisition": acquisition,
            "per_cost": per_cost,
            "initial_trials": initial_trials,
            "beta": beta,
            "xi": xi,
            "grid_points": grid_points,
            "confirming_trials": confirming_trials,
            "warm_start_studies": warm_start_studies,
            "stopping": stopping,
            "stopping_min_step": stopping_min_step,
            "stopping_min_trials": stopping_min_trials,
            "stopping_reduction_factor": stopping_reduction_factor,
            "stopping_max_step": stopping_max_step,
            "stopping_confidence": stopping_confidence,
            "fidelity": fidelity,
        }
        space = space_of(space)
        settings_given = cast(StudySettings, {name: value for name, value in settings.items() if value is not None})
        request = pb.CreateStudyRequest()
        build_or_raise("study_id", study_id, lambda: setattr(request, "study_id", study_id))
        build_or_raise("display_name", display_name, lambda: setattr(request.study, "display_name", display_name))
        build_or_raise("labels", labels, lambda: request.study.labels.update(labels or {}))
        request.study.spec.CopyFrom(
            codec.spec_to_wire(space, metric_list(metrics, goal_of(goal, direction)), settings_given)
        )
        if objective is not None:
            request.study.objective.CopyFrom(codec.objective_to_wire(objective))
        try:
            return Study(self, self._created(request))
        except InvalidRequest as error:
            raise _in_users_words(error, space) from None

    def _created(self, request: pb.CreateStudyRequest) -> StudyInfo:
        """Return the study that was created, or that exists with the same spec; parameters may have another order.

        Raises:
            AlreadyExists: it differs; the message says in what, and what to do, if the existing study can be read.
        """
        try:
            return codec.study_from_wire(self.ask(request, pb.CreateStudyResponse).study)
        except AlreadyExists as error:
            try:
                existing = self.study_info(request.study_id)
            except BoClientError:
                raise error from None
            requested = codec.study_from_wire(request.study)
            if existing.space == requested.space or not is_same_space(existing.space, requested.space):
                raise explained_conflict(error, existing, requested) from None
        request.study.spec.space.CopyFrom(space_to_wire(existing.space))
        return self._created(request)

    def study(self, study_id: str) -> Study:
        """Return a study by its id or its name, `studies/{id}`.

        Raises:
            NotFound: the study does not exist.
        """
        return Study(self, self.study_info(study_id))

    def study_info(self, study_id: str) -> StudyInfo:
        """Return the current information about a study.

        Raises:
            NotFound: the study does not exist.
        """
        response = self.ask(pb.GetStudyRequest(name=_study_name(study_id)), pb.GetStudyResponse)
        return codec.study_from_wire(response.study)

    def studies(self) -> Iterator[StudyInfo]:
        """Yield all studies, by id."""
        token = ""
        while True:
            page = self.ask(pb.ListStudiesRequest(page_token=token), pb.ListStudiesResponse)
            yield from (codec.study_from_wire(study) for study in page.studies)
            token = page.next_page_token
            if not token:
                return

    @property
    def tokens(self) -> Tokens:
        """The server's tokens, for administrators."""
        return Tokens(self)

    def delete_study(self, study_id: str) -> None:
        """Delete a study with all its trials.

        Raises:
            NotFound: the study does not exist.
        """
        request = pb.DeleteStudyRequest(name=_study_name(study_id), request_id=new_request_id())
        self.ask(request, pb.DeleteStudyResponse)

    def ask(
        self, request: Message, response: type[R], timeout: float | None = None, patience: float | None = None
    ) -> R:
        """Call the method that the response type names, as `call` does."""
        response_message = self.call(response.__name__.removesuffix("Response"), request, timeout, patience)
        assert isinstance(response_message, response)
        return response_message

    def call(
        self, method: str, request: Message, timeout: float | None = None, patience: float | None = None
    ) -> Message:
        """Call a method of the contract, and retry with the same request id while the server does not respond.

        If the server is overloaded and requests a delay, the call is retried after it: for `timeout` seconds if given,
        else for the client's patience.

        Args:
            method: name of the method.
            request: the request.
            timeout: seconds in total; by default the client's timeout for each attempt.
            patience: seconds for which the call is retried; by default the client's.

        Returns:
            The response.

        Raises:
            BoClientError: the subclass for the error.
        """
        limit = self.timeout if timeout is None else timeout
        patience = self.patience if patience is None else patience
        return call_with_retries(
            lambda left: self.transport.call(
                method, request, limit if left is None else min(limit, max(left, MIN_ATTEMPT_S))
            ),
            patience,
            may_stall=timeout is None,
            waits_for_server=self.waits_for_server,
            wait=self._wait,
            deadline=max(limit, patience) if timeout is None else limit,
            is_urgent=method == "ReportMeasurements",
        )


def _study_name(study_id: str) -> str:
    return f"studies/{str(study_id).removeprefix('studies/')}"


def _in_users_words(error: InvalidRequest, space: SearchSpace) -> InvalidRequest:
    """Return the error with the names of parameters in its message; its violations keep their paths in the request."""
    named = []
    for violation in error.violations:
        field = violation.field.removeprefix("study.spec.").removeprefix("study.")
        match = PARAMETER_PATH.match(field)
        if match and int(match[1]) < len(space.parameters):
            field = f"space[{space.parameters[int(match[1])].name!r}]{field[match.end() :]}"
        named.append(f"{field}: {violation.description}")
    return InvalidRequest("; ".join(named) or error.message, error.reason, error.metadata, error.violations)
