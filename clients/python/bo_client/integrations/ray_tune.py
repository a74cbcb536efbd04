"""Ray Tune: a searcher that asks the service.

    tuner = tune.Tuner(train, param_space={"lr": tune.loguniform(1e-5, 1e-1)}, tune_config=tune.TuneConfig(
        metric="loss", mode="min", num_samples=50, search_alg=BoSearch("127.0.0.1:50051", study_id="first")))

The driver alone talks with the service; it sends the signs of life of all trials that run.
"""

import json
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.sample import Categorical, Float, Integer, LogUniform, Quantized, Uniform
from ray.tune.search.sample import Domain as RayDomain
from ray.tune.search.variant_generator import parse_spec_vars
from ray.tune.utils.util import flatten_dict, unflatten_dict

from bo_client.client import Client
from bo_client.errors import InvalidRequest, NotFound
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Translation
from bo_client.integrations.held import HeldTrial, ask
from bo_client.integrations.studies import Studies
from bo_client.parameters import MAX_VALUES
from bo_client.running import RunningTrial
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.values import FailureReason, Metric, StudySettings

STEP = "training_iteration"
"""What Ray counts a trial's results by."""


class BoSearch(Searcher):
    """Suggests what the service suggests; `ray.tune.search.ConcurrencyLimiter` may limit how many run at a time."""

    def __init__(
        self,
        server: str | Client = "127.0.0.1:50051",
        *,
        study_id: str,
        space: Mapping[str, Any] | SearchSpace | None = None,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
        failure_reason: FailureReason | str = FailureReason.CRASHED,
        settings: StudySettings | None = None,
    ) -> None:
        """
        Args:
            server: HOST:PORT, or a client that knows about tokens and TLS.
            study_id: of the service's study.
            space: as `param_space`, which it is by default; or, with conditions and constraints, a SearchSpace.
            metric: what to optimize, by default the TuneConfig's; several make a study of several objectives.
            mode: "min" or "max", for each metric.
            points_to_evaluate: configurations to begin with.
            failure_reason: what the service is told of a trial with an error: CRASHED is nobody's fault,
                INVALID_CONFIGURATION or DIVERGED blame the parameters, which are then avoided.
            settings: of the service's study, such as {"seed": 0}.

        Raises:
            InvalidRequest: naming the parameter that can't be expressed.
        """
        super().__init__(_plain(metric), _plain(mode))
        self._metric: str | list[str] | None
        self._mode: str | list[str] | None
        self._studies = Studies(server, study_id, settings)
        self._failure_reason = FailureReason(failure_reason)
        self._constants: dict[str, Any] = {}
        self._translation: Translation | None = None
        self._points = [dict(point) for point in points_to_evaluate]
        self._runs: dict[str, HeldTrial] = {}
        self._study: Study | None = None
        if space is not None:
            self._take(space)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runs": {}, "_study": None}

    def set_search_properties(
        self,
        metric: str | None,
        mode: str | None,
        config: Mapping[str, Any],
        **spec: Any,  # noqa: ARG002 - the base's shape
    ) -> bool:
        """What the TuneConfig says and the searcher wasn't told. Raises InvalidRequest."""
        if self._translation is not None:
            return not config
        self._take(config)
        self._metric = self._metric or metric
        self._mode = self._mode or mode
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The service's suggestion; None while there is none, FINISHED when there will be no more.

        Raises:
            BoClientError.
        """
        study = self._our_study()
        found = ask(study, _never_waiting())
        if not isinstance(found, RunningTrial):
            return Searcher.FINISHED if found.is_final else None
        assert self._translation is not None
        self._runs[trial_id] = HeldTrial(found)
        return unflatten_dict({**self._constants, **self._translation.inward(found.parameters)})

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """A point of the learning curve. Raises BoClientError."""
        held, metrics = self._runs.get(trial_id), self._measured(result)
        if held is not None and metrics:
            held.report(metrics, int(result.get(STEP, 0)))

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Tells the service what came of the trial. Raises BoClientError."""
        held = self._runs.pop(trial_id, None)
        if held is None:
            return
        metrics = self._measured(result or {})
        missing = [name for name in self._names if name not in metrics]
        if error:
            held.fail(self._failure_reason, "Ray tells of an error")
        elif result is None:
            held.fail(FailureReason.PREEMPTED, "Ray has ended it before it had a result")
        elif missing:
            held.fail(self._failure_reason, f"no result had {', '.join(missing)}")
        else:  # also where a scheduler has ended it, of which a searcher isn't told
            held.succeed(metrics, int(result.get(STEP, 0)))

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: Sequence[float] | None = None,  # noqa: ARG002 - the base's shape
    ) -> None:
        """A result from elsewhere; those of pruned trials are left out. Raises InvalidRequest."""
        study = self._our_study()
        assert self._translation is not None
        configuration = self._translation.outward(flatten_dict(dict(parameters)))
        if error or not math.isfinite(value):
            study.add(configuration, failure=FailureReason.DIVERGED)
        elif not pruned:
            study.add(configuration, value)

    def save(self, checkpoint_path: str) -> None:
        """Which trials run under which leases."""
        runs = {i: [h.trial.number, h.trial.lease_token] for i, h in self._runs.items()}
        study = self._study.id if self._study is not None else None
        Path(checkpoint_path).write_text(json.dumps({"study": study, "runs": runs}), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Goes on with the trials that ran; those that are gone are left out. Raises BoClientError."""
        state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
        if state["study"] is None:
            return
        self._points = []
        self._study = self._studies.client.study(state["study"])
        for trial_id, (number, token) in state["runs"].items():
            try:
                self._runs[trial_id] = HeldTrial(self._study.attach(number, token))
            except NotFound:
                continue

    @property
    def _names(self) -> list[str]:
        return [self._metric] if isinstance(self._metric, str) else list(self._metric or ())

    def _take(self, space: Mapping[str, Any] | SearchSpace) -> None:
        if isinstance(space, SearchSpace):
            self._translation = Translation.of(space)
        elif space:
            self._translation, self._constants = translated(space)

    def _our_study(self) -> Study:
        """Made when it is first needed, with the points to begin with in its queue."""
        if self._study is not None:
            return self._study
        if self._translation is None:
            raise InvalidRequest.of("space", "is missing; give it to BoSearch, or param_space to the Tuner")
        modes = [self._mode] if isinstance(self._mode, str) else list(self._mode or ())
        if not self._names or len(modes) != len(self._names):
            raise InvalidRequest.of("metric", 'and mode are missing; give them to TuneConfig, as in "loss" and "min"')
        goals = ["minimize" if mode == "min" else "maximize" for mode in modes]
        metrics = [Metric(name, goal) for name, goal in zip(self._names, goals, strict=True)]  # type: ignore[arg-type]
        self._study = self._studies.exactly(self._translation.space, metrics)
        for i, point in enumerate(self._points):
            configuration = self._translation.outward(flatten_dict(point))
            self._study.enqueue(configuration, {"ray-point": str(i)}, f"{self._study.name}/ray-point/{i}")
        return self._study

    def _measured(self, result: Mapping[str, Any]) -> dict[str, float]:
        """The metrics among what a trial has reported."""
        flat = flatten_dict(dict(result))
        found = {name: flat.get(name) for name in self._names}
        return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def translated(space: Mapping[str, Any]) -> tuple[Translation, dict[str, Any]]:
    """The service's parameters, and what is constant; names of nested ones are joined by '/'. Raises InvalidRequest."""
    flat = flatten_dict(dict(space), prevent_delimiter=True)
    _, _, grids = parse_spec_vars(dict(space))
    if grids:
        name = "/".join(map(str, grids[0][0]))
        raise InvalidRequest.of(
            name, "is a grid_search; give tune.choice, whose values are all tried where they are few"
        )
    found = [domain(name, given) for name, given in flat.items() if isinstance(given, RayDomain)]
    return Translation(found), {name: given for name, given in flat.items() if not isinstance(given, RayDomain)}


def domain(name: str, given: RayDomain) -> Domain:
    """One parameter. Raises InvalidRequest."""
    sampler = given.get_sampler()
    step = sampler.q if isinstance(sampler, Quantized) else None
    inner = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
    log = isinstance(inner, LogUniform)
    if isinstance(given, Categorical) and isinstance(inner, Uniform):
        return domains.chosen(name, given.categories)
    if isinstance(given, Float) and isinstance(inner, Uniform | LogUniform):
        return _numbers(name, given, step, log) if step else domains.real(name, given.lower, given.upper, log=log)
    if isinstance(given, Integer) and isinstance(inner, Uniform | LogUniform):
        if step is None or step == 1:
            return domains.whole(name, given.lower, given.upper - 1, log=log)
        return _numbers(name, given, step, log)
    kind = f"{type(given).__name__.lower()} by {type(inner).__name__.strip('_').lower()}"
    known = "uniform, loguniform, randint, lograndint, choice, or one of these quantized"
    raise InvalidRequest.of(name, f"is a {kind}; give tune's {known}: the service needs bounds or values")


def _numbers(name: str, given: Any, step: float, log: bool) -> Domain:
    """The multiples of `step` within the bounds."""
    first, last = math.ceil(given.lower / step - 1e-9), math.floor(given.upper / step + 1e-9)
    if not log:
        return domains.stepped(name, first * step, last * step, step)
    if not 0 < last - first < MAX_VALUES:
        what = f"has {last - first + 1} multiples of {step!r}; a logarithmic scale takes 2 to {MAX_VALUES}"
        raise InvalidRequest.of(name, f"{what}: take a larger step, or none")
    return domains.numbers(name, [i * step for i in range(first, last + 1)], log=True)


def _plain(names: str | Sequence[str] | None) -> str | list[str] | None:
    return names if isinstance(names, str | None) else list(names)


def _never_waiting() -> threading.Event:
    """Ray asks again by itself."""
    ended = threading.Event()
    ended.set()
    return ended
