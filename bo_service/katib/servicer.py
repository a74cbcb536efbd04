"""Katib's suggestion service: each experiment is a study, and each call brings the study up to date first."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import grpc
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service import request_context
from bo_service.application.context import AppContext
from bo_service.application.external_trials import record_external_trials, suggest_external_trials
from bo_service.application.studies import create_study, get_study
from bo_service.application.suggest_trials import SuggestRequest
from bo_service.application.waiting import Turn
from bo_service.domain.errors import DeadlinePassed, InvalidArgument, NotFound
from bo_service.domain.limits import MAX_SUGGESTIONS
from bo_service.katib.experiment import KatibExperiment, check_experiment, experiment_from_wire
from bo_service.rpc.codec.fields import each

SCHEDULER = "katib"
"""Worker of the trials."""
NUM_TURNS = 64
"""Studies are distributed among so many turns: calls of different studies rarely wait for each other."""


class SuggestionServicer(rpc.SuggestionServicer):
    """The implementation of `api.v1.beta1.Suggestion`. It raises errors; an interceptor converts them to statuses."""

    def __init__(self, app: AppContext, namespace: str) -> None:
        """Create the servicer.

        Args:
            app: the application.
            namespace: Kubernetes namespace of the experiments; part of the ids of their studies.
        """
        self._app, self._namespace = app, namespace
        self._turns = [Turn() for _ in range(NUM_TURNS)]

    def GetSuggestions(
        self, request: pb.GetSuggestionsRequest, context: grpc.ServicerContext
    ) -> pb.GetSuggestionsReply:
        # 1. Read the experiment, and how many configurations Katib wants and has received.
        experiment = experiment_from_wire(request.experiment, self._namespace)
        _authorize(experiment.study_id)
        count, total = request.current_request_number, request.total_request_number
        if not 0 <= count <= MAX_SUGGESTIONS:
            raise InvalidArgument.of("current_request_number", f"is {count}; give 0 to {MAX_SUGGESTIONS}")
        received = max(0, total - count)
        reports = each(request.trials, "trials", experiment.report)
        if len({report.name for report in reports}) < len(reports):
            raise InvalidArgument.of("trials", "hold a name twice; each trial occurs once")
        with self._turn(experiment.study_id, context):
            # 2. Bring the study up to date.
            self._ensure_study(experiment)
            record_external_trials(self._app, experiment.study_id, reports, received, SCHEDULER)
            # 3. Suggest: again what Katib has not received, then new configurations.
            suggest_request = SuggestRequest(
                experiment.study_id,
                count,
                SCHEDULER,
                request_context.timeout(context, count),
                is_awaited=partial(request_context.is_awaited, context),
            )
            trials = suggest_external_trials(self._app, suggest_request, received)
        reply = pb.GetSuggestionsReply()
        for trial in trials:
            reply.parameter_assignments.add(assignments=experiment.space.assignments(trial.parameters))
        return reply

    def ValidateAlgorithmSettings(
        self, request: pb.ValidateAlgorithmSettingsRequest, context: grpc.ServicerContext
    ) -> pb.ValidateAlgorithmSettingsReply:
        check_experiment(experiment_from_wire(request.experiment, self._namespace), request.experiment)
        return pb.ValidateAlgorithmSettingsReply()

    def _ensure_study(self, experiment: KatibExperiment) -> None:
        """Create the study unless it exists. Settings that a user has changed since are kept."""
        try:
            get_study(self._app, experiment.study_id)
        except NotFound:
            create_study(self._app, experiment.new_study(self._namespace), None)

    @contextmanager
    def _turn(self, study_id: str, context: grpc.ServicerContext) -> Iterator[None]:
        """Wait until no other call for the study runs.

        Raises:
            DeadlinePassed: the turn came too late, or nobody waits for the answer: what the call reports is outdated.
        """
        turn = self._turns[zlib.crc32(study_id.encode()) % NUM_TURNS]
        with turn.taken(request_context.timeout(context)) as is_mine:
            if not is_mine or not request_context.is_awaited(context):
                raise DeadlinePassed("another call for this experiment is in progress; nothing was changed: retry")
            yield


def _authorize(study_id: str) -> None:
    """Check that the caller may change the study, and name it in the call's log lines. Raises PermissionDenied."""
    call = request_context.CURRENT.get(None)
    if call is not None:
        call.principal.require_study(study_id)
        call.study = study_id
