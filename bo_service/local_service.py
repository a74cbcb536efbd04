"""The server within a user's program, over a database file: what `bo_client.local` opens.

Calls run on threads of their own, so that Ctrl-C in the program never interrupts a transaction. Suggestions are
computed on one more thread, not in processes: those would import the program's main module again, which many programs
don't expect. Nothing listens until `serve` is called.
"""

import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack, suppress
from ctypes import py_object, pythonapi
from typing import Any, TypeVar

from google.protobuf.message import Message

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.context import AppContext
from bo_service.application.outages import extend_leases_after_outage
from bo_service.application.ports import ComputationHandle
from bo_service.application.trial_lifecycle import expire_leases, expire_leases_of, forget_old_answers
from bo_service.compute import tasks
from bo_service.config import Address
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import DeadlinePassed, StartupError, StorageUnavailable
from bo_service.in_process import CallHandler, CallRefused
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest
from bo_service.periodic_task import PeriodicTask
from bo_service.storage.factory import open_store

__all__ = ["CallRefused", "LocalService", "StartupError"]

T = TypeVar("T")

logger = logging.getLogger("bo_service")

LEASE_CHECK_S = 1.0
TOKEN_RELOAD_S = 2.0
HYPERPARAMETER_FLUSH_S = 5.0
FOREIGN_CHANGES_S = 0.5
GRACE_S = 5.0
"""Seconds that calls may take when the service is closed."""


class LocalService:
    """A server for the threads of this process and, after `serve`, for other programs on this machine.

    A forked process must not use it: SQLite's connections and the threads stay with the parent.
    """

    def __init__(self, storage: str, has_ended: Callable[[str], bool] = lambda _: False) -> None:
        """Open the database.

        Args:
            storage: address of the database, as `bo-service serve --storage` takes it.
            has_ended: whether the worker with an id is known to have ended; its trials are queued at once.

        Raises:
            StartupError: the database cannot be opened, or another process has it.
        """
        self.address: str | None = None
        """HOST:PORT at which other programs reach it; None until `serve`."""
        self._lock = threading.Lock()
        self._serving = ExitStack()
        self._is_stalled: Callable[[], bool] = lambda: False
        self._pending = 0
        self._changed = threading.Condition()
        with ExitStack() as stack:
            store = open_store(storage)
            stack.callback(store.close)
            self._app = app = AppContext.of(store, store.clock, ThreadOptimizer())
            self._authenticator = Authenticator(store, store.clock, AuthMode.AUTO)
            self._calls = CallHandler(app, self._authenticator)
            with suppress(StorageUnavailable):  # what is stored can still be read
                expire_leases_of(app, has_ended)
                extend_leases_after_outage(app)
                forget_old_answers(app)
            self._start_task(stack, "hyperparameters", HYPERPARAMETER_FLUSH_S, app.sessions.save_hyperparameters, True)
            self._start_task(stack, "leases", LEASE_CHECK_S, self._check_leases)
            if store.is_shared:
                self._start_task(stack, "changes", FOREIGN_CHANGES_S, app.sessions.notice_changes)
            stack.callback(self._await_calls)
            stack.callback(app.sessions.close)
            stack.callback(self._calls.stop)
            self._stack = stack.pop_all()
        _open.append(self)

    def call(self, method: str, request: Message, timeout: float | None = None) -> Message:
        """Return the response to a unary call; an interruption of this thread leaves the call running.

        Args:
            method: the method's bare name, such as "GetStudy".
            request: the request.
            timeout: seconds to wait; None for no limit.

        Raises:
            CallRefused: the server refuses the call.
            TimeoutError: there is no response in time; the call may still have its effect.
        """
        return self._run(contextvars.Context(), timeout, self._calls.call, method, request, timeout)

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """Yield the responses to a call that streams them.

        Raises:
            CallRefused: the server refuses the call.
        """
        ended = threading.Event()
        context = contextvars.Context()
        messages = self._calls.stream(method, request, lambda: not ended.is_set())
        try:
            while (message := self._run(context, None, next, messages, None)) is not None:
                yield message
        finally:
            ended.set()

    def serve(self, listen: str) -> str:
        """Listen for other programs on this machine, if it does not yet, and return HOST:PORT.

        Args:
            listen: HOST:PORT of loopback; port 0 selects a free port.

        Raises:
            StartupError: the address is invalid, in use, or reachable from other machines; or another one is served.
        """
        address = Address("listen", listen)
        if not address.is_loopback:
            raise StartupError(
                f"listen: other machines can reach {address.host}; give 127.0.0.1:PORT, or close this client and run "
                "`bo-service serve` with tokens and TLS"
            )
        with self._lock:
            if self.address is None:
                self.address = f"{address.host}:{self._listen(listen)}"
            elif address.port and listen != self.address:
                raise StartupError(f"listen: is {listen}, and this database is served at {self.address} already")
            return self.address

    def stop_serving(self) -> None:
        """Stop to listen, if it does; this process can still use the database."""
        with self._lock:
            self.address, self._is_stalled = None, lambda: False
            self._serving.close()

    def close(self) -> None:
        """Finish what is in progress and close the database."""
        if self in _open:
            _open.remove(self)
        self.stop_serving()
        self._stack.close()

    def _listen(self, listen: str) -> int:
        from bo_service.rpc.server import COMPUTING, READINESS, GrpcServer  # loaded by those who serve

        server = GrpcServer(self._app, self._authenticator, listen)
        server.start()
        self._serving.callback(server.stop, 0.0, GRACE_S)
        self._is_stalled = lambda: server.is_stalled
        self._start_task(self._serving, "tokens", TOKEN_RELOAD_S, self._authenticator.reload)
        for name in (READINESS, COMPUTING):
            server.announce(name, True)
        return server.port

    def _check_leases(self) -> None:
        if not self._is_stalled():
            extend_leases_after_outage(self._app)
        expire_leases(self._app)

    def _run(self, context: contextvars.Context, timeout: float | None, act: Callable[..., T], *arguments: object) -> T:
        """Return what `act` returns on a thread of its own, which an interruption of this one doesn't reach."""

        def answer() -> T:
            try:
                return context.run(act, *arguments)
            finally:
                with self._changed:
                    self._pending -= 1
                    self._changed.notify_all()

        with self._changed:
            self._pending += 1
        try:
            return on_thread("bo-local", answer).result(timeout)
        except FutureTimeout as error:
            raise TimeoutError(f"no response within {timeout:g} s") from error

    def _await_calls(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, GRACE_S)

    @staticmethod
    def _start_task(
        stack: ExitStack, name: str, seconds: float, act: Callable[[], object], at_end: bool = False
    ) -> None:
        stack.callback(PeriodicTask(name, seconds, act, at_end).stop)


