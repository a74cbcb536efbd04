"""A study: ask for trials, look at what came of them."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import space_pb2, study_pb2, trial_pb2

from bo_client.errors import BoClientError, InvalidRequest
from bo_client.insight import Analysis, Slice
from bo_client.optimize import optimize
from bo_client.outcomes import logger, why_no_more
from bo_client.parameters import plain
from bo_client.retries import new_request_id
from bo_client.running import RunningTrial, Suggestions
from bo_client.settings import StudySettings
from bo_client.values import (
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
from bo_client.watch import watch
from bo_client.wire import codec, codec_insight, codec_plain
from bo_client.wire.codec_space import values_to_wire

if TYPE_CHECKING:
    from bo_client.client import Client

GLANCE = 3.0
"""Seconds for which a notebook waits for what it shows."""
ANALYSIS_TIMEOUT_S = 300.0
"""Seconds for which an analysis is awaited: it takes one or two, and more on a machine that has much else to do."""
FULL_PAGE = 20
"""Trials a page where each brings its learning curve."""


def default_worker_id() -> str:
    """Host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"[:128]


class Study:
    """One study on one server. Threads may share it."""

    def __init__(self, client: "Client", info: StudyInfo) -> None:
        self.client = client
        self.definition = info
        """The study as it was when this handle was made; its id, space and metrics never change."""
        self._has_suggested = False

    def __repr__(self) -> str:
        return f"Study({self.id!r})"

    def _repr_html_(self) -> str:
        """As it is now where its server answers at once, else as it was; a notebook isn't kept waiting."""
        from bo_client.notebook import study_html

        try:
            answer = self.client.ask(pb.GetStudyRequest(name=self.name), pb.GetStudyResponse, GLANCE, patience=0.0)
            request = pb.GetBestTrialsRequest(parent=self.name, count=1)
            best = self.client.ask(request, pb.GetBestTrialsResponse, GLANCE, patience=0.0)
        except BoClientError as error:
            return study_html(self.definition, remark=f"as it was when it was opened: {error}")
        return study_html(codec.study_from_wire(answer.study), [codec.trial_from_wire(t) for t in best.trials])

    @property
    def id(self) -> str:
        """The last part of its name."""
        return self.definition.id

    @property
    def name(self) -> str:
        """`studies/{study}`."""
        return self.definition.name

    def hasty(self) -> "Study":
        """The same study for a process that is ending: its calls wait a few seconds at most."""
        return Study(self.client.hasty(), self.definition)

    def info(self) -> StudyInfo:
        """The study as it is now. Raises NotFound."""
        return self.client.study_info(self.id)

    def suggest(
        self,
        count: int = 1,
        worker_id: str | None = None,
        timeout: float | None = None,
        objective: ObjectiveSpec | None = None,
    ) -> Suggestions:
        """Trials to run now, each under a lease; fewer than `count` where `shortfall` says why.

        Args:
            count: 1 to 100.
            worker_id: who will run them; by default this host and process.
            timeout: seconds to wait; the server answers in time, if need be without its surrogate.
            objective: what will be evaluated; a study that has none takes it. By default it isn't compared.

        Raises:
            InvalidRequest: a count or a worker's id that is out of bounds.
            NotFound: the study is gone.
            FailedPrecondition: the study has another objective, or other options of it (OBJECTIVE_MISMATCH).
        """
        suggestions = self._suggestions(count, worker_id, timeout, objective)
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
    ) -> Suggestions:
        """As `suggest`, for callers who say themselves why there is no trial.

        At an interruption, what the server may have handed out already is given back.
        """
        request = pb.SuggestTrialsRequest(
            parent=self.name, count=count, worker_id=worker_id or default_worker_id(), request_id=new_request_id()
        )
        if objective is not None:
            request.objective.CopyFrom(codec.objective_to_wire(objective))
        try:
            answer = self.client.ask(request, pb.SuggestTrialsResponse, timeout)
        except Exception:
            raise
        except BaseException as interrupt:
            self._give_back(request, f"interrupted by {type(interrupt).__name__}")
            raise
        trials = [RunningTrial.from_wire(self, message, message.lease.token) for message in answer.trials]
        return Suggestions(trials, codec.shortfall_from_wire(answer), codec_plain.seconds_of(answer, "retry_delay"))

    def _give_back(self, request: pb.SuggestTrialsRequest, why: str) -> None:
        """Gives back what the request was given: the same request has the same answer."""
        hasty = self.hasty()
        with suppress(BoClientError):
            for message in hasty.client.ask(request, pb.SuggestTrialsResponse).trials:
                RunningTrial.from_wire(hasty, message, message.lease.token).fail(FailureReason.PREEMPTED, why)

    def attach(self, number: int, lease_token: str) -> RunningTrial:
        """A trial that another process was given, as when a shell script completes it. Raises NotFound."""
        return RunningTrial.from_wire(self, self._get(number, pb.TRIAL_VIEW_BASIC), lease_token)

    def trials(self, states: Iterable[TrialState | str] | None = None, full: bool = False) -> Iterator[Trial]:
        """The trials in the order of their numbers; with their learning curves where `full`. Raises NotFound."""
        request = pb.ListTrialsRequest(parent=self.name, view=_view(full), page_size=FULL_PAGE if full else 0)
        for state in states or ():
            request.states.append(codec_plain.enum_to_wire(trial_pb2.TrialState, "TRIAL_STATE", state, "states"))
        while True:
            page = self.client.ask(request, pb.ListTrialsResponse)
            yield from (codec.trial_from_wire(message) for message in page.trials)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def trial(self, number: int, full: bool = True) -> Trial:
        """One trial. Raises NotFound."""
        return codec.trial_from_wire(self._get(number, _view(full)))

    def best(self) -> Trial | None:
        """The best trial that keeps to every bound, None while there is none; of several objectives, in the first."""
        return next(iter(self.best_trials(1)), None)

    def best_trials(self, count: int) -> Trials:
        """Of those that keep to every bound the best, the best first; with several objectives the Pareto set, whole."""
        answer = self.client.ask(pb.GetBestTrialsRequest(parent=self.name, count=count), pb.GetBestTrialsResponse)
        return Trials(codec.trial_from_wire(message) for message in answer.trials)

    def enqueue(
        self, parameters: Mapping[str, Any], labels: Mapping[str, str] | None = None, request_id: str | None = None
    ) -> Trial:
        """Puts a configuration in the queue, to be handed out before any suggestion.

        Args:
            parameters: a value for each active parameter.
            labels: the user's own marks.
            request_id: several programs that give the same one queue one trial together.

        Raises:
            InvalidRequest: no configuration of the study.
        """
        trial = trial_pb2.Trial(parameters=self._configuration(parameters), labels=labels or {})
        return self._create(trial, request_id)

    def add(
        self,
        parameters: Mapping[str, Any],
        metrics: float | Mapping[str, float] | None = None,
        failure: FailureReason | str | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> Trial:
        """Records an evaluation made elsewhere: either its final metrics or why it failed.

        Several programs that give the same `request_id` add one trial together. Raises InvalidRequest.
        """
        if (metrics is None) == (failure is None):
            raise InvalidRequest.of("metrics", "and failure: give exactly one of them")
        trial = trial_pb2.Trial(parameters=self._configuration(parameters), labels=labels or {})
        if metrics is not None:
            trial.final_measurement.CopyFrom(codec.measurement_to_wire(self.metrics_of(metrics)))
        if failure is not None:
            trial.failure.CopyFrom(codec.failure_to_wire(failure, ""))
        return self._create(trial, request_id)

    def stop_trial(self, number: int, reason: str = "") -> Trial:
        """Ends a queued trial at once, or asks the worker of a running one to stop. Raises FailedPrecondition."""
        request = pb.StopTrialRequest(name=self._trial_name(number), reason=reason, request_id=new_request_id())
        return codec.trial_from_wire(self.client.ask(request, pb.StopTrialResponse).trial)

    def delete_trial(self, number: int) -> None:
        """Deletes a trial that is not running; the surrogate forgets it. Raises FailedPrecondition, NotFound."""
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
        """Changes what is given, and leaves the rest. Raises InvalidRequest."""
        study = study_pb2.Study(name=self.name)
        request = pb.UpdateStudyRequest(study=study, request_id=new_request_id())
        given: StudySettings = {**(settings or {})}
        if max_trials is not None:
            given["max_trials"] = max_trials
        codec.settings_to_wire(given, request.study.spec)
        paths = [codec.SETTING_PATHS[name] for name in given]
        if state is not None:
            request.study.state = codec_plain.enum_to_wire(study_pb2.StudyState, "STUDY_STATE", state, "state")
            paths.append("state")
        if display_name is not None:
            request.study.display_name = display_name
            paths.append("display_name")
        if labels is not None:
            request.study.labels.update(labels)
            paths.append("labels")
        if objective is not None:
            request.study.objective.CopyFrom(codec.objective_to_wire(objective))
            paths.append("objective")
        request.update_mask.paths.extend(paths)
        return codec.study_from_wire(self.client.ask(request, pb.UpdateStudyResponse).study)

    def predict(self, configurations: Sequence[Mapping[str, Any]]) -> list[ConfigurationPrediction]:
        """What the surrogate says of each configuration. Raises FailedPrecondition with too few results."""
        request = pb.PredictRequest(
            parent=self.name,
            configurations=[space_pb2.Configuration(parameters=self._configuration(c)) for c in configurations],
        )
        answer = self.client.ask(request, pb.PredictResponse)
        return [codec.prediction_from_wire(message) for message in answer.predictions]

    def slice(self, *parameters: str, grid_size: int | None = None, base: Mapping[str, Any] | None = None) -> Slice:
        """What the surrogate says along one or two parameters, the others held at `base`: for plots.

        Args:
            parameters: their names.
            grid_size: how many values of each at most; by default 50 for one, 25 for two. Of categories there are all.
            base: a configuration; by default the best trial's.

        Raises:
            InvalidRequest: no parameters of the study, or no configuration.
            FailedPrecondition: too few results.
        """
        request = pb.PredictSliceRequest(parent=self.name, parameters=parameters, grid_size=grid_size)
        if base is not None:
            request.base.CopyFrom(space_pb2.Configuration(parameters=self._configuration(base)))
        return codec_insight.slice_from_wire(self.client.ask(request, pb.PredictSliceResponse))

    def analyze(self, timeout: float | None = None) -> Analysis:
        """Which parameters matter, whether the best is really best, and how far the surrogate is to be trusted.

        Args:
            timeout: Seconds to wait; by default at least `ANALYSIS_TIMEOUT_S`, since this is computed for people.

        Raises:
            FailedPrecondition: too few results.
        """
        if timeout is None:
            timeout = max(self.client.timeout, ANALYSIS_TIMEOUT_S)
        request = pb.AnalyzeStudyRequest(name=self.name)
        return codec_insight.analysis_from_wire(self.client.ask(request, pb.AnalyzeStudyResponse, timeout))

    def watch(self, after_revision: int = 0, full: bool = False, patience: float | None = None) -> Iterator[Change]:
        """Every change from `after_revision` on, as it happens; goes on by itself where the connection breaks.

        Args:
            after_revision: the last one seen; 0 begins with the whole study.
            full: with learning curves.
            patience: seconds for which nobody may answer; by default the client's.

        Raises:
            NotFound: the study is gone.
            ServerUnavailable: patience has run out.
        """
        limit = self.client.patience if patience is None else patience
        request = pb.WatchStudyRequest(name=self.name, after_revision=after_revision, view=_view(full))
        return watch(self.client.transport, request, limit, self.client.waits_for_server or patience is not None)

    def optimize(
        self,
        objective: Callable[..., Any],
        n_trials: int | None = None,
        worker_id: str | None = None,
        raise_errors: bool = False,
    ) -> Trial | list[Trial] | None:
        """Runs trials until the study is completed, or `n_trials` of them; returns the best trial, or None.

        With several objectives it returns the Pareto set: the trials that none beats in all of them, the best in the
        first objective first.

        A thread sends heartbeats meanwhile. A trial whose result is not finite fails as DIVERGED. A trial whose
        objective raises fails as `bo_client.failures.failure_of` reads the exception: OUT_OF_MEMORY where memory ran
        out, DIVERGED, the reason of a TrialFailed, or CRASHED. The third crash in a row is raised again, and with
        `raise_errors` every exception but TrialFailed.

        The logger `bo_client` has a line for each trial and, at the end, how many ran and why there are no more.
        Failures, the first of each kind with its traceback, and an end before `n_trials` are warnings.

        Ctrl-C ends the program and gives the running trial back. SIGTERM does so only after
        `signal.signal(signal.SIGTERM, signal.default_int_handler)`; else the trial waits until its lease runs out.

        Args:
            objective: called with the parameters, or with the parameters and the trial, whose `report` raises StopTrial
                when the trial is told to stop. Returns metrics by name, or the metric alone where there is no
                other objective or constraint.
            n_trials: how many to run here; may be left out where the study has `max_trials`.
            worker_id: by default this host and process.
        """
        optimize(self, objective, n_trials, worker_id, raise_errors)
        return self.best() if len(self.definition.objectives) == 1 else self.best_trials(1)

    def metrics_of(self, given: float | Mapping[str, float]) -> Mapping[str, float]:
        """Metrics by name, where a number alone is the objective metric, if nothing else is asked for.

        Raises:
            InvalidRequest: for anything else.
        """
        named = given if isinstance(given, Mapping) else {self._only_metric(given): given}
        numbers = {name: plain(f"metrics[{name!r}]", value) for name, value in named.items()}
        for name, number in numbers.items():
            if isinstance(number, str):
                raise InvalidRequest.of(f"metrics[{name!r}]", f"is {number!r}; it must be a number")
        return {name: float(number) for name, number in numbers.items()}

    def _only_metric(self, given: object) -> str:
        """Raises InvalidRequest where there are several that `given` could be."""
        names = [metric.name for metric in self.definition.steering]
        if len(names) > 1:
            example = ", ".join(f"{name!r}: …" for name in names)
            raise InvalidRequest.of("metrics", f"are {given!r}; give each by its name: {{{example}}}")
        return names[0]

    def _configuration(self, parameters: Mapping[str, Any]) -> dict[str, space_pb2.ParameterValue]:
        return values_to_wire(self.definition.space.conform(parameters))

    def _create(self, trial: trial_pb2.Trial, request_id: str | None = None) -> Trial:
        request = pb.CreateTrialRequest(parent=self.name, trial=trial, request_id=request_id or new_request_id())
        return codec.trial_from_wire(self.client.ask(request, pb.CreateTrialResponse).trial)

    def _get(self, number: int, view: pb.TrialView) -> trial_pb2.Trial:
        request = pb.GetTrialRequest(name=self._trial_name(number), view=view)
        return self.client.ask(request, pb.GetTrialResponse).trial

    def _trial_name(self, number: int) -> str:
        return f"{self.name}/trials/{number}"


def _view(full: bool) -> pb.TrialView:
    return pb.TRIAL_VIEW_FULL if full else pb.TRIAL_VIEW_BASIC
