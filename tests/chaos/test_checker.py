"""The checker finds every kind of violation, and none in a history in which nothing went wrong."""

import math
from collections.abc import Callable
from copy import deepcopy

import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2, trial_pb2

from tests.chaos.checker import KINDS, check
from tests.chaos.history import Attempt, Call, Refusal, Snapshot

RUNNING, SUCCEEDED, QUEUED = (
    trial_pb2.TRIAL_STATE_RUNNING,
    trial_pb2.TRIAL_STATE_SUCCEEDED,
    trial_pb2.TRIAL_STATE_QUEUED,
)
LEASE = 10


class Scene:
    """A short history without a fault: one trial dies with its first worker and is completed by a second."""

    def __init__(self) -> None:
        self.study = study_pb2.Study(name="studies/s", display_name="s", revision=1)
        self.study.spec.execution.max_attempts = 3
        self.calls: dict[str, Call] = {}
        self.create()
        first = self.trial(attempt=1, revision=2, state=RUNNING, token="one", at=10)
        self.suggest = self.call(
            "suggest", "SuggestTrials", 10, self.asks("a"), pb.SuggestTrialsResponse(trials=[first])
        )
        self.report("report", "one", at=12, step=1, loss=0.5, uri="at/1")
        second = self.trial(attempt=2, revision=4, state=RUNNING, token="two", at=30)
        second.checkpoint_uri = "at/1"
        self.call("again", "SuggestTrials", 30, self.asks("b"), pb.SuggestTrialsResponse(trials=[second]))
        self.report("beat", "one", at=33, valid=False)
        self.report("alive", "two", at=35)
        request = pb.CompleteTrialRequest(name=first.name, lease_token="two", request_id="c")
        request.final_measurement.metrics["loss"] = 0.25
        ended = self.trial(attempt=2, revision=5, state=SUCCEEDED, at=30)
        ended.checkpoint_uri = "at/1"
        ended.final_measurement.metrics["loss"] = 0.25
        self.call("complete", "CompleteTrial", 40, request, pb.CompleteTrialResponse(trial=ended))
        self.final = trial_pb2.Trial()
        self.final.CopyFrom(ended)
        self.final.measurements.add(step=1, metrics={"loss": 0.5})
        self.kept = study_pb2.Study(display_name="named", revision=6)
        self.kept.name, self.kept.spec.execution.max_attempts = "studies/s", 3
        self.kept.trial_counts.succeeded = 1
        self.rename()

    def create(self) -> None:
        request = pb.CreateStudyRequest(study_id="s", request_id="0")
        self.call("create", "CreateStudy", 0, request, pb.CreateStudyResponse(study=self.study))

    def rename(self) -> None:
        request = pb.UpdateStudyRequest(request_id="r")
        request.study.name, request.study.display_name = "studies/s", "named"
        renamed = study_pb2.Study(name="studies/s", display_name="named", revision=6)
        self.call("rename", "UpdateStudy", 50, request, pb.UpdateStudyResponse(study=renamed))

    def asks(self, request_id: str) -> pb.SuggestTrialsRequest:
        return pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", count=1, request_id=request_id)

    def trial(self, attempt: int, revision: int, state: int, token: str = "", at: int = 0) -> trial_pb2.Trial:
        found = trial_pb2.Trial(name="studies/s/trials/1", attempt=attempt, revision=revision)
        found.state = state
        found.create_time.seconds = 10
        found.parameters["x"].float_value = 0.5
        found.start_time.seconds = at
        if token:
            found.lease.token = token
            found.lease.expire_time.seconds = at + LEASE
        return found

    def report(self, name: str, token: str, at: float, valid: bool = True, **given: object) -> Call:
        request = pb.ReportMeasurementsRequest(name="studies/s/trials/1", lease_token=token)
        if "loss" in given:
            request.measurements.add(step=given["step"], metrics={"loss": given["loss"]})
        request.checkpoint_uri = str(given.get("uri", ""))
        answer = pb.ReportMeasurementsResponse(lease_valid=valid, should_stop=not valid)
        answer.lease_remaining.seconds = LEASE if valid else 0
        return self.call(name, "ReportMeasurements", at, request, answer)

    def call(self, name: str, method: str, at: float, request: object, answer: object = None) -> Call:
        attempts = [Attempt(at, at + 1, answer)]
        self.calls[name] = Call(len(self.calls), method, request, attempts)
        return self.calls[name]

    def refused(self, name: str, at: float, code: str, reason: str = "") -> None:
        call = self.calls[name]
        call.attempts.append(Attempt(at, at + 1, refusal=Refusal(code, reason)))

    def kinds(self, *others: trial_pb2.Trial) -> set[str]:
        snapshots = {"studies/s": Snapshot(self.kept, (self.final, *others) if self.final else others)}
        if self.kept is None:
            snapshots = {}
        return {v.kind for v in check(list(self.calls.values()), snapshots)}


def test_a_history_without_a_fault() -> None:
    assert Scene().kinds() == set()


def an_internal_fault(scene: Scene) -> None:
    scene.refused("alive", 36, "INTERNAL")


