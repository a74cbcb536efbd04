"""The service on the wire: each call is decoded, handed to its use case, and the answer encoded."""

import threading
from collections.abc import Iterator

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import study_pb2, trial_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bo_service.adapters import calls
from bo_service.adapters.grpc import decoding, insight_codec, names, requests, space_codec, study_codec, trial_codec
from bo_service.application import insight, predicting, ranking, running, studies, suggesting, trials, watching
from bo_service.application.services import Services
from bo_service.application.views import Handout, Shortfall, StudyChanges, StudyView, TrialView
from bo_service.core.errors import InvalidArgument, LimitExceeded
from bo_service.core.limits import (
    MAX_BEST,
    MAX_CALL_MEASUREMENTS,
    MAX_CONFIGURATIONS,
    MAX_STOP_REASON,
    MAX_SUGGESTIONS,
    MAX_WATCHES,
)
from bo_service.core.trial import Trial

SHORTFALLS = {
    None: pb.SHORTFALL_UNSPECIFIED,
    Shortfall.ALL_IN_PROGRESS: pb.SHORTFALL_ALL_IN_PROGRESS,
    Shortfall.PAUSED: pb.SHORTFALL_PAUSED,
    Shortfall.COMPLETED: pb.SHORTFALL_COMPLETED,
    Shortfall.SPACE_EXHAUSTED: pb.SHORTFALL_SPACE_EXHAUSTED,
}


