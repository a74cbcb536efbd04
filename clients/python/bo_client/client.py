"""The client: one server, and the studies on it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.message import Message

from bo_client.errors import AlreadyExists, BoClientError, InvalidRequest
from bo_client.retries import new_request_id, patiently
from bo_client.security import address_from, security_from
from bo_client.settings import Acquisition, StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.tokens import Tokens
from bo_client.values import Goal, Metric, ObjectiveSpec, StudyInfo
from bo_client.wire import codec

if TYPE_CHECKING:
    from bo_client.wire.transport import Transport

R = TypeVar("R", bound=Message)

PATIENCE = 60.0
"""Seconds for which calls are tried again where nothing else is given."""
HASTE = 5.0
"""Seconds that a call of a process that is ending may take."""


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
    """A client of the server at HOST:PORT; the connection is made at the first call.

    Args:
        server: HOST:PORT; by default BO_SERVER, else 127.0.0.1:50051.
        timeout: seconds after which a call without an answer counts as unanswered.
        patience: seconds for which calls are tried again while nobody answers, as during a restart of the server or a
            stall of the network; by default 60. A call that is given a timeout of its own ends with that. Where no
            server has ever listened at the address, calls fail at once, unless patience is given.
        token: shown with each call; by default what BO_TOKEN or the file BO_TOKEN_FILE holds.
        tls: whether to encrypt; by default where `ca`, `certificate` or BO_TLS are given.
        ca: file with the authority of the server's certificate, in PEM; by default BO_CA, else those that gRPC knows.
        certificate: file with a certificate to show, in PEM, and `key` with its key; by default BO_CERT and BO_KEY.
        server_name: that the server's certificate has, where it isn't the address's host; by default BO_SERVER_NAME.
        plaintext_token: whether to send the token to another machine although nothing is encrypted.

    Raises:
        InvalidRequest: the address has no port, a file can't be read, or the token would be sent for all to read.
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
    return Client(transport, timeout, PATIENCE if patience is None else patience, patience is not None)