def a_lease_refused(scene: Scene) -> None:
    scene.refused("alive", 36, "FAILED_PRECONDITION", "WRONG_LEASE")


def another_answer_to_a_retry(scene: Scene) -> None:
    other = deepcopy(scene.suggest.answer)
    other.trials[0].name = "studies/s/trials/2"
    scene.suggest.attempts.append(Attempt(14, 15, other))


def a_study_gone(scene: Scene) -> None:
    scene.kept = None


def a_study_not_found(scene: Scene) -> None:
    scene.calls["rename"].attempts.insert(0, Attempt(49, 49.5, refusal=Refusal("NOT_FOUND", "NOT_FOUND")))


def a_trial_gone(scene: Scene) -> None:
    scene.final = None
    scene.kept.trial_counts.succeeded = 0


def a_trial_not_found(scene: Scene) -> None:
    scene.refused("alive", 36, "NOT_FOUND")


def another_result(scene: Scene) -> None:
    scene.final.final_measurement.metrics["loss"] = 0.75


def a_result_refused(scene: Scene) -> None:
    scene.calls["complete"].attempts[:] = [Attempt(40, 41, refusal=Refusal("FAILED_PRECONDITION", "WRONG_STATE"))]


def a_measurement_gone(scene: Scene) -> None:
    del scene.final.measurements[:]


def a_measurement_changed(scene: Scene) -> None:
    scene.final.measurements[0].metrics["loss"] = 0.1


def a_checkpoint_gone(scene: Scene) -> None:
    scene.calls["again"].answer.trials[0].checkpoint_uri = ""


def a_name_gone(scene: Scene) -> None:
    scene.kept.display_name = "s"


def a_trial_back_from_deletion(scene: Scene) -> None:
    request = pb.DeleteTrialRequest(name="studies/s/trials/1", request_id="d")
    scene.call("delete", "DeleteTrial", 60, request, pb.DeleteTrialResponse())


def a_study_back_from_deletion(scene: Scene) -> None:
    scene.call("raze", "DeleteStudy", 60, pb.DeleteStudyRequest(name="studies/s"), pb.DeleteStudyResponse())


def a_measurement_of_nobody(scene: Scene) -> None:
    scene.final.measurements.add(step=9, metrics={"loss": 1.0})


def a_result_of_nobody(scene: Scene) -> None:
    scene.calls["complete"].request.final_measurement.metrics["loss"] = 0.75


def a_trial_given_to_nobody(scene: Scene) -> None:
    del scene.calls["suggest"], scene.calls["again"]


def an_attempt_given_to_nobody(scene: Scene) -> None:
    scene.final.attempt = 3
    scene.calls["complete"].answer.trial.attempt = 3


def a_result_taken_twice(scene: Scene) -> None:
    other = deepcopy(scene.calls["complete"])
    other.number, other.request.request_id, other.attempts = 99, "e", [Attempt(44, 45, other.answer)]
    scene.calls["twice"] = other


def a_trial_given_twice(scene: Scene) -> None:
    other = deepcopy(scene.suggest)
    other.request.request_id, other.attempts = "f", [Attempt(11, 12, deepcopy(other.answer))]
    scene.calls["twice"] = other


def a_trial_given_under_a_valid_lease(scene: Scene) -> None:
    scene.report("late", "one", at=28)


def a_lease_valid_beside_a_newer_one(scene: Scene) -> None:
    scene.report("late", "one", at=36)


def a_lease_lost_early(scene: Scene) -> None:
    scene.calls["beat"].attempts[:] = [Attempt(18, 19, scene.calls["beat"].answer)]


def a_dead_workers_trial(scene: Scene) -> None:
    del scene.calls["complete"]
    scene.final.state = RUNNING
    scene.final.ClearField("final_measurement")
    scene.kept.trial_counts.succeeded, scene.kept.trial_counts.running = 0, 1


def a_number_used_again(scene: Scene) -> None:
    scene.calls["again"].answer.trials[0].create_time.seconds = 29


def other_parameters(scene: Scene) -> None:
    scene.calls["again"].answer.trials[0].parameters["x"].float_value = 0.75


def an_end_undone(scene: Scene) -> None:
    scene.final.state, scene.final.revision = QUEUED, 6
    scene.final.ClearField("final_measurement")
    scene.kept.trial_counts.succeeded, scene.kept.trial_counts.queued = 0, 1


def too_many_attempts(scene: Scene) -> None:
    scene.kept.spec.execution.max_attempts = 1


def an_attempt_uncounted(scene: Scene) -> None:
    scene.final.attempt = 1


def an_attempt_too_early(scene: Scene) -> None:
    again = scene.calls["again"]
    again.attempts[:] = [Attempt(3, 4, again.answer)]


def a_revision_that_goes_back(scene: Scene) -> None:
    scene.final.revision = 3


def a_study_revision_that_goes_back(scene: Scene) -> None:
    scene.kept.revision = 5


def two_states_under_one_revision(scene: Scene) -> None:
    scene.final.labels["a"] = "b"


def wrong_counts(scene: Scene) -> None:
    scene.kept.trial_counts.failed = 1


