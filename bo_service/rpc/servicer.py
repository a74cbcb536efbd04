"""The optimization service: each call is decoded, passed to its use case, and its response encoded."""

import threading
from collections.abc import Iterator
from functools import partial

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import study_pb2, trial_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from bo_service import request_context
from bo_service.application import (
    artifacts,
    best_trials,
    insight,
    predict,
    studies,
    suggest_trials,
    trial_lifecycle,
    trials,
    watch_study,
)
from bo_service.application.context import AppContext
from bo_service.application.ports import TrialSummary
from bo_service.application.trial_order import TrialOrder
from bo_service.application.views import Shortfall, StudyChanges, StudyView, TrialView
from bo_service.domain.errors import InvalidArgument, LimitExceeded
from bo_service.domain.limits import (
    MAX_BEST,
    MAX_CALL_MEASUREMENTS,
    MAX_CONFIGURATIONS,
    MAX_LEASE_TOKEN,
    MAX_NOTE,
    MAX_STOP_REASON,
    MAX_SUGGESTIONS,
    MAX_WATCHES,
)
from bo_service.rpc import pages
from bo_service.rpc.codec import artifact as artifact_codec
from bo_service.rpc.codec import fields, study
from bo_service.rpc.codec import insight as insight_codec
from bo_service.rpc.codec import trial as trial_codec
from bo_service.rpc.codec.trial import trial_to_wire

SHORTFALLS = {
    None: pb.SHORTFALL_UNSPECIFIED,
    Shortfall.ALL_IN_PROGRESS: pb.SHORTFALL_ALL_IN_PROGRESS,
    Shortfall.PAUSED: pb.SHORTFALL_PAUSED,
    Shortfall.COMPLETED: pb.SHORTFALL_COMPLETED,
    Shortfall.SPACE_EXHAUSTED: pb.SHORTFALL_SPACE_EXHAUSTED,
    Shortfall.NEEDS_RESUME: pb.SHORTFALL_NEEDS_RESUME,
}


