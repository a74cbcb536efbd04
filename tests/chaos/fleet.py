"""Many workers at once, each doing what workers and people do, at random, and keeping what they were told."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import study_pb2, trial_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tests.chaos.history import UNKNOWN_CODES, Call, Recorder, Snapshot
from tests.chaos.stories import ENDED, RUNNING

TIMEOUT_S = 5.0
PAUSE_S, RETRY_S = 0.05, 0.3
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
GIVES_UP, REPEATS, LATE = 0.05, 0.08, 0.1
"""How often a worker gives a call up after an answer was lost, sends one again that was answered, comes too late."""


@dataclass
class Town:
    """The studies that workers work on; new ones take the place of those that are done."""

    rng: random.Random
    size: int = 4
    leases: tuple[int, ...] = (1, 3)
    open: list[str] = field(default_factory=list)
    made: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def pick(self, rng: random.Random) -> str | None:
        with self.guard:
            return rng.choice(self.open) if self.open else None

    def close(self, name: str) -> None:
        with self.guard:
            if name in self.open:
                self.open.remove(name)

    def next_request(self) -> pb.CreateStudyRequest | None:
        """For another study; None while there are enough."""
        with self.guard:
            if len(self.open) >= self.size:
                return None
            self.made += 1
            number = self.made
        surrogate = number % 5 == 0
        request = pb.CreateStudyRequest(study_id=f"s{number}", request_id=f"create-{number}")
        spec = request.study.spec
        spec.space.parameters.add(name="x").float_parameter.high = 1.0
        spec.space.parameters.add(name="n").int_parameter.high = 1000
        spec.metrics.add(name="loss", goal=study_pb2.GOAL_MINIMIZE)
        spec.execution.max_attempts, spec.execution.max_trials = 3, 8 if surrogate else 40
        spec.execution.lease_duration.seconds = self.leases[number % len(self.leases)]
        if not surrogate:
            spec.suggestion.algorithm = study_pb2.ALGORITHM_QUASI_RANDOM
        return request


class Fleet:
    """`workers` threads against one address, until `finish`. What they did is in `recorder`."""

    def __init__(self, address: str, seed: int, workers: int, leases: tuple[int, ...] = (1, 3)) -> None:
        self.recorder = Recorder()
        self.town = Town(random.Random(seed), leases=leases)
        self.finished = threading.Event()
        self.faults: list[BaseException] = []
        self._address = address
        self._threads = [
            threading.Thread(
                target=self._run, args=(Worker(self, random.Random(f"{seed}/{i}"), f"w{i}"),), name=f"w{i}"
            )
            for i in range(workers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """The workers drop everything, as if they had died."""
        self.finished.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} hangs"
        if self.faults:
            raise self.faults[0]

    def at(self, address: str) -> None:
        """From now on, `channel` leads there."""
        self._address = address

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self._address, options=OPTIONS)

    @property
    def acknowledged(self) -> int:
        return self.recorder.answered

    def _run(self, worker: "Worker") -> None:
        try:
            with self.channel() as channel:
                worker.run(rpc.OptimizationServiceStub(channel))
        except BaseException as error:
            self.faults.append(error)


class Worker:
    """One worker's life."""

    def __init__(self, fleet: Fleet, rng: random.Random, name: str) -> None:
        self.fleet, self.rng, self.name = fleet, rng, name
        self.answered: list[Call] = []
        self.calls = 0
        self.stub: Any = None

    def run(self, stub: Any) -> None:
        self.stub = stub
        other: list[tuple[float, Callable[[str], None]]] = [
            (0.06, self.look), (0.03, self.stop), (0.03, self.add), (0.02, self.drop), (0.02, self.rename),
            (0.004, self.raze),
        ]  # fmt: skip
        while not self.fleet.finished.is_set():
            self.found()
            study = self.fleet.town.pick(self.rng)
            if study is None:
                time.sleep(PAUSE_S)
                continue
            self.work(study)
            for chance, act in other:
                if self.rng.random() < chance:
                    act(study)

    # What it does

    def found(self) -> None:
        """Makes a study where there are too few."""
        request = self.fleet.town.next_request()
        if request is None:
            return
        call = self.ask("CreateStudy", request, may_give_up=False)
        if call.answer is not None:
            with self.fleet.town.guard:
                self.fleet.town.open.append(call.answer.study.name)

    def work(self, study: str) -> None:
        """Takes a trial or two and runs them."""
        count = 2 if self.rng.random() < 0.1 else 1
        request = pb.SuggestTrialsRequest(parent=study, count=count, worker_id=self.name, request_id=self.new_id())
        call = self.ask("SuggestTrials", request)
        if call.answer is None:
            return
        if call.answer.shortfall in (pb.SHORTFALL_COMPLETED, pb.SHORTFALL_SPACE_EXHAUSTED):
            self.fleet.town.close(study)
        elif not call.answer.trials:
            time.sleep(PAUSE_S)
        for trial in call.answer.trials:
            self.run_trial(trial)

    def run_trial(self, trial: trial_pb2.Trial) -> None:
        for i in range(self.rng.choice((0, 1, 1, 2, 5))):
            time.sleep(self.rng.random() * 0.1)
            if self.fleet.finished.is_set() or not self.report(trial, i):
                return
        fate = self.rng.random()
        if fate < 0.1:  # it dies
            if self.rng.random() < LATE:
                time.sleep(1.0 + self.rng.random())
                self.complete(trial)
        elif fate < 0.18:
            self.fail(trial, trial_pb2.FAILURE_REASON_CRASHED)
        elif fate < 0.22:
            self.fail(trial, trial_pb2.FAILURE_REASON_DIVERGED)
        else:
            self.complete(trial)

    def report(self, trial: trial_pb2.Trial, i: int) -> bool:
        """A heartbeat, often with a measurement or a checkpoint. Whether to go on."""
        request = pb.ReportMeasurementsRequest(name=trial.name, lease_token=trial.lease.token)
        if self.rng.random() < 0.7:
            request.measurements.add(step=trial.attempt * 1000 + i, metrics={"loss": self.rng.random()})
        if self.rng.random() < 0.4:
            request.checkpoint_uri = f"at/{self.new_id()}"
        answer = self.ask("ReportMeasurements", request).answer
        return answer is not None and answer.lease_valid and not answer.should_stop

    def complete(self, trial: trial_pb2.Trial) -> None:
        request = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token, request_id=self.new_id())
        request.final_measurement.metrics["loss"] = self.rng.random()
        self.ask("CompleteTrial", request)

    def fail(self, trial: trial_pb2.Trial, reason: "trial_pb2.FailureReason") -> None:
        request = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token, request_id=self.new_id())
        request.failure.reason = reason
        self.ask("CompleteTrial", request)

    def look(self, study: str) -> None:
        self.ask("GetStudy", pb.GetStudyRequest(name=study))
        call = self.ask("ListTrials", pb.ListTrialsRequest(parent=study, page_size=1000))
        if call.answer is not None and call.answer.trials:
            self.ask("GetTrial", pb.GetTrialRequest(name=self.rng.choice(call.answer.trials).name))

    def stop(self, study: str) -> None:
        name = self.any_trial(study, (1, RUNNING))
        if name:
            self.ask("StopTrial", pb.StopTrialRequest(name=name, request_id=self.new_id()))

    def drop(self, study: str) -> None:
        name = self.any_trial(study, (1, *ENDED))
        if name:
            self.ask("DeleteTrial", pb.DeleteTrialRequest(name=name, request_id=self.new_id()))

    def add(self, study: str) -> None:
        request = pb.CreateTrialRequest(parent=study, request_id=self.new_id())
        request.trial.parameters["x"].float_value = self.rng.random()
        request.trial.parameters["n"].int_value = self.rng.randrange(1000)
        if self.rng.random() < 0.5:
            request.trial.final_measurement.metrics["loss"] = self.rng.random()
        self.ask("CreateTrial", request)

    def rename(self, study: str) -> None:
        request = pb.UpdateStudyRequest(update_mask=FieldMask(paths=["display_name"]), request_id=self.new_id())
        request.study.name, request.study.display_name = study, f"named {self.new_id()}"
        self.ask("UpdateStudy", request)

    def raze(self, study: str) -> None:
        self.fleet.town.close(study)
        self.ask("DeleteStudy", pb.DeleteStudyRequest(name=study, request_id=self.new_id()))

    def any_trial(self, study: str, states: tuple[int, ...]) -> str:
        call = self.ask("ListTrials", pb.ListTrialsRequest(parent=study, states=states))
        return self.rng.choice(call.answer.trials).name if call.answer is not None and call.answer.trials else ""

    # How it asks

    def new_id(self) -> str:
        self.calls += 1
        return f"{self.name}-{self.calls}"

    def ask(self, method: str, request: Message, may_give_up: bool = True) -> Call:
        """Sends it until it is answered or refused, or the fleet is finished; now and then gives up, or asks again."""
        call = self.fleet.recorder.begin(method, request)
        while True:
            attempt = self.send(call)
            if not attempt.is_unknown or self.fleet.finished.is_set():
                break
            if may_give_up and self.rng.random() < GIVES_UP:
                break
            time.sleep(PAUSE_S + self.rng.random() * RETRY_S)
        if getattr(request, "request_id", "") and call.answer is not None:
            self.answered.append(call)
        if self.answered and self.rng.random() < REPEATS:
            self.send(self.rng.choice(self.answered[-200:]))
        return call

    def send(self, call: Call) -> Any:
        return self.fleet.recorder.send(call, getattr(self.stub, call.method), TIMEOUT_S)


