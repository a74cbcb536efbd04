"""How many files, functions and nested calls of the server a call passes through: a ceiling for each journey.

A real server runs in this process, and every call of a function in `bo_service` is recorded on all threads, from the
moment that the request is sent until its response is there. Threads that do something on their own (periodic tasks,
prefetch) are left out, since no call waits for them; so is the process that computes suggestions. The same calls were
made once before, so that what is compiled or loaded once for all calls doesn't count.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import trial_pb2
from google.protobuf import json_format

import bo_service
from bo_service.bootstrap import running_server
from bo_service.config import Config

ROOT = str(Path(bo_service.__file__).parent)
PATIENCE_S = 280
BACKGROUND = {"periodic_task.py", "sessions.py"}
"""Files whose functions threads begin with that do something on their own."""

CEILINGS = {"SuggestTrials": (32, 170, 14), "CompleteTrial": (27, 137, 14)}
"""Files, functions, and own functions on the stack at once. Targets: (35, 160, 14) and (20, 80, 14)."""

SPEC = {
    "space": {"parameters": [{"name": "lr", "floatParameter": {"low": 1e-4, "high": 1.0, "scale": "SCALE_LOG"}}]},
    "metrics": [{"name": "loss", "goal": "GOAL_MINIMIZE"}],
}


class Trace:
    """The functions of `bo_service` that were called while it records, and how deeply they were nested."""

    def __init__(self) -> None:
        self.is_recording = False
        self.functions: set[CodeType] = set()
        self.deepest: list[str] = []
        self._thread = threading.local()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Receive an event of `sys.setprofile`."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(ROOT):
            return
        if not hasattr(self._thread, "is_background"):
            self._thread.is_background = Path(code.co_filename).name in BACKGROUND
        if self.is_recording and not self._thread.is_background:
            self.functions.add(code)
            stack = own_stack(frame)
            if len(stack) > len(self.deepest):
                self.deepest = stack

    @contextmanager
    def recording(self) -> Iterator[None]:
        self.functions.clear()
        self.deepest = []
        self.is_recording = True
        yield
        self.is_recording = False

    @property
    def files(self) -> list[str]:
        return sorted({code.co_filename.removeprefix(ROOT + "/") for code in self.functions})

    @property
    def counts(self) -> tuple[int, int, int]:
        named = [code for code in self.functions if not code.co_name.startswith("<")]
        return len(self.files), len(named), len(self.deepest)

    def __str__(self) -> str:
        """What to look at where a ceiling is passed."""
        functions = sorted(f"{c.co_filename.removeprefix(ROOT + '/')}: {c.co_qualname}" for c in self.functions)
        return "\n".join([str(self.counts), *functions, "deepest:", *self.deepest])


def own_stack(frame: FrameType | None) -> list[str]:
    """Functions of `bo_service` on the stack, the outermost first."""
    found = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(ROOT) and not frame.f_code.co_name.startswith("<"):
            found.append(f"{frame.f_code.co_filename.removeprefix(ROOT + '/')}: {frame.f_code.co_qualname}")
        frame = frame.f_back
    return found[::-1]


@pytest.fixture
def trace() -> Iterator[Trace]:
    """Profiles every thread that is started while the test runs."""
    found = Trace()
    threading.setprofile(found)
    yield found
    threading.setprofile(None)  # type: ignore[arg-type]


@pytest.fixture
def stub(trace: Trace, tmp_path: Path) -> Iterator[rpc.OptimizationServiceStub]:
    """A server in this process with a study "s" whose next suggestion is the surrogate's."""
    config = Config(f"sqlite:///{tmp_path}/bo.db", "127.0.0.1:0", processes=1)
    with running_server(config) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = rpc.OptimizationServiceStub(channel)
        spec = json_format.ParseDict({"studyId": "s", "study": {"spec": SPEC}}, pb.CreateStudyRequest())
        found.CreateStudy(spec, timeout=PATIENCE_S)
        for i in range(5):
            trial = {
                "parameters": {"lr": {"floatValue": 0.1 * (i + 1)}},
                "finalMeasurement": {"metrics": {"loss": float(i)}},
            }
            given = {"parent": "studies/s", "trial": trial}
            found.CreateTrial(json_format.ParseDict(given, pb.CreateTrialRequest()), timeout=PATIENCE_S)
        yield found


def suggest(stub: rpc.OptimizationServiceStub, count: int) -> trial_pb2.Trial:
    """Ask for trials, of which the surrogate suggests the last; return it."""
    request = pb.SuggestTrialsRequest(parent="studies/s", count=count, worker_id="w", request_id=f"suggest-{count}")
    trial: trial_pb2.Trial = stub.SuggestTrials(request, timeout=PATIENCE_S).trials[-1]
    assert trial.explanation.predictions, "the surrogate has not suggested it"
    return trial


def complete(stub: rpc.OptimizationServiceStub, trial: trial_pb2.Trial) -> None:
    name = f"complete-{trial.name}".replace("/", "-")
    request = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token, request_id=name)
    request.final_measurement.metrics["loss"] = 1.0
    stub.CompleteTrial(request, timeout=PATIENCE_S)


def test_a_call_passes_through_no_more_than_its_ceiling(stub: rpc.OptimizationServiceStub, trace: Trace) -> None:
    first = suggest(stub, 1)
    with trace.recording():
        second = suggest(stub, 2)  # more than are prefetched: the surrogate computes them while the caller waits
    check(trace, "SuggestTrials")
    complete(stub, first)
    with trace.recording():
        complete(stub, second)
    check(trace, "CompleteTrial")


def check(trace: Trace, name: str) -> None:
    print(name, trace.counts)
    assert all(n <= most for n, most in zip(trace.counts, CEILINGS[name], strict=True)), f"{name}: {trace}"