class ThreadOptimizer:
    """An optimizer that computes in this process, one thing at a time; a caller that waits too long goes on without."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._computing = threading.Lock()

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        """Return `count` suggestions of the surrogate; None if it failed, was canceled or exceeded the timeout."""
        try:
            return self._run(timeout, lambda: None if handle.is_cancelled else tasks.suggest(inputs, count))
        except DeadlinePassed:
            return None
        except Exception:
            logger.exception("the surrogate failed on a study with %d observations", len(inputs.observations))
            return None

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        """Return `count` quasi-random suggestions, computed on this thread."""
        return quasi_random(inputs, count)

    def predict(self, inputs: OptimizerInput, configurations: Sequence[Configuration], timeout: float) -> Predictions:
        """Return the surrogate's predictions at the configurations. Raises DeadlinePassed."""
        return self._run(timeout, lambda: tasks.predict(inputs, tuple(configurations)))

    def predict_slice(self, inputs: OptimizerInput, request: SliceRequest, timeout: float) -> Slice:
        """Return the surrogate's predictions on a slice. Raises DeadlinePassed."""
        return self._run(timeout, lambda: tasks.predict_slice(inputs, request))

    def analyze(self, inputs: OptimizerInput, timeout: float) -> Analysis:
        """Return the analysis of the study. Raises DeadlinePassed."""
        return self._run(timeout, lambda: tasks.analyze(inputs))

    def _run(self, timeout: float, task: Callable[[], T]) -> T:
        """Return what a task returns, once the task before it has ended. Raises DeadlinePassed."""
        deadline = time.monotonic() + max(0.0, timeout)

        def compute() -> T:
            try:
                return task()
            finally:
                self._computing.release()

        late = DeadlinePassed("the surrogate exceeded the call's deadline; set a longer one")
        if not self._computing.acquire(timeout=max(0.0, timeout)):
            raise late
        try:
            return on_thread("bo-optimizer", compute).result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout:  # it is computed to its end, and the next task waits for that
            raise late from None


def on_thread(name: str, act: Callable[[], T]) -> "Future[T]":
    """Return the result to come of `act` on a thread of its own, which doesn't keep the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = act()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


_open: list[LocalService] = []


def _keep_inherited() -> None:
    """Keep, in a forked process, what belongs to the parent: to close its database here would harm the parent."""
    for service in _open:
        inherited: Any = py_object(service)
        pythonapi.Py_IncRef(inherited)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)
