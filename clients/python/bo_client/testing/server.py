"""The fake server: the transport that a client takes in place of gRPC."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2, trial_pb2
from google.protobuf.message import Message

from bo_client.client import Client
from bo_client.errors import AlreadyExists, InvalidRequest, NotFound, ServerUnavailable
from bo_client.testing.answers import best_trials, changes, copy_of, page_of, prediction, shown, trial_number
from bo_client.testing.checks import (
    check_configuration,
    check_objective,
    check_spec,
    check_study_id,
    objective_differences,
)
from bo_client.testing.insight import analysis, predicted_slice
from bo_client.testing.study import FakeStudy
from bo_client.testing.warm_start import check_sources

CHANGEABLE = ("display_name", "labels", "state", "objective", "spec.suggestion", "spec.stopping", "spec.execution")


class FakeServer:
    """Keeps studies in memory. Threads may share it."""

    def __init__(self, seed: int = 0) -> None:
        self.calls: list[tuple[str, Message]] = []
        """What was asked, in order: the method's name and the request."""
        self._seed = seed
        self._studies: dict[str, FakeStudy] = {}
        self._answers: dict[str, tuple[bytes, Message]] = {}
        self._ahead = timedelta()
        self._down = False
        self._change = threading.Condition(threading.RLock())
        self._methods: dict[str, Callable[[Any], Message]] = {
            "CreateStudy": self._create_study,
            "GetStudy": lambda r: pb.GetStudyResponse(study=self._study(r.name).snapshot()),
            "ListStudies": self._list_studies,
            "UpdateStudy": self._update_study,
            "DeleteStudy": self._delete_study,
            "SuggestTrials": self._suggest_trials,
            "CreateTrial": self._create_trial,
            "ReportMeasurements": lambda r: self._study(r.name).report(r, self.now()),
            "CompleteTrial": self._complete_trial,
            "StopTrial": self._stop_trial,
            "GetTrial": lambda r: pb.GetTrialResponse(trial=shown(self._trial(r.name), r.view)),
            "ListTrials": self._list_trials,
            "DeleteTrial": self._delete_trial,
            "GetBestTrials": self._get_best_trials,
            "Predict": self._predict,
            "PredictSlice": self._predict_slice,
            "AnalyzeStudy": self._analyze_study,
        }

    def client(self, timeout: float = 30.0, patience: float = 0.0) -> Client:
        """A client of this server. Each acts like a program of its own."""
        return Client(self, timeout, patience)

    def now(self) -> datetime:
        """The server's clock."""
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Sets the server's clock ahead; leases may run out."""
        with self._change:
            self._ahead += timedelta(seconds=seconds)
            self._change.notify_all()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Nobody answers within the block; streams break. What was kept is there afterwards."""
        self._set_down(True)
        try:
            yield
        finally:
            self._set_down(False)

    def call(self, method: str, request: Message, timeout: float | None) -> Message:  # noqa: ARG002 - the seam's shape
        """As bo_client.wire.transport.Transport.call; answers at once, whatever `timeout` is."""
        with self._change:
            self._require_up()
            self.calls.append((method, copy_of(request)))
            for study in self._studies.values():
                study.expire(self.now())
            answer = copy_of(self._once(method, copy_of(request)))
            self._change.notify_all()
            return answer

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """As bo_client.wire.transport.Transport.stream, for WatchStudy."""
        assert isinstance(request, pb.WatchStudyRequest), method
        seen = request.after_revision
        while True:
            with self._change:
                self._require_up()
                study = self._study(request.name)
                study.expire(self.now())
                if seen > study.message.revision:  # another study had the name
                    seen = 0
                if study.message.revision == seen:
                    self._change.wait(timeout=0.1)  # leases run out with nobody calling
                    continue
                answer = changes(study.snapshot(), study.trials.values(), study.deleted, seen, request.view)
                answer.send_time.FromDatetime(self.now())
            seen = answer.revision
            yield answer

    def close(self) -> None:
        """Nothing to let go of: other clients may go on."""

    def _set_down(self, down: bool) -> None:
        with self._change:
            self._down = down
            self._change.notify_all()

    def _require_up(self) -> None:
        if self._down:
            raise ServerUnavailable("no server answers: it is in FakeServer.outage()")

    def _once(self, method: str, request: Any) -> Message:
        """The first answer again for a request that is repeated under its id."""
        if method not in self._methods:
            raise InvalidRequest.of("method", f"is {method!r}; there are {', '.join(self._methods)}")
        request_id = getattr(request, "request_id", "")
        if not request_id:
            return self._methods[method](request)
        body = method.encode() + request.SerializeToString(deterministic=True)
        if request_id not in self._answers:
            self._answers[request_id] = (body, copy_of(self._methods[method](request)))
        first, answer = self._answers[request_id]
        if first != body:
            raise InvalidRequest(
                f"request_id {request_id!r} belongs to another request; choose a new one", "REQUEST_ID_REUSED"
            )
        return answer

    def _study(self, name: str, field: str = "name") -> FakeStudy:
        """Of a study's name or of one of its trials'. Raises NotFound, InvalidRequest."""
        parts = re.fullmatch(r"studies/([^/]+)(/trials/[^/]+)?", name)
        if parts is None:
            raise InvalidRequest.of(field, f"is {name!r}; give studies/STUDY or studies/STUDY/trials/NUMBER")
        if parts[1] not in self._studies:
            raise NotFound(f"there is no study {parts[1]!r}")
        return self._studies[parts[1]]

    def _trial(self, name: str) -> trial_pb2.Trial:
        return self._study(name).trial(trial_number(name))

    def _create_study(self, request: pb.CreateStudyRequest) -> Message:
        check_study_id(request.study_id)
        check_spec(request.study.spec)
        check_objective(request.study, "study.objective")
        found = self._studies.get(request.study_id)
        if found is None:
            study = self._new_study(request)
            check_sources(study, self._studies)
            found = self._studies[request.study_id] = FakeStudy(study, self._rng(request), self._studies)
        elif found.message.spec != request.study.spec:
            raise AlreadyExists(f"study {request.study_id!r} exists with another spec; choose another id")
        elif request.study.HasField("objective"):
            different = objective_differences(found.message, request.study.objective)
            if different:
                raise AlreadyExists(f"study {request.study_id!r} exists with another objective: {'; '.join(different)}")
        return pb.CreateStudyResponse(study=found.snapshot())

    def _rng(self, request: pb.CreateStudyRequest) -> random.Random:
        given = request.study.spec.suggestion
        return random.Random(f"{self._seed} {given.seed if given.HasField('seed') else request.study_id}")

    def _new_study(self, request: pb.CreateStudyRequest) -> study_pb2.Study:
        study = study_pb2.Study(
            name=f"studies/{request.study_id}",
            spec=request.study.spec,
            display_name=request.study.display_name or request.study_id,
            labels=request.study.labels,
            state=study_pb2.STUDY_STATE_ACTIVE,
            revision=1,
        )
        if request.study.HasField("objective"):
            study.objective.CopyFrom(request.study.objective)
        study.create_time.FromDatetime(self.now())
        study.update_time.FromDatetime(self.now())
        return study

    def _list_studies(self, request: pb.ListStudiesRequest) -> Message:
        ordered = [self._studies[study_id].snapshot() for study_id in sorted(self._studies)]
        page, token = page_of(ordered, request.page_size, request.page_token)
        return pb.ListStudiesResponse(studies=page, next_page_token=token)

    def _update_study(self, request: pb.UpdateStudyRequest) -> Message:
        study = self._study(request.study.name, "study.name")
        paths = list(request.update_mask.paths)
        if not paths:
            raise InvalidRequest.of("update_mask", f"is empty; name at least one of {', '.join(CHANGEABLE)}")
        for path in paths:
            if not any(path == allowed or path.startswith(f"{allowed}.") for allowed in CHANGEABLE):
                raise InvalidRequest.of("update_mask", f"holds {path!r}; these can change: {', '.join(CHANGEABLE)}")
        changed = study_pb2.Study()
        changed.CopyFrom(study.message)
        if "labels" in paths:
            changed.ClearField("labels")  # a merge would keep the old ones
        if "objective" in paths:
            changed.ClearField("objective")
            check_objective(request.study, "study.objective")
        request.update_mask.MergeMessage(
            request.study, changed, replace_message_field=True, replace_repeated_field=True
        )
        check_spec(changed.spec)
        if changed.spec.suggestion.warm_start_studies != study.message.spec.suggestion.warm_start_studies:
            check_sources(changed, self._studies)
        study.change(changed, self.now())
        return pb.UpdateStudyResponse(study=study.snapshot())

    def _delete_study(self, request: pb.DeleteStudyRequest) -> Message:
        study = self._study(request.name)
        del self._studies[study.definition.id]
        return pb.DeleteStudyResponse()

    def _suggest_trials(self, request: pb.SuggestTrialsRequest) -> Message:
        study = self._study(request.parent, "parent")
        if not request.worker_id:
            raise InvalidRequest.of("worker_id", "is empty; say who will run the trials")
        if not 0 <= request.count <= 100:
            raise InvalidRequest.of("count", f"is {request.count}; it must be from 1 to 100")
        check_objective(request, "objective")
        return study.suggest(request, self.now())

    def _create_trial(self, request: pb.CreateTrialRequest) -> Message:
        return pb.CreateTrialResponse(trial=self._study(request.parent, "parent").create(request.trial, self.now()))

    def _complete_trial(self, request: pb.CompleteTrialRequest) -> Message:
        if request.WhichOneof("outcome") is None:
            raise InvalidRequest.of("outcome", "is missing; give final_measurement or failure")
        return pb.CompleteTrialResponse(trial=self._study(request.name).complete(request, self.now()))

    def _stop_trial(self, request: pb.StopTrialRequest) -> Message:
        study = self._study(request.name)
        return pb.StopTrialResponse(trial=study.stop(trial_number(request.name), request.reason, self.now()))

    def _list_trials(self, request: pb.ListTrialsRequest) -> Message:
        trials = self._study(request.parent, "parent").trials
        chosen = [trials[n] for n in sorted(trials) if not request.states or trials[n].state in request.states]
        page, token = page_of([shown(t, request.view) for t in chosen], request.page_size, request.page_token)
        return pb.ListTrialsResponse(trials=page, next_page_token=token)

    def _delete_trial(self, request: pb.DeleteTrialRequest) -> Message:
        self._study(request.name).delete(trial_number(request.name), self.now())
        return pb.DeleteTrialResponse()

    def _get_best_trials(self, request: pb.GetBestTrialsRequest) -> Message:
        study = self._study(request.parent, "parent")
        if not 0 <= request.count <= 1000:
            raise InvalidRequest.of("count", f"is {request.count}; it must be from 1 to 1000")
        best = best_trials(study.definition, study.trials.values(), request.count or 1)
        return pb.GetBestTrialsResponse(trials=[shown(t, pb.TRIAL_VIEW_BASIC) for t in best])

    def _predict(self, request: pb.PredictRequest) -> Message:
        study = self._study(request.parent, "parent")
        if not 1 <= len(request.configurations) <= 1000:
            raise InvalidRequest.of("configurations", f"has {len(request.configurations)}; give 1 to 1000")
        for i, configuration in enumerate(request.configurations):
            check_configuration(configuration.parameters, study.definition, f"configurations[{i}].parameters", False)
        return prediction(study.definition, study.trials.values(), len(request.configurations))

    def _predict_slice(self, request: pb.PredictSliceRequest) -> Message:
        study = self._study(request.parent, "parent")
        return predicted_slice(study.definition, study.trials.values(), request)

    def _analyze_study(self, request: pb.AnalyzeStudyRequest) -> Message:
        study = self._study(request.name)
        return analysis(study.definition, study.trials.values())
