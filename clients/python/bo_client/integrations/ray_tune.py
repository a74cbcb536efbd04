"""Ray Tune: a search algorithm that uses the service.

    tuner = tune.Tuner(train, param_space={"lr": tune.loguniform(1e-5, 1e-1)}, tune_config=tune.TuneConfig(
        metric="loss", mode="min", num_samples=50, search_alg=BoSearch("127.0.0.1:50051", study_id="first")))

Only the driver communicates with the service; it sends the heartbeats of all running trials.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.search import Searcher
from ray.tune.search.variant_generator import parse_spec_vars
from ray.tune.utils.util import flatten_dict

from bo_client.client import Client
from bo_client.errors import InvalidRequest, NotFound
from bo_client.failures import described, failure_of
from bo_client.integrations.callers import local_of
from bo_client.integrations.external_trial import ExternalTrial, ask, ending
from bo_client.integrations.ray_space import RaySpace
from bo_client.integrations.studies import StudyConnection
from bo_client.models import Failure, FailureReason, Metric, Shortfall
from bo_client.outcomes import Waiting
from bo_client.parameters import Value, metric_values, strict_equal
from bo_client.running import RunningTrial
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.trial_loop import final_metrics

logger = logging.getLogger("bo_client.ray_tune")

STEP = "training_iteration"
"""Ray's counter of a trial's results."""
MODES: dict[str, Callable[[str], Metric]] = {
    "min": lambda name: Metric(name, "minimize"),
    "max": lambda name: Metric(name, "maximize"),
    "obs": lambda name: Metric(name, role="information"),
}
"""The metric of a name, by Ray's mode."""


