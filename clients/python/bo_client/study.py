"""A study: request trials, and read their results."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import space_pb2, trial_pb2

from bo_client.artifacts import TrialFiles
from bo_client.errors import BoClientError
from bo_client.insight import Analysis, Slice
from bo_client.metric_values import metrics_by_name
from bo_client.models import (
    Change,
    ConfigurationPrediction,
    FailureReason,
    ObjectiveSpec,
    StudyInfo,
    StudyState,
    Trial,
    Trials,
    TrialState,
)
from bo_client.outcomes import logger, why_no_more
from bo_client.retries import new_request_id
from bo_client.running import RunningTrial, Suggestions, default_worker_id
from bo_client.settings import StudySettings
from bo_client.study_additions import StudyAdditions
from bo_client.study_runs import StudyRuns
from bo_client.trial_loop import RunLimit
from bo_client.trial_pages import TrialPages, read_pages
from bo_client.watch import watch
from bo_client.wire import codec, codec_insight, codec_plain
from bo_client.wire.codec_space import values_to_wire

if TYPE_CHECKING:
    from bo_client.client import Client

ANALYSIS_TIMEOUT_S = 300.0
"""Timeout in seconds of an analysis, which takes one or two, and more on a busy machine."""
FULL_PAGE = 20
"""Trials per page with learning curves."""


class Study(StudyAdditions, TrialFiles, StudyRuns):
    """A study on a server. Threads may share it."""

    def __init__(self, client: "Client", info: StudyInfo) -> None:
        self.client = client
        self.definition = info
        """The study when this handle was created; its id, space and metrics never change."""
        self._has_suggested = False
        self._asked: dict[int, RunningTrial] = {}
        self._limits: list[RunLimit] = []

    def __repr__(self) -> str:
        return f"Study({self.id!r})"

    def _repr_html_(self) -> str:
        """Return the study's current state as HTML, or the last known state if the server does not respond soon."""
        from bo_client.notebook import current_study_html

        return current_study_html(self)

    @property
    def id(self) -> str:
        """The last component of its name."""
        return self.definition.id

    @property
    def name(self) -> str:
        """`studies/{study}`."""
        return self.definition.name

    def hasty(self) -> "Study":
        """Return the study with short timeouts and no retries, for a process that shuts down."""
        return Study(self.client.hasty(), self.definition)

    def info(self) -> StudyInfo:
        """Return the current information about the study.

        Raises:
            NotFound: the study was deleted.
        """
        return self.client.study_info(self.id)

    def suggest(
        self,
        count: int = 1,
        worker_id: str | None = None,
        timeout: float | None = None,
        objective: ObjectiveSpec | None = None,
        can_resume: bool = False,
    ) -> Suggestions:
        """Request trials to run now, each under a lease; if there are fewer than `count`, `shortfall` gives the reason.

        Args:
            count: 1 to 100.
            worker_id: id of the worker; by default host and process.
            timeout: seconds to wait; the server responds in time, if necessary without the surrogate.
            objective: objective of the worker; a study without one adopts it. By default it is not compared.
            can_resume: whether to train in parts: from `checkpoint_uri` up to `until_step`. By default no trial pauses.

        Returns:
            The trials.

        Raises:
            InvalidRequest: a count or a worker's id that is out of bounds.
            NotFound: the study is gone.
            FailedPrecondition: the study has another objective, or other options of it (OBJECTIVE_MISMATCH), or its
                algorithm is not installed beside the server (ALGORITHM_NOT_INSTALLED).
        """
        suggestions = self._suggestions(count, worker_id, timeout, objective, can_resume)
        shortfall = suggestions.shortfall
        if not suggestions and shortfall is not None and shortfall.is_final and not self._has_suggested:
            logger.warning("%s gave no trial: %s", self.name, why_no_more(self, shortfall))
        self._has_suggested = True
        return suggestions

    def _suggestions(
        self,
        count: int,
        worker_id: str | None = None,
        timeout: float | None = None,
        objective: ObjectiveSpec | None = None,
        can_resume: bool = False,
    ) -> Suggestions:
        """Request trials as `suggest` does, without a warning if there are none.

        After an interruption, trials that the server may already have assigned are returned.
        """
        request = pb.SuggestTrialsRequest(parent=self.name, request_id=new_request_id(), can_resume=can_resume)
        worker_id = worker_id or default_worker_id()
        codec_plain.build_or_raise("worker_id", worker_id, lambda: setattr(request, "worker_id", worker_id))
        request.count = codec_plain.count_to_wire(count)
        if objective is not None:
            request.objective.CopyFrom(codec.objective_to_wire(objective))
        try:
            response = self.client.ask(request, pb.SuggestTrialsResponse, timeout)
        except Exception:
            raise
        except BaseException as interrupt:
            self._return_trials(request, f"interrupted by {type(interrupt).__name__}")
            raise
        trials = [RunningTrial.from_wire(self, message, message.lease.token) for message in response.trials]
        delay, limit = codec_plain.seconds_of(response, "retry_delay"), codec.limit_from_wire(response.reached_limit)
        return Suggestions(trials, codec.shortfall_from_wire(response), delay, limit)

    def _return_trials(self, request: pb.SuggestTrialsRequest, why: str) -> None:
        """Return the trials of a request to the server; the repeated request gets the same response."""
        hasty = self.hasty()
        with suppress(BoClientError):
            for message in hasty.client.ask(request, pb.SuggestTrialsResponse).trials:
                RunningTrial.from_wire(hasty, message, message.lease.token).fail(FailureReason.PREEMPTED, why)

    def attach(self, number: int, lease_token: str) -> RunningTrial:
        """Return a trial that another process got, as when a shell script completes it.

        Args:
            number: The trial's number.
            lease_token: What `RunningTrial.lease_token` was in that process.

        Raises:
            NotFound: the trial does not exist.
        """
        return RunningTrial.from_wire(self, self._get(number, pb.TRIAL_VIEW_BASIC), lease_token)

    def trials(
        self, states: Iterable[TrialState | str] | None = None, full: bool = False, order_by: str = ""
    ) -> TrialPages:
        """Return the trials, by default by number: a sequence, which is read page by page.

        Args:
            states: states of the trials; by default all.
            full: whether to include learning curves.
            order_by: `number`, `state`, `start_time`, `end_time`, `duration`, `metrics.NAME` or `parameters.NAME`, with
                ` desc` to descend. Trials without a value come last.

        Raises:
            NotFound: the study was deleted.
            InvalidRequest: there is no such order; raised when the first page is read.
            NotSupported: the server is too old for an order.
        """
        size = FULL_PAGE if full else 0
        request = pb.ListTrialsRequest(parent=self.name, view=_view(full), page_size=size, order_by=order_by)
        for state in states or ():
            request.states.append(codec_plain.enum_to_wire(trial_pb2.TrialState, "TRIAL_STATE", state, "states"))
        return TrialPages(lambda: read_pages(self.client, request))

    def trial(self, number: int, full: bool = True) -> Trial:
        """Return a trial.

        Args:
            number: The trial's number.
            full: Whether to include its learning curve.

        Raises:
            NotFound: the trial does not exist.
        """
        return codec.trial_from_wire(self._get(number, _view(full)))

    def best(self) -> Trial | None:
        """Return the best trial within all bounds, in the first objective; None while there is none."""
        return next(iter(self.best_trials(1)), None)

    def best_trials(self, count: int) -> Trials:
        """Return the best trials within all bounds, best first; with several objectives the whole Pareto set."""
        number = codec_plain.count_to_wire(count)
        response = self.client.ask(pb.GetBestTrialsRequest(parent=self.name, count=number), pb.GetBestTrialsResponse)
        return Trials(codec.trial_from_wire(message) for message in response.trials)

    def stop_trial(self, number: int, reason: str = "") -> Trial:
        """End a queued or paused trial immediately, or ask the worker of a running one to stop.

        Args:
            number: The trial's number.
            reason: Why, in words that the trial keeps.

        Raises:
            FailedPrecondition: the trial has ended.
        """
        request = pb.StopTrialRequest(name=self._trial_name(number), reason=reason, request_id=new_request_id())
        return codec.trial_from_wire(self.client.ask(request, pb.StopTrialResponse).trial)

    def delete_trial(self, number: int) -> None:
        """Delete a trial that is not running; the surrogate no longer uses it.

        Raises:
            FailedPrecondition: the trial is running.
            NotFound: the trial does not exist.
        """
        request = pb.DeleteTrialRequest(name=self._trial_name(number), request_id=new_request_id())
        self.client.ask(request, pb.DeleteTrialResponse)

    def update(
        self,
        *,
        state: StudyState | str | None = None,
        display_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        settings: StudySettings | None = None,
        max_trials: int | None = None,
        objective: ObjectiveSpec | None = None,
    ) -> StudyInfo:
        """Change the given properties, and leave the others.

        Args:
            state: ACTIVE, PAUSED or COMPLETED.
            display_name: A name to show beside the id.
            labels: All labels; those that are not given are removed.
            settings: The settings to change; the others stay.
            max_trials: The most trials that there may be. The budgets `max_steps` and `max_seconds` are settings.
            objective: What the values depend on besides the parameters.

        Returns:
            The study as it is now.

        Raises:
            InvalidRequest: a property is invalid.
        """
        changes: StudySettings = {**(settings or {})}
        if max_trials is not None:
            changes["max_trials"] = max_trials
        request = codec.update_to_wire(self.name, changes, state, display_name, labels, objective)
        return codec.study_from_wire(self.client.ask(request, pb.UpdateStudyResponse).study)

    def predict(self, configurations: Sequence[Mapping[str, Any]]) -> list[ConfigurationPrediction]:
        """Return the surrogate's predictions of configurations.

        Raises:
            FailedPrecondition: there are too few results.
        """
        request = pb.PredictRequest(
            parent=self.name,
            configurations=[space_pb2.Configuration(parameters=self._configuration(c)) for c in configurations],
        )
        response = self.client.ask(request, pb.PredictResponse)
        return [codec.prediction_from_wire(message) for message in response.predictions]

    def slice(self, *parameters: str, grid_size: int | None = None, base: Mapping[str, Any] | None = None) -> Slice:
        """Return predictions along one or two parameters, with the others fixed, for plots.

        Args:
            parameters: names of the parameters.
            grid_size: maximum number of values of each; by default 50 for one parameter, 25 for two. All values of a
                category are used.
            base: configuration with the other parameters' values; by default the best trial's.

        Raises:
            InvalidRequest: a parameter does not belong to the study, or the configuration is invalid.
            FailedPrecondition: there are too few results.
        """
        request = pb.PredictSliceRequest(parent=self.name, parameters=parameters, grid_size=grid_size)
        if base is not None:
            request.base.CopyFrom(space_pb2.Configuration(parameters=self._configuration(base)))
        return codec_insight.slice_from_wire(self.client.ask(request, pb.PredictSliceResponse))

    def analyze(self, timeout: float | None = None) -> Analysis:
        """Return the importance of parameters, the certainty of the best, and the calibration of the surrogate.

        Args:
            timeout: seconds to wait; by default at least `ANALYSIS_TIMEOUT_S`.

        Raises:
            FailedPrecondition: there are too few results.
        """
        if timeout is None:
            is_limited = math.isfinite(self.client.timeout)
            timeout = max(self.client.timeout, ANALYSIS_TIMEOUT_S) if is_limited else ANALYSIS_TIMEOUT_S
        request = pb.AnalyzeStudyRequest(name=self.name)
        return codec_insight.analysis_from_wire(self.client.ask(request, pb.AnalyzeStudyResponse, timeout))

    def watch(self, after_revision: int = 0, full: bool = False, patience: float | None = None) -> Iterator[Change]:
        """Yield every change from a revision on, as it happens; reconnect after interruptions.

        Args:
            after_revision: the last revision received; 0 starts with the whole study.
            full: whether to include learning curves.
            patience: seconds without a response after which the error is raised; by default the client's.

        Raises:
            NotFound: the study was deleted.
            ServerUnavailable: the server does not respond within the patience.
        """
        limit = self.client.patience if patience is None else patience
        request = pb.WatchStudyRequest(name=self.name, after_revision=after_revision, view=_view(full))
        return watch(self.client.transport, request, limit, self.client.waits_for_server or patience is not None)

    def metrics_of(self, metrics: float | Mapping[str, float]) -> Mapping[str, float]:
        """Return metrics by name; a number alone is the objective, if the study has no other modelled metric.

        Raises:
            InvalidRequest: a metric is not a number, or its name is missing.
        """
        return metrics_by_name(metrics, [metric.name for metric in self.definition.modelled_metrics])

    def _configuration(self, parameters: Mapping[str, Any]) -> dict[str, space_pb2.ParameterValue]:
        return values_to_wire(self.definition.space.coerce(parameters))

    def _get(self, number: int, view: pb.TrialView) -> trial_pb2.Trial:
        request = pb.GetTrialRequest(name=self._trial_name(number), view=view)
        return self.client.ask(request, pb.GetTrialResponse).trial


def _view(full: bool) -> pb.TrialView:
    return pb.TRIAL_VIEW_FULL if full else pb.TRIAL_VIEW_BASIC
