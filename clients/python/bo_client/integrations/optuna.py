"""Optuna: a sampler and a pruner that ask the service.

    study = optuna.create_study(sampler=BoSampler("127.0.0.1:50051", study_id="first"))
    study.optimize(objective, n_trials=50)

What Optuna has is the truth: each of its trials is told to the service as it was run, whatever had been suggested.
"""

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study as OptunaStudy
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from bo_client.client import Client
from bo_client.errors import FailedPrecondition, InvalidRequest, LimitExceeded
from bo_client.integrations.distributions import given, translated
from bo_client.integrations.domains import Translation
from bo_client.integrations.held import HeldTrial, ask
from bo_client.integrations.studies import Studies
from bo_client.parameters import same
from bo_client.running import RunningTrial
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.values import FailureReason, Metric, StudySettings

logger = logging.getLogger("bo_client.optuna")

TRIAL_ATTRIBUTE = "bo:trial"
"""Where an Optuna trial keeps the name of the service's trial."""
LABEL = "optuna-trial"
"""What the service keeps of a trial that was added: the Optuna study's name, the trial's number and its start."""


class BoSampler(BaseSampler):
    """Suggests what the service suggests. Threads may share it; processes make one each."""

    def __init__(
        self,
        server: str | Client = "127.0.0.1:50051",
        *,
        study_id: str,
        search_space: Mapping[str, BaseDistribution] | SearchSpace | None = None,
        independent_sampler: BaseSampler | None = None,
        failure_reason: FailureReason | str = FailureReason.CRASHED,
        settings: StudySettings | None = None,
    ) -> None:
        """
        Args:
            server: HOST:PORT, or a client that knows about tokens and TLS.
            study_id: of the service's study. Where the space is discovered, and changes, ID.2, ID.3 … follow.
            search_space: what may be tuned, in Optuna's distributions or, with conditions and constraints, as a
                SearchSpace. By default what all trials so far have had in common, from the second trial on.
            independent_sampler: for the first trial and for parameters outside the space; by default random.
            failure_reason: what the service is told of a trial that fails: CRASHED is nobody's fault,
                INVALID_CONFIGURATION or DIVERGED blame the parameters, which are then avoided.
            settings: of the service's study, such as {"seed": 0, "stopping": "median"}.

        Raises:
            InvalidRequest: naming the parameter that can't be expressed.
        """
        self._studies = Studies(server, study_id, settings)
        self._failure_reason = FailureReason(failure_reason)
        self._independent = independent_sampler or RandomSampler(self._studies.settings.get("seed"))
        self._given = None if search_space is None else given(search_space)
        self._discovered = IntersectionSearchSpace()
        self._runs: dict[int, HeldTrial] = {}
        self._current: _Current | None = None
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_runs": {}, "_current": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def reseed_rng(self) -> None:
        """Of the sampler for the first trial; the service has a seed of its own."""
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,  # noqa: ARG002 - the base's shape
    ) -> dict[str, BaseDistribution]:
        """What the service will be asked for."""
        with self._lock:
            found = self._given[0] if self._given else self._discovered.calculate(study)
        return {name: d for name, d in found.items() if not d.single()}

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The service's suggestion, unless everything has been fixed by `enqueue_trial`. Raises BoClientError."""
        if not search_space:
            return {}
        fixed = trial.system_attrs.get("fixed_params", {})
        if fixed and set(search_space) <= set(fixed):
            return {}
        current = self._study_of(study, search_space)
        found = ask(current.study)
        if not isinstance(found, RunningTrial):
            return _exhausted(study, trial, current.study, found)
        with self._lock:
            self._runs[trial._trial_id] = HeldTrial(found)
        study._storage.set_trial_system_attr(trial._trial_id, TRIAL_ATTRIBUTE, found.name)
        return current.translation.inward(found.parameters)

    def sample_independent(
        self, study: OptunaStudy, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Of a parameter that the service isn't asked for."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: OptunaStudy, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tells the service what came of the trial. Raises BoClientError."""
        self._independent.after_trial(study, trial, state, values)
        with self._lock:
            held = self._runs.pop(trial._trial_id, None)
            current = self._current
        if held is not None and current is not None and not _was_run(held.trial, current.translation, trial):
            held.give_back("Optuna has run another configuration instead")
            study._storage.set_trial_system_attr(trial._trial_id, TRIAL_ATTRIBUTE, "")
            held = None
        if held is not None:
            self._end(held, trial, state, values)
        is_elsewhere = held is None or current is None or held.trial.study.id != current.study.id
        if current is not None and is_elsewhere and state is TrialState.COMPLETE:
            current.add(study, trial, values)

    def should_stop(self, trial: FrozenTrial) -> bool:
        """Reports what is new of the trial, and hears whether it should end. Raises BoClientError."""
        with self._lock:
            held = self._runs.get(trial._trial_id)
        if held is None:
            return False
        reasons = [held.report({held.trial.study.definition.objective.name: v}, s) for s, v in _unreported(held, trial)]
        return any(reason is not None for reason in reasons)

    def _end(
        self,
        held: HeldTrial,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        names = [metric.name for metric in held.trial.study.definition.objectives]
        _report_rest(held, trial)
        if state is TrialState.COMPLETE and values is not None:
            held.succeed(dict(zip(names, values, strict=True)))
        elif state is TrialState.PRUNED and values:
            held.stop({names[0]: values[0]}, "pruned by Optuna", trial.last_step)
        elif state is TrialState.PRUNED:
            held.fail(FailureReason.INVALID_CONFIGURATION, "pruned by Optuna, with nothing reported")
        else:
            held.fail(self._failure_reason, "the objective failed, or its value was no number")

    def _study_of(self, study: OptunaStudy, search_space: Mapping[str, BaseDistribution]) -> "_Current":
        """The service's study for this space, with what Optuna knows already."""
        with self._lock:
            if self._current is None or self._current.distributions != dict(search_space):
                translation = self._given[1] if self._given else translated(search_space)
                make = self._studies.exactly if self._given else self._studies.for_space
                made = make(translation.space, metrics_of(study))
                self._current = _Current(made, dict(search_space), translation)
                for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                    if not self._current.has(trial):
                        self._current.add(study, trial, trial.values)
            return self._current


class BoPruner(BasePruner):
    """Prunes the trials that the service's stopping rule tells to stop: `settings={"stopping": "median"}`, for one.

    It needs a BoSampler as the study's sampler.
    """

    def prune(self, study: OptunaStudy, trial: FrozenTrial) -> bool:
        """Raises InvalidRequest where the study has another sampler."""
        if not isinstance(study.sampler, BoSampler):
            what = f"is {type(study.sampler).__name__}; BoPruner asks the service through a BoSampler"
            raise InvalidRequest.of("sampler", what)
        return study.sampler.should_stop(trial)


class _Current:
    """The service's study of one search space."""

    def __init__(self, study: Study, distributions: Mapping[str, BaseDistribution], translation: Translation) -> None:
        self.study = study
        self.distributions = distributions
        self.translation = translation
        self._added = {trial.labels.get(LABEL) for trial in study.trials()}

    def has(self, trial: FrozenTrial) -> bool:
        """Whether it was run as a trial of this study."""
        return str(trial.system_attrs.get(TRIAL_ATTRIBUTE, "")).startswith(f"{self.study.name}/")

    def add(self, study: OptunaStudy, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        """A result that Optuna has and the service lacks, once, whoever adds it."""
        try:
            configuration = self.translation.outward(trial.params)
        except InvalidRequest:
            return  # of another range
        label = f"{study.study_name[:200]}/{trial.number}/{trial.datetime_start}"
        if label in self._added or values is None or self.study.definition.space.configuration_faults(configuration):
            return
        names = [metric.name for metric in self.study.definition.objectives]
        origin = f"{self.study.name} {label}"  # processes may do so at the same moment
        request_id = f"optuna-{hashlib.sha256(origin.encode()).hexdigest()[:40]}"
        try:
            self.study.add(configuration, dict(zip(names, values, strict=True)), None, {LABEL: label}, request_id)
        except (InvalidRequest, FailedPrecondition, LimitExceeded) as refusal:
            logger.warning("trial %d is not told to the service: %s", trial.number, refusal)


def metrics_of(study: OptunaStudy) -> list[Metric]:
    """An Optuna study's objectives; their names are those of `set_metric_names`, or value, value_1 …"""
    names = study.metric_names or ["value", *(f"value_{i}" for i in range(1, len(study.directions)))]
    goals = ["maximize" if d is StudyDirection.MAXIMIZE else "minimize" for d in study.directions]
    return [Metric(name, goal) for name, goal in zip(names, goals, strict=True)]  # type: ignore[arg-type]


def _was_run(trial: RunningTrial, translation: Translation, run: FrozenTrial) -> bool:
    """Whether the objective had the suggested value of every parameter that it asked for."""
    try:
        had = translation.outward(run.params)
    except InvalidRequest:
        return False
    return all(same(value, trial.parameters[name]) for name, value in had.items() if name in trial.parameters)


def _report_rest(held: HeldTrial, trial: FrozenTrial) -> None:
    """The part of the learning curve that isn't told yet, as where no pruner has asked."""
    for step, value in _unreported(held, trial):
        held.report({held.trial.study.definition.objective.name: value}, step)


def _unreported(held: HeldTrial, trial: FrozenTrial) -> list[tuple[int, float]]:
    last = -1 if held.last_step is None else held.last_step
    return sorted((step, value) for step, value in trial.intermediate_values.items() if step > last)


def _exhausted(study: OptunaStudy, trial: FrozenTrial, of: Study, why: object) -> dict[str, Any]:
    """Ends the loop of `optimize` after this trial, whose parameters are then drawn at random."""
    message = f"{of.name} gives out no more trials ({why})"
    try:
        study.stop()
    except RuntimeError:  # ask-and-tell: there is no loop
        study.tell(trial.number, state=TrialState.FAIL)
        raise FailedPrecondition(f"{message}; raise its max_trials, or take another study_id", str(why)) from None
    logger.warning("%s; the search ends, and its last trial is drawn at random", message)
    return {}
