"""The server in the caller's process, called without a socket.

`bo_client.testing` starts `InProcessService` for tests of programs that call the server. `local_service.py` has the
one behind `bo_client.local`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.context import AppContext
from bo_service.application.ports import ComputationHandle
from bo_service.application.trial_lifecycle import expire_leases
from bo_service.compute import tasks
from bo_service.domain.constraints import Configuration
from bo_service.domain.limits import MAX_WATCHES
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest
from bo_service.rpc.server import WAITING_THREADS
from bo_service.rpc.servicer import OptimizationServicer
from bo_service.rpc.status import to_status
from bo_service.rpc.token_servicer import TokenServicer
from bo_service.storage.factory import open_store


class CallRefused(Exception):
    """A call that ended with another status than OK."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status
        """With the details that a call over the wire has in its trailers."""


class CallHandler:
    """Answers calls on the thread that makes them, with the use cases and the codec of the real server.

    Callers are administrators, as they could open the database themselves. Threads may share it.
    """

    def __init__(self, app: AppContext, authenticator: Authenticator) -> None:
        """Create a handler of an application's calls."""
        self._optimization = OptimizationServicer(app, WAITING_THREADS, MAX_WATCHES)
        self._tokens = TokenServicer(app, authenticator)

    def call(self, method: str, request: Message, timeout: float | None = None) -> Message:
        """Return the response to a unary call.

        Args:
            method: the method's bare name, such as "GetStudy".
            request: the method's request; it is left as it is.
            timeout: seconds for which the caller waits; None for no limit.

        Raises:
            CallRefused: The server refuses the call, or has no such method.
        """
        try:
            response: Message = self._handler(method)(_copied(request), _Call(timeout=timeout))
        except Exception as error:
            raise _refused(error) from error
        return response

    def stream(self, method: str, request: Message, is_active: Callable[[], bool]) -> Iterator[Message]:
        """Yield the responses to a call that streams them; `is_active` tells, about every second, whether to go on.

        Raises:
            CallRefused: The server refuses the call, or has no such method.
        """
        try:
            yield from self._handler(method)(_copied(request), _Call(is_active))
        except Exception as error:
            raise _refused(error) from error

    def stop(self) -> None:
        """End the streams."""
        self._optimization.stop()

    def _handler(self, method: str) -> Any:
        for servicer in (self._optimization, self._tokens):
            if hasattr(servicer, method):
                return getattr(servicer, method)
        raise CallRefused(Status(code=grpc.StatusCode.UNIMPLEMENTED.value[0], message=f"there is no method {method}"))


class InProcessService:
    """A server for tests: its database is empty and private, and its clock can be set ahead.

    Leases expire when a call arrives and, while a stream is open, every second, rather than on a thread in the
    background. Threads may share it.
    """

    def __init__(self) -> None:
        self._clock = _AdjustableClock()
        store = open_store("memory:")
        self._app = AppContext.of(store, self._clock, _LocalOptimizer())
        self._calls = CallHandler(self._app, Authenticator(store, self._clock, AuthMode.NONE))

    def now(self) -> datetime:
        """Return the server's time: the machine's, plus what `advance` has added."""
        return self._clock.now()

    def advance(self, seconds: float) -> None:
        """Set the server's clock ahead; leases whose time has passed expire."""
        self._clock.ahead += timedelta(seconds=seconds)
        expire_leases(self._app)

    def call(self, method: str, request: Message) -> Message:
        """Return the answer to a unary call, which takes the time that it needs: there is no deadline.

        Args:
            method: The method's bare name, such as "GetStudy".
            request: The method's request; it is left as it is.

        Raises:
            CallRefused: The server refuses the call, or has no such method.
        """
        try:
            expire_leases(self._app)
        except Exception as error:
            raise _refused(error) from error
        return self._calls.call(method, request)

    def stream(self, method: str, request: Message, is_ended: Callable[[], bool]) -> Iterator[Message]:
        """Yield the answers of a call that streams them; `is_ended` is asked about every second whether to end.

        Raises:
            CallRefused: The server refuses the call, or has no such method.
        """

        def is_active() -> bool:
            expire_leases(self._app)
            return not is_ended()

        yield from self._calls.stream(method, request, is_active)


class _AdjustableClock:
    """The machine's time plus an offset that tests set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class _Call:
    """The part of `grpc.ServicerContext` that the servicers use."""

    def __init__(self, is_active: Callable[[], bool] = lambda: True, timeout: float | None = None) -> None:
        self.is_active = is_active
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def peer_identities(self) -> None:
        return None


class _LocalOptimizer:
    """The optimizer on the caller's thread: it takes the time that it needs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        with self._lock:
            return tasks.suggest(inputs, count)

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        return quasi_random(inputs, count)

    def predict(self, inputs: OptimizerInput, configurations: Sequence[Configuration], timeout: float) -> Predictions:
        with self._lock:
            return tasks.predict(inputs, configurations)

    def predict_slice(self, inputs: OptimizerInput, request: SliceRequest, timeout: float) -> Slice:
        with self._lock:
            return tasks.predict_slice(inputs, request)

    def analyze(self, inputs: OptimizerInput, timeout: float) -> Analysis:
        with self._lock:
            return tasks.analyze(inputs)


def _copied(message: Message) -> Message:
    """Return the message as a call over the wire would deliver it."""
    return type(message).FromString(message.SerializeToString())


def _refused(error: Exception) -> CallRefused:
    return error if isinstance(error, CallRefused) else CallRefused(to_status(error))