class OptimizationServicer(rpc.OptimizationServiceServicer):
    """All of `bo_api.v1.OptimizationService`. Refusals are raised; an interceptor makes statuses of them."""

    def __init__(self, services: Services, waiting: int, watching: int) -> None:
        """`waiting` threads at most wait for the surrogate, `watching` at most send changes."""
        self._services = services
        self._stopping = threading.Event()
        self._waiting = threading.BoundedSemaphore(waiting)
        self._watching = threading.BoundedSemaphore(watching)

    def stop(self) -> None:
        """Ends the streams."""
        self._stopping.set()

    def CreateStudy(self, request: pb.CreateStudyRequest, context: grpc.ServicerContext) -> pb.CreateStudyResponse:
        study_id = names.check_study_id(request.study_id, "study_id")
        new = studies.NewStudy(
            study_id,
            study_codec.spec_from_wire(request.study.spec, "study.spec"),
            study_codec.display_name_from_wire(request.study.display_name, "study.display_name"),
            decoding.labels_from_wire(request.study.labels, "study.labels"),
            study_codec.objective_from_wire(request.study, "study.objective"),
        )
        key = requests.request_key("CreateStudy", request, request.request_id)
        return pb.CreateStudyResponse(study=_study(studies.create_study(self._services, new, key)))

    def GetStudy(self, request: pb.GetStudyRequest, context: grpc.ServicerContext) -> pb.GetStudyResponse:
        study_id = names.study_id_of(request.name, "name")
        return pb.GetStudyResponse(study=_study(studies.get_study(self._services, study_id)))

    def ListStudies(self, request: pb.ListStudiesRequest, context: grpc.ServicerContext) -> pb.ListStudiesResponse:
        if request.page_token:
            names.check_study_id(request.page_token, "page_token")
        limit = requests.page_size(request.page_size)
        found, more = studies.list_studies(self._services, request.page_token, limit, calls.principal().sees)
        told, is_cut = requests.fitting(_study(view) for view in found)
        token = found[len(told) - 1].study.study_id if is_cut else more
        return pb.ListStudiesResponse(studies=told, next_page_token=token)

    def UpdateStudy(self, request: pb.UpdateStudyRequest, context: grpc.ServicerContext) -> pb.UpdateStudyResponse:
        study_id = names.study_id_of(request.study.name, "study.name")
        change = study_codec.update_from_wire(request)
        key = requests.request_key("UpdateStudy", request, request.request_id)
        return pb.UpdateStudyResponse(study=_study(studies.update_study(self._services, study_id, change, key)))

    def DeleteStudy(self, request: pb.DeleteStudyRequest, context: grpc.ServicerContext) -> pb.DeleteStudyResponse:
        study_id = names.study_id_of(request.name, "name")
        studies.delete_study(self._services, study_id, requests.request_key("DeleteStudy", request, request.request_id))
        return pb.DeleteStudyResponse()

    def SuggestTrials(
        self, request: pb.SuggestTrialsRequest, context: grpc.ServicerContext
    ) -> pb.SuggestTrialsResponse:
        study_id = names.study_id_of(request.parent, "parent")
        count = requests.count_of(request.count, MAX_SUGGESTIONS)
        worker_id = requests.worker_id_of(request.worker_id)
        objective = study_codec.objective_from_wire(request, "objective")
        key = requests.request_key("SuggestTrials", request, request.request_id)
        may_wait = self._waiting.acquire(blocking=False)
        try:
            patience = requests.patience(context, count) if may_wait else 0.0
            ask = suggesting.Ask(study_id, count, worker_id, patience, objective, requests.is_awaited(context))
            return _handout(suggesting.suggest_trials(self._services, ask, key))
        finally:
            if may_wait:
                self._waiting.release()

    def CreateTrial(self, request: pb.CreateTrialRequest, context: grpc.ServicerContext) -> pb.CreateTrialResponse:
        study_id = names.study_id_of(request.parent, "parent")
        new = trial_codec.new_trial_from_wire(request.trial, "trial")
        key = requests.request_key("CreateTrial", request, request.request_id)
        return pb.CreateTrialResponse(trial=_trial(trials.create_trial(self._services, study_id, new, key)))

    def ReportMeasurements(
        self, request: pb.ReportMeasurementsRequest, context: grpc.ServicerContext
    ) -> pb.ReportMeasurementsResponse:
        study_id, number = names.trial_of(request.name, "name")
        if len(request.measurements) > MAX_CALL_MEASUREMENTS:
            given = len(request.measurements)
            raise InvalidArgument.of("measurements", f"has {given}; a call takes at most {MAX_CALL_MEASUREMENTS}")
        measurements = decoding.each(request.measurements, "measurements", trial_codec.measurement_from_wire)
        uri = trial_codec.checkpoint_uri_from_wire(request.checkpoint_uri, "checkpoint_uri")
        token = requests.lease_token_of(request.lease_token)
        told = running.report_measurements(self._services, study_id, number, token, measurements, uri)
        response = pb.ReportMeasurementsResponse(
            should_stop=told.should_stop, stop_reason=told.stop_reason, lease_valid=told.lease_valid
        )
        if told.lease_expire_time is not None and told.lease_remaining is not None:
            response.lease_expire_time.FromDatetime(told.lease_expire_time)
            response.lease_remaining.FromTimedelta(told.lease_remaining)
        return response

    def CompleteTrial(
        self, request: pb.CompleteTrialRequest, context: grpc.ServicerContext
    ) -> pb.CompleteTrialResponse:
        study_id, number = names.trial_of(request.name, "name")
        outcome = trial_codec.outcome_from_wire(request)
        token = requests.lease_token_of(request.lease_token)
        key = requests.request_key("CompleteTrial", request, request.request_id)
        labels = decoding.labels_from_wire(request.labels, "labels")
        ended = running.complete_trial(self._services, study_id, number, token, outcome, key, labels)
        return pb.CompleteTrialResponse(trial=_trial(ended))

    def StopTrial(self, request: pb.StopTrialRequest, context: grpc.ServicerContext) -> pb.StopTrialResponse:
        study_id, number = names.trial_of(request.name, "name")
        reason = decoding.text(request.reason, "reason", MAX_STOP_REASON)
        key = requests.request_key("StopTrial", request, request.request_id)
        return pb.StopTrialResponse(trial=_trial(trials.stop_trial(self._services, study_id, number, reason, key)))

    def GetTrial(self, request: pb.GetTrialRequest, context: grpc.ServicerContext) -> pb.GetTrialResponse:
        study_id, number = names.trial_of(request.name, "name")
        found = trials.get_trial(self._services, study_id, number, requests.is_full(request.view))
        return pb.GetTrialResponse(trial=_trial_view(found))

    def ListTrials(self, request: pb.ListTrialsRequest, context: grpc.ServicerContext) -> pb.ListTrialsResponse:
        page = trials.list_trials(
            self._services,
            names.study_id_of(request.parent, "parent"),
            {trial_codec.trial_state_from_wire(s, f"states[{i}]") for i, s in enumerate(request.states)},
            requests.number_token(request.page_token),
            requests.page_size(request.page_size),
            requests.is_full(request.view),
        )
        told, is_cut = requests.fitting(_trial_view(view) for view in page.trials)
        after = page.trials[len(told) - 1].trial.number if is_cut else page.next_after
        return pb.ListTrialsResponse(trials=told, next_page_token="" if after is None else str(after))

    def DeleteTrial(self, request: pb.DeleteTrialRequest, context: grpc.ServicerContext) -> pb.DeleteTrialResponse:
        study_id, number = names.trial_of(request.name, "name")
        key = requests.request_key("DeleteTrial", request, request.request_id)
        trials.delete_trial(self._services, study_id, number, key)
        return pb.DeleteTrialResponse()

    def GetBestTrials(
        self, request: pb.GetBestTrialsRequest, context: grpc.ServicerContext
    ) -> pb.GetBestTrialsResponse:
        study_id = names.study_id_of(request.parent, "parent")
        best = ranking.best_trials(self._services, study_id, requests.count_of(request.count, MAX_BEST))
        return pb.GetBestTrialsResponse(trials=[_trial(trial) for trial in best])

    def Predict(self, request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:
        study_id = names.study_id_of(request.parent, "parent")
        if not 1 <= len(request.configurations) <= MAX_CONFIGURATIONS:
            given = len(request.configurations)
            raise InvalidArgument.of("configurations", f"has {given}; give 1 to {MAX_CONFIGURATIONS}")
        asked = decoding.each(
            request.configurations,
            "configurations",
            lambda c, at: space_codec.configuration_from_wire(c.parameters, f"{at}.parameters"),
        )
        found = predicting.predict(self._services, study_id, asked, requests.patience(context))
        predictions = [trial_codec.forecast_to_wire(point) for point in found.points]
        return pb.PredictResponse(
            predictions=predictions, acquisition=found.acquisition, observation_count=found.observation_count
        )

    def PredictSlice(self, request: pb.PredictSliceRequest, context: grpc.ServicerContext) -> pb.PredictSliceResponse:
        study_id = names.study_id_of(request.parent, "parent")
        ask = insight_codec.slice_from_wire(request)
        found = insight.predict_slice(self._services, study_id, ask, requests.patience(context))
        return insight_codec.slice_to_wire(found, study_id)

    def AnalyzeStudy(self, request: pb.AnalyzeStudyRequest, context: grpc.ServicerContext) -> pb.AnalyzeStudyResponse:
        study_id = names.study_id_of(request.name, "name")
        found = insight.analyze(self._services, study_id, requests.patience(context))
        return insight_codec.analyses_to_wire(found, study_id)

    def WatchStudy(
        self, request: pb.WatchStudyRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchStudyResponse]:
        study_id = names.study_id_of(request.name, "name")
        if not self._watching.acquire(blocking=False):
            raise LimitExceeded(f"this server has {MAX_WATCHES} WatchStudy streams, its most; end one, or try later")
        try:
            heard = requests.is_heard(context, self._stopping.is_set)
            full = requests.is_full(request.view)
            for change in watching.watch_study(self._services, study_id, request.after_revision, full, heard):
                yield _changes(change)
        finally:
            self._watching.release()


def _study(view: StudyView) -> study_pb2.Study:
    return study_codec.study_to_wire(view)


def _trial(trial: Trial) -> trial_pb2.Trial:
    return trial_codec.trial_to_wire(trial, None, token_visible=False)


def _trial_view(view: TrialView) -> trial_pb2.Trial:
    return trial_codec.trial_to_wire(view.trial, view.measurements, token_visible=False)


def _handout(handout: Handout) -> pb.SuggestTrialsResponse:
    delay = None
    if handout.retry_delay is not None:
        delay = Duration()
        delay.FromTimedelta(handout.retry_delay)
    given = [trial_codec.trial_to_wire(trial, None, token_visible=True) for trial in handout.trials]
    return pb.SuggestTrialsResponse(trials=given, shortfall=SHORTFALLS[handout.shortfall], retry_delay=delay)


def _changes(change: StudyChanges) -> pb.WatchStudyResponse:
    now = Timestamp()
    now.GetCurrentTime()
    return pb.WatchStudyResponse(
        study=_study(change.study),
        trials=[_trial_view(view) for view in change.trials],
        deleted_trials=change.deleted,
        revision=change.revision,
        send_time=now,
    )