def read_all(channel: grpc.Channel, quiet_s: float) -> dict[str, Snapshot]:
    """Every study once no trial is RUNNING, or after so many seconds."""
    stub = rpc.OptimizationServiceStub(channel)
    deadline = time.monotonic() + quiet_s
    while time.monotonic() < deadline:
        studies = _studies(stub)
        if not any(study.trial_counts.running for study in studies):
            break
        time.sleep(0.25)
    return {study.name: Snapshot(study, tuple(_trials(stub, study.name))) for study in _studies(stub)}


def _studies(stub: Any) -> list[study_pb2.Study]:
    found: list[study_pb2.Study] = []
    token = ""
    while True:
        page = _patiently(stub.ListStudies, pb.ListStudiesRequest(page_size=1000, page_token=token))
        found += page.studies
        token = page.next_page_token
        if not token:
            return found


def _trials(stub: Any, study: str) -> list[trial_pb2.Trial]:
    found: list[trial_pb2.Trial] = []
    token = ""
    while True:
        request = pb.ListTrialsRequest(parent=study, page_size=100, view=pb.TRIAL_VIEW_FULL, page_token=token)
        page = _patiently(stub.ListTrials, request)
        found += page.trials
        token = page.next_page_token
        if not token:
            return found


def _patiently(stub: Callable[..., Any], request: Message) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return stub(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() not in UNKNOWN_CODES or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