class Client:
    """Studies on one server. Threads may share a client."""

    def __init__(
        self,
        transport: "Transport",
        timeout: float = 30.0,
        patience: float = 60.0,
        waits_for_server: bool = True,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """
        Args:
            transport: what carries the calls.
            timeout: seconds after which a call without an answer counts as unanswered.
            patience: seconds for which calls are tried again while nobody answers.
            waits_for_server: whether patience also counts where no server has ever listened.
            wait: waits so many seconds before a call is tried again; ends the patience by returning True.
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
        """Returns the client itself, as threads may share it: copies of what holds it, such as estimators, do too."""
        return self

    def __reduce__(self) -> tuple[partial["Client"], tuple[()]]:
        """Pickles how to connect, without the token: the process that loads it shows that of BO_TOKEN or BO_TOKEN_FILE.

        Raises:
            TypeError: the transport is another than gRPC's.
        """
        from bo_client.wire.transport import GrpcTransport

        if not isinstance(self.transport, GrpcTransport):
            raise TypeError(f"a Client over a {type(self.transport).__name__} can't be pickled; give HOST:PORT instead")
        security = self.transport.security
        options = {field.name: getattr(security, field.name) for field in fields(security) if field.name != "token"}
        patience = self.patience if self.waits_for_server else None
        return partial(connect, self.transport.address, self.timeout, patience, **options), ()

    def close(self) -> None:
        """Closes the connection."""
        self.transport.close()

    def hasty(self) -> "Client":
        """The same connection for a process that is ending: calls wait a few seconds at most, and aren't repeated."""
        return Client(self.transport, min(self.timeout, HASTE), 0.0)

    def create_study(
        self,
        study_id: str,
        space: SearchSpace,
        metrics: str | Sequence[Metric],
        goal: Goal | None = None,
        *,
        max_trials: int | None = None,
        lease_duration: float | None = None,
        max_attempts: int | None = None,
        seed: int | None = None,
        algorithm: Literal["gaussian_process", "quasi_random"] | None = None,
        acquisition: Acquisition | None = None,
        per_cost: bool | None = None,
        initial_trials: int | None = None,
        beta: float | None = None,
        xi: float | None = None,
        warm_start_studies: Sequence[str | Study] | None = None,
        stopping: Literal["none", "median", "successive_halving", "curve"] | None = None,
        stopping_min_step: int | None = None,
        stopping_min_trials: int | None = None,
        stopping_reduction_factor: float | None = None,
        stopping_max_step: int | None = None,
        stopping_confidence: float | None = None,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        objective: ObjectiveSpec | None = None,
    ) -> Study:
        """Creates a study, or finds the one that has this id and the same spec.

        Args:
            study_id: 1 to 63 letters, digits, '-', '_' or '.', beginning with a letter or digit.
            space: what may be tried.
            metrics: the name of the one to optimize, with its `goal`; or Metric values, which say their own goals: one
                to three objectives, and constraints on what is measured.
            lease_duration: seconds for which a worker owns a trial after each sign of life.
            acquisition: what the surrogate is searched with, where there is one objective.
            per_cost: count improvement per second that a trial takes, so that cheap ones come first.
            warm_start_studies: earlier studies to start from, or their ids, at most 8; each counts as far as it
                ranks this one's results.
            stopping: the rule that tells unpromising trials to stop early, judging what they report at each step.
            stopping_min_step: no trial is stopped before this step; by default a tenth of `stopping_max_step`.
            stopping_min_trials: no trial is stopped before so many others can be compared with; by default 5.
            stopping_max_step: last step of a whole trial; by default the largest at which one has succeeded.
            objective: what the values depend on besides the parameters. Workers with another objective, or with other
                options, are refused. Without one, the first worker that says its own sets it.

        Raises:
            InvalidRequest: naming each field at fault.
            AlreadyExists: the id has another spec, or another objective.
        """
        settings = {
            "max_trials": max_trials,
            "lease_duration": lease_duration,
            "max_attempts": max_attempts,
            "seed": seed,
            "algorithm": algorithm,
            "acquisition": acquisition,
            "per_cost": per_cost,
            "initial_trials": initial_trials,
            "beta": beta,
            "xi": xi,
            "warm_start_studies": warm_start_studies,
            "stopping": stopping,
            "stopping_min_step": stopping_min_step,
            "stopping_min_trials": stopping_min_trials,
            "stopping_reduction_factor": stopping_reduction_factor,
            "stopping_max_step": stopping_max_step,
            "stopping_confidence": stopping_confidence,
        }
        if not isinstance(space, SearchSpace):
            example = "bo_client.SearchSpace([bo_client.FloatParameter('x', 0.0, 1.0)])"
            raise InvalidRequest.of("space", f"is a {type(space).__name__}; give a SearchSpace, such as {example}")
        given = cast(StudySettings, {name: value for name, value in settings.items() if value is not None})
        request = pb.CreateStudyRequest(study_id=study_id)
        request.study.spec.CopyFrom(codec.spec_to_wire(space, metric_list(metrics, goal), given))
        request.study.display_name = display_name
        request.study.labels.update(labels or {})
        if objective is not None:
            request.study.objective.CopyFrom(codec.objective_to_wire(objective))
        try:
            answer = self.ask(request, pb.CreateStudyResponse)
        except AlreadyExists as error:
            raise self._existing(error, study_id, codec.study_from_wire(request.study)) from None
        return Study(self, codec.study_from_wire(answer.study))

    def _existing(self, error: AlreadyExists, study_id: str, wanted: StudyInfo) -> AlreadyExists:
        """The same error, with what differs and what to do, as far as the server tells."""
        try:
            found = self.study_info(study_id)
        except BoClientError:
            return error
        parts = {"search space": (found.space, wanted.space), "metrics": (found.metrics, wanted.metrics)}
        differences = [name for name, (there, here) in parts.items() if there != here]
        there, here = dict[str, object](found.settings), dict[str, object](wanted.settings)
        given = [
            name for name in ("max_trials", *sorted({*here} - {"max_trials"})) if there.get(name) != here.get(name)
        ]
        differences += [f"{name} ({there.get(name, 'none')} there, {here.get(name, 'none')} here)" for name in given]
        if not differences:  # another objective, which the server tells
            return error
        what = f"{'other' if differences[0] == 'metrics' else 'another'} {', '.join(differences)}"
        how = f"use it as it is with client.study({study_id!r}), change settings with its update(), or choose another"
        return AlreadyExists(f"{found.name} exists with {what}; {how} id", error.reason, error.metadata)

    def study(self, study_id: str) -> Study:
        """The study of that id. Raises NotFound."""
        return Study(self, self.study_info(study_id))

    def study_info(self, study_id: str) -> StudyInfo:
        """What the server knows of the study now. Raises NotFound."""
        answer = self.ask(pb.GetStudyRequest(name=f"studies/{study_id}"), pb.GetStudyResponse)
        return codec.study_from_wire(answer.study)

    def studies(self) -> Iterator[StudyInfo]:
        """All studies, by id."""
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
        """Deletes a study with all of its trials. Raises NotFound."""
        request = pb.DeleteStudyRequest(name=f"studies/{study_id}", request_id=new_request_id())
        self.ask(request, pb.DeleteStudyResponse)

    def ask(
        self, request: Message, response: type[R], timeout: float | None = None, patience: float | None = None
    ) -> R:
        """`call`, where the answer's type names the method."""
        answer = self.call(response.__name__.removesuffix("Response"), request, timeout, patience)
        assert isinstance(answer, response)
        return answer

    def call(
        self, method: str, request: Message, timeout: float | None = None, patience: float | None = None
    ) -> Message:
        """The answer to any request of the contract, tried again with the same request id while nobody answers.

        Raises:
            BoClientError: the leaf that fits.
        """
        limit = self.timeout if timeout is None else timeout
        return patiently(
            lambda: self.transport.call(method, request, limit),
            self.patience if patience is None else patience,
            may_stall=timeout is None,
            waits_for_server=self.waits_for_server,
            wait=self._wait,
        )


def metric_list(metrics: str | Sequence[Metric], goal: Goal | None) -> list[Metric]:
    """The metrics of a study, from the name of one or from values. Raises InvalidRequest."""
    if isinstance(metrics, str):
        if goal is None:
            raise InvalidRequest.of("goal", f'is missing; is {metrics!r} to "minimize" or "maximize"?')
        return [Metric(metrics, goal)]
    if goal is not None:
        raise InvalidRequest.of("goal", "is for a single metric given by name; Metric values say their own")
    return list(metrics)
