"""What is on the fuzzed server: studies worth naming in requests, and one that none names and that must not change."""

from dataclasses import dataclass, field
from typing import Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2
from google.protobuf import json_format

from tests.fuzz.target import Target

SPACE = {
    "parameters": [
        {"name": "lr", "floatParameter": {"low": 1e-4, "high": 1.0, "scale": "SCALE_LOG"}, "unit": "1/s"},
        {"name": "layers", "intParameter": {"low": 1, "high": 8}, "defaultValue": {"intValue": 2}},
        {"name": "norm", "categoricalParameter": {"values": [{"stringValue": "batch"}, {"stringValue": "group"}]}},
        {"name": "size", "discreteParameter": {"values": [{"intValue": 16}, {"intValue": 32}]}},
        {
            "name": "groups",
            "intParameter": {"low": 1, "high": 4},
            "activation": {"parameter": "norm", "values": [{"stringValue": "group"}]},
        },
    ],
    "constraints": [
        {"forbidden": {"parameters": {"norm": {"stringValue": "group"}, "size": {"intValue": 32}}}},
        {"linear": {"coefficients": {"layers": 1.0, "lr": 2.0}, "upperBound": 9.0}},
    ],
}
PLAIN = [{"name": "loss", "goal": "GOAL_MINIMIZE"}]
THREE = [
    {"name": "loss", "goal": "GOAL_MINIMIZE"},
    {"name": "score", "goal": "GOAL_MAXIMIZE"},
    {"name": "ms", "goal": "GOAL_MINIMIZE", "role": "METRIC_ROLE_CONSTRAINT", "bound": 50.0},
]
QUICK = {"algorithm": "ALGORITHM_QUASI_RANDOM"}
SPECS: dict[str, dict[str, Any]] = {
    "plain": {"space": SPACE, "metrics": PLAIN, "suggestion": QUICK},
    "several": {"space": SPACE, "metrics": THREE, "suggestion": QUICK},
    "modelled": {"space": SPACE, "metrics": PLAIN, "suggestion": {"initialTrials": 3}},
    "stopped": {
        "space": SPACE,
        "metrics": PLAIN,
        "suggestion": QUICK,
        "stopping": {"rule": "STOPPING_RULE_MEDIAN", "minStep": "1", "minTrials": 1, "maxStep": "9"},
    },
}
WITNESS = "unnamed.witness"
GOOD = {
    "lr": {"floatValue": 0.1},
    "layers": {"intValue": 3},
    "norm": {"stringValue": "batch"},
    "size": {"intValue": 16},
}
MOST_STUDIES = 40


@dataclass
class World:
    """What exists, as far as requests need to know it."""

    target: Target
    studies: list[str] = field(default_factory=list)
    trials: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    witness: tuple[bytes, ...] = ()

    def found(self) -> None:
        """Makes what is missing, and looks what there is."""
        for study_id, spec in [*SPECS.items(), (WITNESS, SPECS["plain"])]:
            if self.target.ask("GetStudy", pb.GetStudyRequest(name=f"studies/{study_id}")) is None:
                self._make(study_id, spec)
        self._look()
        if not self.witness:
            self.witness = self._witnessed()

    def check(self) -> None:
        """Every study still reads and suggests, and the witness is as it was."""
        assert self._witnessed() == self.witness
        for study in self._all():
            assert self.target.ask("GetStudy", pb.GetStudyRequest(name=study.name)) is not None, study.name
            for method, request in [
                ("ListTrials", pb.ListTrialsRequest(parent=study.name, view=pb.TRIAL_VIEW_FULL)),
                ("GetBestTrials", pb.GetBestTrialsRequest(parent=study.name)),
                ("WatchStudy", pb.WatchStudyRequest(name=study.name)),
                ("SuggestTrials", pb.SuggestTrialsRequest(parent=study.name, worker_id="check")),
            ]:
                answer = self.target.ask(method, request)
                if self.target.reason == "NO_CONFIGURATION_FOUND" and study.spec.space.constraints:
                    continue  # a region in which nothing is found, and nothing proven
                assert answer is not None, f"{method} is refused on {study.name}"
            is_open = study.state == study_pb2.STUDY_STATE_ACTIVE and not study.spec.execution.HasField("max_trials")
            if is_open and answer is not None and answer.shortfall != pb.SHORTFALL_SPACE_EXHAUSTED:
                assert answer.trials, f"{study.name} suggests nothing: {answer}"
        self._clear()

    def _make(self, study_id: str, spec: dict[str, Any]) -> None:
        request = pb.CreateStudyRequest(study_id=study_id)
        json_format.ParseDict(spec, request.study.spec)
        assert self.target.ask("CreateStudy", request) is not None
        for _ in range(4):
            ask = pb.SuggestTrialsRequest(parent=f"studies/{study_id}", worker_id="w")
            (trial,) = self.target.ask("SuggestTrials", ask).trials
            self.tokens.append(trial.lease.token)
            metrics = {"loss": trial.parameters["lr"].float_value, "score": 1.0, "ms": 20.0}
            report = pb.ReportMeasurementsRequest(name=trial.name, lease_token=trial.lease.token)
            report.measurements.add(step=1, metrics=metrics)
            assert self.target.ask("ReportMeasurements", report) is not None
            end = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token)
            end.final_measurement.metrics.update(metrics)
            assert self.target.ask("CompleteTrial", end) is not None
        if study_id != WITNESS:
            for _ in range(3):
                trial = self.target.ask("SuggestTrials", ask).trials[0]
                self.tokens.append(trial.lease.token)

    def _look(self) -> None:
        self.studies = [s.name for s in self._all() if s.name != f"studies/{WITNESS}"]
        self.trials = []
        for name in [f"studies/{s}" for s in SPECS]:
            page = self.target.ask("ListTrials", pb.ListTrialsRequest(parent=name, page_size=20))
            self.trials += [t.name for t in page.trials]
        self.tokens = self.tokens[-200:]

    def _all(self) -> list[Any]:
        return list(self.target.ask("ListStudies", pb.ListStudiesRequest(page_size=1000)).studies)

    def _clear(self) -> None:
        """So that no batch has more to check than the one before."""
        keep = {f"studies/{s}" for s in (WITNESS, *SPECS)}
        for study in self._all()[MOST_STUDIES:]:
            if study.name not in keep:
                self.target.ask("DeleteStudy", pb.DeleteStudyRequest(name=study.name))
        for study_id in SPECS:
            found = self.target.ask("GetStudy", pb.GetStudyRequest(name=f"studies/{study_id}"))
            if found is None:
                continue
            study, counts = found.study, found.study.trial_counts
            if counts.queued + counts.running + counts.succeeded + counts.infeasible + counts.stopped > 60:
                self.target.ask("DeleteStudy", pb.DeleteStudyRequest(name=study.name))

    def _witnessed(self) -> tuple[bytes, ...]:
        name = f"studies/{WITNESS}"
        study = self.target.ask("GetStudy", pb.GetStudyRequest(name=name)).study
        full = pb.ListTrialsRequest(parent=name, view=pb.TRIAL_VIEW_FULL, states=[3])
        study.ClearField("trial_counts")  # of the check's own suggestions
        study.ClearField("revision")
        study.ClearField("update_time")
        trials = self.target.ask("ListTrials", full).trials
        return tuple(m.SerializeToString(deterministic=True) for m in (study, *trials))