class BoSearch(Searcher):
    """A search algorithm with the service's suggestions; Ray's `ConcurrencyLimiter` limits the parallel trials."""

    def __init__(
        self,
        server: str | Client | None = None,
        *,
        study_id: str,
        space: Mapping[str, Any] | SearchSpace | None = None,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
        failure_reason: FailureReason | str = FailureReason.CRASHED,
        settings: StudySettings | None = None,
    ) -> None:
        """Create the search.

        Args:
            server: HOST:PORT, or a client with tokens and TLS; by default BO_SERVER, else 127.0.0.1:50051.
            study_id: id of the service's study.
            space: as `param_space`, which is the default; or, with conditions and constraints, a SearchSpace.
            metric: metric to optimize, by default that of the TuneConfig; several create a study with several
                objectives.
            mode: "min" or "max" for each metric; "obs" for one that is only recorded.
            points_to_evaluate: configurations to evaluate first.
            failure_reason: the reason reported for a trial with an unspecific exception: CRASHED does not concern the
                parameters, INVALID_CONFIGURATION or DIVERGED do, so that the surrogate avoids them. NaN is always
                DIVERGED, and a lack of memory always OUT_OF_MEMORY.
            settings: settings of the service's study, such as {"seed": 0}.

        Raises:
            InvalidRequest: names a parameter that cannot be expressed.
        """
        super().__init__(_plain(metric), _plain(mode))
        self._metric: str | list[str] | None
        self._mode: str | list[str] | None
        self._studies = StudyConnection(server, study_id, settings)
        self._failure_reason = FailureReason(failure_reason)
        self._space = None if space is None else RaySpace(space)
        self._is_given = space is not None
        self._points = [dict(point) for point in points_to_evaluate]
        self._num_samples: int | None = None
        self._ended = self._failed = 0
        self._is_end_logged = False
        self._runs: dict[str, ExternalTrial] = {}
        self._study: Study | None = None
        self._waiting: Waiting | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runs": {}, "_study": None, "_waiting": None}

    def set_search_properties(
        self,
        metric: str | None,
        mode: str | None,
        config: Mapping[str, Any],
        **spec: Any,
    ) -> bool:
        """Set what the TuneConfig and the Tuner specify, and return whether the param_space is supported.

        Raises:
            InvalidRequest: names a parameter that cannot be expressed, or a metric that is given twice.
        """
        self._num_samples = spec.get("num_samples", self._num_samples)
        both = isinstance(self._metric, str) and metric is not None
        if both and (self._metric, self._mode or mode) != (metric, mode or self._mode):
            what = f"is {self._metric!r} ({self._mode}) in BoSearch, and {metric!r} ({mode}) in TuneConfig"
            raise InvalidRequest.of("metric", f"{what}; give it once")
        self._metric = self._metric or metric
        self._mode = self._mode or mode
        if self._is_given:
            _, domains, grids = parse_spec_vars(dict(config))
            return not domains and not grids
        if config:
            self._set_space(RaySpace(config))
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the service's suggestion; None while there is none, FINISHED if none will follow.

        Raises:
            BoClientError: the call failed.
        """
        study = self._study_of_search()
        suggestion = ask(study, _never_waiting())
        if isinstance(suggestion, RunningTrial):
            assert self._space is not None
            self._waiting = None
            self._runs[trial_id] = ExternalTrial(suggestion)
            return self._space.from_service(suggestion.parameters)
        if suggestion.is_final:
            self._log_end(study, suggestion)
            return Searcher.FINISHED
        self._waiting = self._waiting or Waiting(study)
        if not self._runs:
            self._waiting.tell(suggestion)
        return None

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Add a point to the learning curve.

        Raises:
            BoClientError: the call failed.
        """
        external_trial, metrics = self._runs.get(trial_id), self._measured(result)
        if external_trial is not None and metrics:
            external_trial.report(metrics, int(result.get(STEP, 0)))

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Report the outcome of the trial.

        Raises:
            BoClientError: the call failed.
        """
        external_trial = self._runs.pop(trial_id, None)
        if external_trial is None:
            return
        self._ended += 1
        metrics = self._measured(result or {})
        missing = [
            metric.name
            for metric in external_trial.trial.study.definition.modelled_metrics
            if metric.name not in metrics
        ]
        failure: Failure | None = None
        if error:
            failure = self._failure_of_ending_trial()
        elif result is None:
            failure = Failure(FailureReason.PREEMPTED, "Ray has ended it before it had a result")
        elif missing:
            failure = Failure(self._failure_reason, f"no result had {', '.join(missing)}")
        if failure is not None:
            self._failed += 1
            external_trial.fail(failure.reason, failure.message)
            return
        final = final_metrics(external_trial.trial.study.definition, metrics)
        self._failed += isinstance(final, Failure)
        ran = self._ran_instead(external_trial, result or {})
        if ran is None:  # also where a scheduler has ended it, of which a searcher isn't told
            external_trial.succeed(metrics, int((result or {}).get(STEP, 0)))
        else:
            external_trial.withdraw("a scheduler has changed its configuration")
            finite = None if isinstance(final, Failure) else final.metrics
            external_trial.trial.study.add(ran, finite, FailureReason.DIVERGED if finite is None else None)

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: Sequence[float] | None = None,  # noqa: ARG002 - signature of the base class
    ) -> None:
        """Add an external result; results of pruned trials are skipped.

        Raises:
            InvalidRequest: the configuration does not belong to the space.
        """
        study = self._study_of_search()
        assert self._space is not None
        configuration = _in_space(self._space, parameters, "parameters")
        if error:
            study.add(configuration, failure=FailureReason.DIVERGED)
        elif not pruned:
            study.add(configuration, value)

    def save(self, checkpoint_path: str) -> None:
        """Save the search space, the metrics, and the running trials with their leases."""
        state = {
            "study": self._study.id if self._study is not None else None,
            "runs": {i: [h.trial.number, h.trial.lease_token] for i, h in self._runs.items()},
            "space": self._space,
            "metric": self._metric,
            "mode": self._mode,
            "counts": [self._num_samples, self._ended, self._failed],
        }
        Path(checkpoint_path).write_bytes(cloudpickle.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Restore the state, and resume the trials that ran, except deleted ones.

        The space and the metrics need not be given again.

        Raises:
            BoClientError: the call failed.
        """
        content = Path(checkpoint_path).read_bytes()
        state = json.loads(content) if content.startswith(b"{") else cloudpickle.loads(content)  # JSON in old releases
        self._space = self._space or state.get("space")
        self._metric = self._metric or state.get("metric")
        self._mode = self._mode or state.get("mode")
        self._num_samples, self._ended, self._failed = state.get("counts", [self._num_samples, 0, 0])
        if state["study"] is None:
            return
        self._points = []
        self._study = self._studies.client.study(state["study"])
        for trial_id, (number, token) in state["runs"].items():
            try:
                self._runs[trial_id] = ExternalTrial(self._study.attach(number, token))
            except NotFound:
                continue

    @property
    def _names(self) -> list[str]:
        return [self._metric] if isinstance(self._metric, str) else list(self._metric or ())

    def _set_space(self, space: RaySpace) -> None:
        """Set the space.

        Raises:
            InvalidRequest: the restored study has another space.
        """
        if self._study is not None and self._study.definition.space != space.space:
            what = f"is another than that of {self._study.name}, which was restored"
            raise InvalidRequest.of("param_space", f"{what}; give the same, or take another study_id")
        self._space = space

    def _study_of_search(self) -> Study:
        """Return the study, created at the first call with the initial points in its queue."""
        if self._study is not None and self._space is not None:
            return self._study
        if self._space is None:
            raise InvalidRequest.of("space", "is missing; give it to BoSearch, or param_space to the Tuner")
        modes = [self._mode] if isinstance(self._mode, str) else list(self._mode or ())
        if not self._names:
            what = 'and mode are missing; give them to TuneConfig, as in "loss" and "min", or to BoSearch'
            raise InvalidRequest.of("metric", f"{what} where that has the space and the Tuner no param_space")
        if len(modes) != len(self._names) or not MODES.keys() >= set(modes):
            given = f"is {self._mode!r}" if self._mode else "is missing"
            each = self._names[0] if len(self._names) == 1 else f"each of {', '.join(self._names)}"
            raise InvalidRequest.of("mode", f"{given}; give one of min, max and obs for {each}")
        metrics = [MODES[mode](name) for name, mode in zip(self._names, modes, strict=True)]
        self._study = self._studies.exactly(self._space.space, metrics)
        for i, point in enumerate(self._points):
            configuration = _in_space(self._space, point, "points_to_evaluate", f"[{i}] ")
            self._study.enqueue(configuration, {"ray-point": str(i)}, f"{self._study.name}/ray-point/{i}")
        return self._study

    def _measured(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Return the metrics that a trial has reported."""
        flat = flatten_dict(dict(result))
        names = self._names
        if not names and self._study is not None:  # restored without a word of the metrics
            names = [metric.name for metric in self._study.definition.metrics]
        values = {name: _number(flat.get(name)) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def _failure_of_ending_trial(self) -> Failure:
        """Return the failure of a trial that Ray is ending."""
        error = local_of("ray", "_process_trial_failure", "exception")
        if not isinstance(error, BaseException):
            return Failure(self._failure_reason, "Ray reported an error")
        failure = failure_of(error)
        if failure.reason is not FailureReason.CRASHED:
            return failure
        cause = getattr(error, "cause", None)  # of a RayTaskError, whose text is a whole traceback
        return Failure(self._failure_reason, described(cause if isinstance(cause, BaseException) else error))

    def _ran_instead(self, external_trial: ExternalTrial, result: Mapping[str, Any]) -> dict[str, Value] | None:
        """Return the configuration that was run, if a scheduler such as PBT changed the suggested one."""
        config = result.get("config")
        if not isinstance(config, Mapping) or self._space is None:
            return None
        try:
            ran = self._space.to_service(config)
        except InvalidRequest:
            return None
        suggested = external_trial.trial.parameters
        if ran.keys() != suggested.keys() or all(strict_equal(value, suggested[name]) for name, value in ran.items()):
            return None
        return None if external_trial.trial.study.definition.space.configuration_faults(ran) else ran

    def _log_end(self, study: Study, why: Shortfall) -> None:
        if not self._is_end_logged:
            self._is_end_logged = True
            logger.warning("%s", ending(study, why, self._ended, self._num_samples, self._failed))


def _in_space(space: RaySpace, config: Mapping[str, Any], argument: str, which: str = "") -> dict[str, Value]:
    """Return the service's values of a config that the user has written.

    Raises:
        InvalidRequest: the config does not belong to the space, or has more.
    """
    configuration = space.to_service(config)
    if unknown := ", ".join(space.unknown(config)):
        raise InvalidRequest.of(argument, f"{which}has {unknown}, which the space lacks; leave it out")
    return configuration


def _number(value: Any) -> float | None:
    """Return a number of whatever library as a float; None for other values."""
    with suppress(InvalidRequest, RuntimeError):  # RuntimeError: the memory of its device is exhausted
        return metric_values({"": value})[""]
    return None


def _plain(names: str | Sequence[str] | None) -> str | list[str] | None:
    return names if isinstance(names, str | None) else list(names)


def _never_waiting() -> threading.Event:
    """Return a set event, as Ray itself asks again."""
    ended = threading.Event()
    ended.set()
    return ended
