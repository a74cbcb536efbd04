"""A stand-in for Katib's controller: it keeps the trials of an experiment and sends all of them with each call."""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import json_format
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service.application.context import AppContext
from bo_service.in_process import _LocalOptimizer
from bo_service.katib.server import KatibServer
from bo_service.katib.trial_status import TrialStatusWriter
from bo_service.storage.factory import open_store

PATIENCE_S = 280
Status = pb.TrialStatus
QUADRATIC: dict[str, Any] = {
    "name": "quadratic",
    "spec": {
        "parameterSpecs": {
            "parameters": [
                {"name": "x", "parameterType": "DOUBLE", "feasibleSpace": {"min": "-1", "max": "1"}},
                {
                    "name": "rate",
                    "parameterType": "DOUBLE",
                    "feasibleSpace": {"min": "0.001", "max": "1", "distribution": "LOG_UNIFORM"},
                },
            ]
        },
        "objective": {"type": "MINIMIZE", "objectiveMetricName": "loss", "additionalMetricNames": ["seconds"]},
        "algorithm": {
            "algorithmName": "bo-service",
            "algorithmSettings": [{"name": "algorithm", "value": "random"}, {"name": "random_state", "value": "7"}],
        },
        "parallelTrialCount": 3,
        "maxTrialCount": 12,
    },
}


def experiment(name: str = "quadratic", **spec: Any) -> pb.Experiment:
    """The quadratic experiment, with parts of its definition replaced."""
    return json_format.ParseDict({"name": name, "spec": {**QUADRATIC["spec"], **spec}}, pb.Experiment())


def values_of(assignments: Sequence[pb.ParameterAssignment]) -> dict[str, str]:
    return {assignment.name: assignment.value for assignment in assignments}


def quadratic(values: dict[str, str]) -> float:
    return (float(values["x"]) - 0.3) ** 2 + math.log10(float(values["rate"]) / 0.05) ** 2


@dataclass
class Controller:
    """Katib's controller for one experiment."""

    address: str
    experiment: pb.Experiment
    trials: list[pb.Trial] = field(default_factory=list)
    received: int = 0
    """Configurations that it has stored; an answer that was lost doesn't count."""

    def ask(self, count: int) -> list[dict[str, str]]:
        """The configurations of an answer, which the controller doesn't store."""
        reported = [t for t in self.trials if t.status.condition != Status.METRICSUNAVAILABLE]  # as Katib does
        request = pb.GetSuggestionsRequest(
            experiment=self.experiment,
            trials=reported,
            current_request_number=count,
            total_request_number=self.received + count,
        )
        with grpc.insecure_channel(self.address) as channel:
            reply = rpc.SuggestionStub(channel).GetSuggestions(request, timeout=PATIENCE_S)
        return [values_of(each.assignments) for each in reply.parameter_assignments]

    def create(self, configurations: list[dict[str, str]]) -> list[pb.Trial]:
        """Store configurations and create their trials under names of Katib's."""
        self.received += len(configurations)
        made = []
        for values in configurations:
            trial = pb.Trial(name=f"{self.experiment.name}-{random.randrange(10**8):08}")
            trial.spec.objective.CopyFrom(self.experiment.spec.objective)
            for name, value in values.items():
                trial.spec.parameter_assignments.assignments.add(name=name, value=value)
            trial.status.condition = Status.RUNNING
            made.append(trial)
        self.trials += made
        return made

    def end(self, trial: pb.Trial, condition: Any = Status.SUCCEEDED, **metrics: str) -> None:
        trial.status.condition = condition
        trial.status.start_time, trial.status.completion_time = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
        for name, value in metrics.items():
            trial.status.observation.metrics.add(name=name, value=value)

    def evaluate(self, trial: pb.Trial) -> float:
        loss = quadratic(values_of(trial.spec.parameter_assignments.assignments))
        self.end(trial, loss=repr(loss))
        return loss

    def running(self) -> list[pb.Trial]:
        return [trial for trial in self.trials if trial.status.condition == Status.RUNNING]


@dataclass
class Service:
    """Katib's port of an application in this process, whose optimizer computes on the caller's thread."""

    app: AppContext
    address: str


@contextmanager
def served(storage: str, db_manager: str = "127.0.0.1:1", writer: TrialStatusWriter | None = None) -> Iterator[Service]:
    store = open_store(storage)
    app = AppContext.of(store, store.clock, _LocalOptimizer())
    server = KatibServer(app, "127.0.0.1:0", "team", db_manager, writer)
    server.start()
    server.announce(True)
    yield Service(app, f"127.0.0.1:{server.port}")
    server.stop(1.0)
    store.close()