def too_many_trials(scene: Scene) -> None:
    scene.kept.spec.execution.max_trials = 0


PLANTED: list[tuple[str, Callable[[Scene], None]]] = [
    ("fault", an_internal_fault),
    ("fault", a_lease_refused),
    ("retry differs", another_answer_to_a_retry),
    ("lost study", a_study_gone),
    ("lost study", a_study_not_found),
    ("lost trial", a_trial_gone),
    ("lost trial", a_trial_not_found),
    ("lost result", another_result),
    ("lost result", a_result_refused),
    ("lost measurement", a_measurement_gone),
    ("lost measurement", a_measurement_changed),
    ("lost write", a_checkpoint_gone),
    ("lost write", a_name_gone),
    ("undone deletion", a_trial_back_from_deletion),
    ("undone deletion", a_study_back_from_deletion),
    ("phantom", a_measurement_of_nobody),
    ("phantom", a_result_of_nobody),
    ("phantom", a_trial_given_to_nobody),
    ("phantom", an_attempt_given_to_nobody),
    ("done twice", a_result_taken_twice),
    ("two holders", a_trial_given_twice),
    ("two holders", a_trial_given_under_a_valid_lease),
    ("two holders", a_lease_valid_beside_a_newer_one),
    ("declared dead", a_lease_lost_early),
    ("left running", a_dead_workers_trial),
    ("number reused", a_number_used_again),
    ("number reused", other_parameters),
    ("ended changed", an_end_undone),
    ("attempts", too_many_attempts),
    ("attempts", an_attempt_uncounted),
    ("attempts", an_attempt_too_early),
    ("revision", a_revision_that_goes_back),
    ("revision", a_study_revision_that_goes_back),
    ("revision", two_states_under_one_revision),
    ("counts", wrong_counts),
    ("counts", too_many_trials),
]


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=[plant.__name__ for _, plant in PLANTED])
def test_a_planted_violation_is_found(kind: str, plant: Callable[[Scene], None]) -> None:
    scene = Scene()
    plant(scene)
    assert kind in scene.kinds()


def test_every_kind_is_planted() -> None:
    assert {kind for kind, _ in PLANTED} == set(KINDS)


def lost(scene: Scene, name: str) -> None:
    """The answer of a call never came."""
    scene.calls[name].attempts[:] = [Attempt(a.begin, a.end) for a in scene.calls[name].attempts]


@pytest.mark.parametrize("name", ["again", "report", "rename", "complete", "create"])
@pytest.mark.parametrize("acted", [True, False])
def test_what_was_lost_on_the_way_may_have_acted_or_not(name: str, acted: bool) -> None:
    scene = Scene()
    lost(scene, name)
    if not acted and name == "rename":
        scene.kept.display_name, scene.kept.revision = "s", 5
    if not acted and name == "report":
        del scene.final.measurements[:]
        for trial in (scene.final, scene.calls["again"].answer.trials[0], scene.calls["complete"].answer.trial):
            trial.checkpoint_uri = ""
    if not acted and name == "complete":
        scene.final.ClearField("final_measurement")
        scene.final.state, scene.final.revision = QUEUED, 5
        scene.kept.trial_counts.succeeded, scene.kept.trial_counts.queued = 0, 1
    assert scene.kinds() == set()


def test_a_report_whose_retry_came_too_late_may_have_been_recorded_or_not() -> None:
    for is_recorded in (True, False):
        scene = Scene()
        call = scene.calls["report"]
        told = pb.ReportMeasurementsResponse(lease_valid=False, should_stop=True)
        call.attempts[:] = [Attempt(12, 13), Attempt(25, 26, told)]
        if not is_recorded:
            del scene.final.measurements[:]
            for trial in (scene.final, scene.calls["again"].answer.trials[0], scene.calls["complete"].answer.trial):
                trial.checkpoint_uri = ""
        assert scene.kinds() == set()


def test_a_result_may_have_come_with_a_trial_whose_creation_was_not_answered() -> None:
    scene = Scene()
    request = pb.CreateTrialRequest(parent="studies/s", request_id="g")
    request.trial.final_measurement.metrics["loss"] = 0.9
    scene.call("queue", "CreateTrial", 45, request)
    made = scene.trial(attempt=0, revision=6, state=SUCCEEDED)
    made.name = "studies/s/trials/2"
    made.final_measurement.metrics["loss"] = 0.9
    seen = pb.GetTrialResponse(trial=made)
    scene.call("look", "GetTrial", 60, pb.GetTrialRequest(name=made.name), seen)
    scene.kept.trial_counts.succeeded = 2
    assert scene.kinds(made) == set()
    request.trial.final_measurement.metrics["loss"] = 0.8
    assert scene.kinds(made) == {"phantom"}


def test_a_retry_that_comes_late_is_no_second_holder() -> None:
    scene = Scene()
    call = scene.calls["again"]
    call.attempts.insert(0, Attempt(12, 14))
    assert call.begin == 12
    assert scene.kinds() == set()
    assert math.isinf(scene.calls["report"].settled) is False