class OptimizationServicer(rpc.OptimizationServiceServicer):
    """The implementation of `bo_api.v1.OptimizationService`.

    It raises errors; an interceptor converts them to statuses.
    """

    def __init__(self, app: AppContext, waiting: int, watching: int) -> None:
        """Create the servicer.

        Args:
            app: the application.
            waiting: maximum calls that wait for the surrogate.
            watching: maximum WatchStudy streams.
        """
        self._app = app
        self._stopping = threading.Event()
        self._waiting = threading.BoundedSemaphore(waiting)
        self._watching = threading.BoundedSemaphore(watching)

    def stop(self) -> None:
        """End the streams."""
        self._stopping.set()

    def CreateStudy(self, request: pb.CreateStudyRequest, context: grpc.ServicerContext) -> pb.CreateStudyResponse:
        new = study.new_study_from_wire(request)
        key = fields.request_key("CreateStudy", new.study_id, request, context)
        return pb.CreateStudyResponse(study=_study(studies.create_study(self._app, new, key)))

    def GetStudy(self, request: pb.GetStudyRequest, context: grpc.ServicerContext) -> pb.GetStudyResponse:
        study_id = fields.study_id_of(request.name, "name")
        return pb.GetStudyResponse(study=_study(studies.get_study(self._app, study_id)))

    def ListStudies(self, request: pb.ListStudiesRequest, context: grpc.ServicerContext) -> pb.ListStudiesResponse:
        if request.page_token:
            fields.check_study_id(request.page_token, "page_token")
        limit = pages.page_size(request.page_size)
        views, next_page_token = studies.list_studies(
            self._app, request.page_token, limit, request_context.CURRENT.get().principal.sees
        )
        page, is_truncated = pages.page_of(_study(view) for view in views)
        token = views[len(page) - 1].study.study_id if is_truncated else next_page_token
        return pb.ListStudiesResponse(studies=page, next_page_token=token)

    def UpdateStudy(self, request: pb.UpdateStudyRequest, context: grpc.ServicerContext) -> pb.UpdateStudyResponse:
        study_id = fields.study_id_of(request.study.name, "study.name")
        change = study.update_from_wire(request)
        key = fields.request_key("UpdateStudy", study_id, request, context)
        return pb.UpdateStudyResponse(study=_study(studies.update_study(self._app, study_id, change, key)))

    def DeleteStudy(self, request: pb.DeleteStudyRequest, context: grpc.ServicerContext) -> pb.DeleteStudyResponse:
        study_id = fields.study_id_of(request.name, "name")
        studies.delete_study(self._app, study_id, fields.request_key("DeleteStudy", study_id, request, context))
        return pb.DeleteStudyResponse()

    def SuggestTrials(
        self, request: pb.SuggestTrialsRequest, context: grpc.ServicerContext
    ) -> pb.SuggestTrialsResponse:
        study_id = fields.study_id_of(request.parent, "parent")
        count = fields.count_of(request.count, MAX_SUGGESTIONS)
        worker_id = fields.worker_id_of(request.worker_id)
        objective = study.objective_from_wire(request, "objective")
        key = fields.request_key("SuggestTrials", study_id, request, context)
        may_wait = self._waiting.acquire(blocking=False)
        try:
            timeout = request_context.timeout(context, count) if may_wait else 0.0
            is_awaited = partial(request_context.is_awaited, context)
            suggest_request = suggest_trials.SuggestRequest(
                study_id, count, worker_id, timeout, objective, request.can_resume, is_awaited
            )
            result = suggest_trials.suggest_trials(self._app, suggest_request, key)
        finally:
            if may_wait:
                self._waiting.release()
        return pb.SuggestTrialsResponse(
            trials=[trial_to_wire(trial, token_visible=True) for trial in result.trials],
            shortfall=SHORTFALLS[result.shortfall],
            retry_delay=result.retry_delay,
            reached_limit=study.LIMITS_TO_WIRE[result.reached_limit],
        )

    def CreateTrial(self, request: pb.CreateTrialRequest, context: grpc.ServicerContext) -> pb.CreateTrialResponse:
        study_id = fields.study_id_of(request.parent, "parent")
        new = trial_codec.new_trial_from_wire(request.trial, "trial")
        key = fields.request_key("CreateTrial", study_id, request, context)
        return pb.CreateTrialResponse(trial=trial_to_wire(trials.create_trial(self._app, study_id, new, key)))

    def ReportMeasurements(
        self, request: pb.ReportMeasurementsRequest, context: grpc.ServicerContext
    ) -> pb.ReportMeasurementsResponse:
        study_id, number = fields.trial_of(request.name, "name")
        if len(request.measurements) > MAX_CALL_MEASUREMENTS:
            count = len(request.measurements)
            raise InvalidArgument.of("measurements", f"has {count}; a call takes at most {MAX_CALL_MEASUREMENTS}")
        measurements = fields.each(request.measurements, "measurements", trial_codec.measurement_from_wire)
        uri = trial_codec.checkpoint_uri_from_wire(request.checkpoint_uri, "checkpoint_uri")
        token = fields.lease_token_of(request.lease_token)
        heartbeat = trial_lifecycle.report_measurements(self._app, study_id, number, token, measurements, uri)
        return pb.ReportMeasurementsResponse(
            should_stop=heartbeat.should_stop,
            stop_reason=heartbeat.stop_reason,
            lease_valid=heartbeat.lease_valid,
            should_pause=heartbeat.should_pause,
            pause_reason=heartbeat.pause_reason,
            until_step=heartbeat.until_step,
            lease_expire_time=heartbeat.lease_expire_time,
            lease_remaining=heartbeat.lease_remaining,
        )

    def CompleteTrial(
        self, request: pb.CompleteTrialRequest, context: grpc.ServicerContext
    ) -> pb.CompleteTrialResponse:
        study_id, number = fields.trial_of(request.name, "name")
        outcome = trial_codec.outcome_from_wire(request)
        token = fields.lease_token_of(request.lease_token)
        key = fields.request_key("CompleteTrial", study_id, request, context)
        labels = fields.labels_from_wire(request.labels, "labels")
        ended = trial_lifecycle.complete_trial(self._app, study_id, number, token, outcome, key, labels)
        return pb.CompleteTrialResponse(trial=trial_to_wire(ended))

    def StopTrial(self, request: pb.StopTrialRequest, context: grpc.ServicerContext) -> pb.StopTrialResponse:
        study_id, number = fields.trial_of(request.name, "name")
        reason = fields.text(request.reason, "reason", MAX_STOP_REASON)
        key = fields.request_key("StopTrial", study_id, request, context)
        return pb.StopTrialResponse(trial=trial_to_wire(trials.stop_trial(self._app, study_id, number, reason, key)))

    def GetTrial(self, request: pb.GetTrialRequest, context: grpc.ServicerContext) -> pb.GetTrialResponse:
        study_id, number = fields.trial_of(request.name, "name")
        view = trials.get_trial(self._app, study_id, number, _is_full(request.view))
        return pb.GetTrialResponse(trial=_trial_view(view))

    def ListTrials(self, request: pb.ListTrialsRequest, context: grpc.ServicerContext) -> pb.ListTrialsResponse:
        study_id = fields.study_id_of(request.parent, "parent")
        states = {trial_codec.trial_state_from_wire(s, f"states[{i}]") for i, s in enumerate(request.states)}
        order = TrialOrder.parse(request.order_by)
        size, full = pages.page_size(request.page_size), _is_full(request.view)
        if order.is_by_number:
            after = pages.number_token(request.page_token)
            page = trials.list_trials(self._app, study_id, states, after, size, full)
        else:
            position = pages.position_of(request.page_token, order)
            page = trials.list_ordered_trials(self._app, study_id, states, order, position, size, full)
        messages, is_truncated = pages.page_of(_trial_view(view) for view in page.trials)
        token = ""
        if is_truncated or page.next_after is not None:
            last = TrialSummary.of(page.trials[len(messages) - 1].trial)
            is_plain = order.is_by_number
            token = str(last.number) if is_plain else pages.position_token(order, order.position_of(last))
        return pb.ListTrialsResponse(trials=messages, next_page_token=token, order_by=order.text)

    def DeleteTrial(self, request: pb.DeleteTrialRequest, context: grpc.ServicerContext) -> pb.DeleteTrialResponse:
        study_id, number = fields.trial_of(request.name, "name")
        key = fields.request_key("DeleteTrial", study_id, request, context)
        trials.delete_trial(self._app, study_id, number, key)
        return pb.DeleteTrialResponse()

    def AddArtifact(self, request: pb.AddArtifactRequest, context: grpc.ServicerContext) -> pb.AddArtifactResponse:
        study_id, number = fields.trial_of(request.name, "name")
        new = artifact_codec.artifact_from_wire(request)
        token = fields.text(request.lease_token, "lease_token", MAX_LEASE_TOKEN)
        key = fields.request_key("AddArtifact", study_id, request, context)
        author = request_context.CURRENT.get().principal.name
        added = artifacts.add_artifact(self._app, study_id, number, new, token, author, key)
        return pb.AddArtifactResponse(artifact=artifact_codec.artifact_to_wire(added, study_id, number))

    def ListArtifacts(
        self, request: pb.ListArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.ListArtifactsResponse:
        study_id, number = fields.trial_of(request.parent, "parent")
        if request.page_token:
            artifact_codec.check_artifact_id(request.page_token, "page_token")
        limit = pages.page_size(request.page_size)
        left = [
            artifact
            for artifact in artifacts.list_artifacts(self._app, study_id, number)
            if artifact.artifact_id > request.page_token
        ]
        messages = [artifact_codec.artifact_to_wire(artifact, study_id, number) for artifact in left[:limit]]
        token = left[limit - 1].artifact_id if len(left) > limit else ""
        return pb.ListArtifactsResponse(artifacts=messages, next_page_token=token)

    def GetArtifact(self, request: pb.GetArtifactRequest, context: grpc.ServicerContext) -> pb.GetArtifactResponse:
        study_id, number, artifact_id = fields.artifact_of(request.name, "name")
        artifact, content = artifacts.get_artifact(self._app, study_id, number, artifact_id)
        message = artifact_codec.artifact_to_wire(artifact, study_id, number)
        return pb.GetArtifactResponse(artifact=message, content=content)

    def SetTrialNote(self, request: pb.SetTrialNoteRequest, context: grpc.ServicerContext) -> pb.SetTrialNoteResponse:
        study_id, number = fields.trial_of(request.name, "name")
        text = fields.text(request.text, "text", MAX_NOTE)
        key = fields.request_key("SetTrialNote", study_id, request, context)
        author = request_context.CURRENT.get().principal.name
        noted = artifacts.set_note(self._app, study_id, number, text, author, key)
        return pb.SetTrialNoteResponse(trial=trial_to_wire(noted))

    def GetBestTrials(
        self, request: pb.GetBestTrialsRequest, context: grpc.ServicerContext
    ) -> pb.GetBestTrialsResponse:
        study_id = fields.study_id_of(request.parent, "parent")
        best = best_trials.best_trials(self._app, study_id, fields.count_of(request.count, MAX_BEST))
        return pb.GetBestTrialsResponse(trials=[trial_to_wire(trial) for trial in best])

    def Predict(self, request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:
        study_id = fields.study_id_of(request.parent, "parent")
        if not 1 <= len(request.configurations) <= MAX_CONFIGURATIONS:
            count = len(request.configurations)
            raise InvalidArgument.of("configurations", f"has {count}; give 1 to {MAX_CONFIGURATIONS}")
        configurations = fields.each(
            request.configurations,
            "configurations",
            lambda c, at: fields.configuration_from_wire(c.parameters, f"{at}.parameters"),
        )
        forecast = predict.predict(self._app, study_id, configurations, request_context.timeout(context))
        predictions = [trial_codec.forecast_to_wire(point) for point in forecast.points]
        return pb.PredictResponse(
            predictions=predictions, acquisition=forecast.acquisition, observation_count=forecast.observation_count
        )

    def PredictSlice(self, request: pb.PredictSliceRequest, context: grpc.ServicerContext) -> pb.PredictSliceResponse:
        study_id = fields.study_id_of(request.parent, "parent")
        query = insight_codec.slice_from_wire(request)
        forecast = insight.predict_slice(self._app, study_id, query, request_context.timeout(context))
        return insight_codec.slice_to_wire(forecast, study_id)

    def AnalyzeStudy(self, request: pb.AnalyzeStudyRequest, context: grpc.ServicerContext) -> pb.AnalyzeStudyResponse:
        study_id = fields.study_id_of(request.name, "name")
        analyses = insight.analyze(self._app, study_id, request_context.timeout(context))
        return insight_codec.analyses_to_wire(analyses, study_id)

    def WatchStudy(
        self, request: pb.WatchStudyRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchStudyResponse]:
        study_id = fields.study_id_of(request.name, "name")
        if not self._watching.acquire(blocking=False):
            raise LimitExceeded(
                f"this server already has {MAX_WATCHES} WatchStudy streams, the maximum; end one, or retry later"
            )
        try:
            is_listening = request_context.is_listening(context, self._stopping.is_set)
            full = _is_full(request.view)
            for change in watch_study.watch_study(self._app, study_id, request.after_revision, full, is_listening):
                yield _changes(change)
        finally:
            self._watching.release()


def _is_full(view: "pb.TrialView") -> bool:
    """Return whether the view includes learning curves."""
    return view == pb.TRIAL_VIEW_FULL


def _study(view: StudyView) -> study_pb2.Study:
    return study.study_to_wire(view)


def _trial_view(view: TrialView) -> trial_pb2.Trial:
    return trial_to_wire(view.trial, view.measurements)


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
