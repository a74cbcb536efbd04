"""Optuna: a sampler and a pruner that use the service.

    study = optuna.create_study(sampler=BoSampler("127.0.0.1:50051", study_id="first"))
    study.optimize(objective, n_trials=50)

Optuna's trials are authoritative: each is reported to the service as it was run, whatever was suggested.
"""

import logging
import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.samplers._base import _process_constraints_after_trial
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState

from bo_client.client import Client
from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.integrations.callers import local_of
from bo_client.integrations.distributions import domain, spaces_of, translated
from bo_client.integrations.domains import Translation
from bo_client.integrations.external_trial import ExternalTrial, ask, ending
from bo_client.integrations.optuna_study import (
    FAILURE_ATTRIBUTE,
    PRUNED,
    ServiceStudy,
    failure_of_ending_trial,
    measured,
    measured_until_pruned,
    metrics_of,
    stored_failure,
)
from bo_client.integrations.studies import StudyConnection
from bo_client.limits import MAX_OBJECTIVES
from bo_client.models import Failure, FailureReason, Shortfall
from bo_client.outcomes import why_no_more
from bo_client.parameters import strict_equal
from bo_client.running import RunningTrial
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace

logger = logging.getLogger("bo_client.optuna")


class BoSampler(BaseSampler):
    """A sampler that suggests the service's suggestions, for one Optuna study.

    Threads may share it; each process needs its own.
    """

    def __init__(
        self,
        server: str | Client | None = None,
        *,
        study_id: str,
        search_space: Mapping[str, BaseDistribution] | SearchSpace | None = None,
        independent_sampler: BaseSampler | None = None,
        failure_reason: FailureReason | str = FailureReason.CRASHED,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        settings: StudySettings | None = None,
    ) -> None:
        """Create the sampler.

        Args:
            server: HOST:PORT, or a client with tokens and TLS; by default BO_SERVER, else 127.0.0.1:50051.
            study_id: id of the service's study. If the space is discovered and changes, ID.2, ID.3 … follow.
            search_space: what may be tuned, as Optuna's distributions or, with conditions and constraints, as a
                SearchSpace. By default the common parameters of all trials so far, from the second trial on.
            independent_sampler: for the first trial, for parameters outside the space, and for trials for which the
                service has no new configuration; by default Optuna's TPESampler.
            failure_reason: the reason reported for a trial with an unspecific exception: CRASHED does not concern the
                parameters, INVALID_CONFIGURATION or DIVERGED do, so that the surrogate avoids them. NaN is always
                DIVERGED, and a lack of memory always OUT_OF_MEMORY.
            constraints_func: as in other samplers; `trial.set_constraint` needs none. Values must be at most 0.
            settings: settings of the service's study, such as {"seed": 0, "stopping": "median"}.

        Raises:
            InvalidRequest: names a parameter that cannot be expressed.
        """
        self._studies = StudyConnection(server, study_id, settings)
        self._failure_reason = FailureReason(failure_reason)
        seed = self._studies.settings.get("seed")
        self._independent = independent_sampler or TPESampler(seed=None if seed is None else seed % 2**32)
        self._spaces = None if search_space is None else spaces_of(search_space)
        self._constraints_func = constraints_func
        self._discovered = IntersectionSearchSpace()
        self._constraints: set[str] = set()
        self._study_name: str | None = None
        self._runs: dict[int, ExternalTrial] = {}
        self._current: ServiceStudy | None = None
        self._warned: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_runs": {}, "_current": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def reseed_rng(self) -> None:
        """Reseed the independent sampler; the service has its own seed."""
        self._independent.reseed_rng()

    def before_trial(self, study: OptunaStudy, trial: FrozenTrial) -> None:
        """Prepare the independent sampler.

        Raises:
            InvalidRequest: the sampler already serves another Optuna study, or the study has too many objectives.
        """
        if (count := len(study.directions)) > MAX_OBJECTIVES:
            what = f"has {count}, and at most {MAX_OBJECTIVES} are optimized together"
            raise InvalidRequest.of("directions", f"{what}; return fewer values, or use trial.set_constraint for some")
        with self._lock:
            self._study_name = self._study_name or study.study_name
            if self._study_name != study.study_name:
                what = f"is a BoSampler that serves {self._study_name!r}; make another one for {study.study_name!r}"
                raise InvalidRequest.of("sampler", f"{what}, with a study_id of its own")
        self._independent.before_trial(study, trial)

    def infer_relative_search_space(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,  # noqa: ARG002 - the base's shape
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that the service is asked for."""
        with self._lock:
            distributions = self._spaces[0] if self._spaces else self._expressible(self._discover(_whole(study)))
        return {name: d for name, d in distributions.items() if not d.single()}

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the service's suggestion; nothing if `enqueue_trial` or the independent sampler determines all values.

        Raises:
            BoClientError: the call failed.
        """
        fixed = trial.system_attrs.get("fixed_params", {})
        if not search_space or set(search_space) <= set(fixed):
            return {}
        study = _whole(study)
        current = self._study_of(study, search_space)
        suggestion = ask(current.study)
        if isinstance(suggestion, RunningTrial):
            with self._lock:
                self._runs[trial._trial_id] = ExternalTrial(suggestion)
            current.mark(study, trial, suggestion.name)
            values = current.translation.from_service(suggestion.parameters)
        elif suggestion in (Shortfall.COMPLETED, Shortfall.NEEDS_RESUME):
            self._end_search(study, trial, current, suggestion)
            return {}
        else:
            self._warn_of_shortfall(current, suggestion)
            values = self._independently(study, trial, search_space, current)
        return {name: value for name, value in values.items() if name in search_space}

    def sample_independent(
        self, study: OptunaStudy, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a value of a parameter that the service is not asked for."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: OptunaStudy, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Report the outcome of the trial.

        Raises:
            BoClientError: the call failed.
        """
        self._independent.after_trial(study, trial, state, values)
        study = _whole(study)
        if self._constraints_func is not None:
            _process_constraints_after_trial(self._constraints_func, study, trial, state)
            trial = study._storage.get_trial(trial._trial_id)
        failure = failure_of_ending_trial(self._failure_reason) if state is TrialState.FAIL else None
        if failure is not None:
            study._storage.set_trial_system_attr(trial._trial_id, FAILURE_ATTRIBUTE, str(failure.reason))
        with self._lock:
            external_trial = self._runs.pop(trial._trial_id, None)
            current = self._current
            if state is TrialState.COMPLETE:
                self._constraints |= set(trial.constraints)
        if (
            external_trial is not None
            and current is not None
            and not _was_run(external_trial.trial, current.translation, trial)
        ):
            external_trial.withdraw("Optuna has run another configuration instead")
            current.mark(study, trial, "")
            external_trial = None
        if external_trial is not None:
            self._end(external_trial, trial, state, values, failure)
        is_elsewhere = external_trial is None or current is None or external_trial.trial.study.id != current.study.id
        if current is not None and is_elsewhere:
            self._add(current, study, trial, state, values, failure)

    def should_stop(self, trial: FrozenTrial) -> bool:
        """Report new values of the trial, and return whether it should end, as it should after NaN.

        Raises:
            BoClientError: the call failed.
        """
        with self._lock:
            external_trial = self._runs.get(trial._trial_id)
        if external_trial is None:
            return False
        reasons = [
            external_trial.report({external_trial.trial.study.definition.objective.name: v}, s)
            for s, v in _unreported(external_trial, trial)
        ]
        return external_trial.diverged is not None or any(reason is not None for reason in reasons)

    def _end(
        self,
        external_trial: ExternalTrial,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
        failure: Failure | None,
    ) -> None:
        for step, value in _unreported(external_trial, trial):  # as where no pruner has asked
            external_trial.report({external_trial.trial.study.definition.objective.name: value}, step)
        outcome = failure or measured(external_trial.trial.study.definition, trial, values or ())
        if isinstance(outcome, Failure) and state is TrialState.PRUNED:
            reason = FailureReason.DIVERGED if external_trial.diverged else FailureReason.INVALID_CONFIGURATION
            external_trial.fail(reason, f"{PRUNED}; {external_trial.diverged or outcome.message}")
        elif isinstance(outcome, Failure):
            if failure is None and outcome.reason is not FailureReason.DIVERGED:
                logger.warning("trial %d: %s", trial.number, outcome.message)
            external_trial.fail(outcome.reason, outcome.message)
        elif state is TrialState.PRUNED:
            external_trial.stop(outcome, PRUNED, trial.last_step)
        else:
            external_trial.succeed(outcome)

    def _add(
        self,
        current: ServiceStudy,
        study: OptunaStudy,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
        failure: Failure | None,
    ) -> None:
        """Add a trial that was not run as one of the service's."""
        definition = current.study.definition
        if state is TrialState.PRUNED:
            current.add(study, trial, measured_until_pruned(definition, trial), PRUNED)
        else:
            current.add(study, trial, failure or measured(definition, trial, values or ()))

    def _discover(self, study: OptunaStudy) -> dict[str, BaseDistribution]:
        """Return the common parameters of all complete trials; without any, of those that failed or were pruned."""
        common = self._discovered.calculate(study)
        if common or study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return common
        ended = study.get_trials(deepcopy=False, states=(TrialState.FAIL, TrialState.PRUNED))
        distributions = [trial.distributions for trial in ended if trial.distributions]
        return (
            {n: d for n, d in sorted(distributions[0].items()) if all(o.get(n) == d for o in distributions)}
            if distributions
            else {}
        )

    def _expressible(self, distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
        """Return those that the service can have; the others are left to the independent sampler, and named once."""
        kept: dict[str, BaseDistribution] = {}
        for name, distribution in distributions.items():
            try:
                domain(name, distribution)
                kept[name] = distribution
            except InvalidRequest as refusal:
                if (name, "") not in self._warned:
                    self._warned.add((name, ""))
                    logger.warning("%s; the independent sampler draws it", refusal)
        return kept

    def _study_of(self, study: OptunaStudy, search_space: Mapping[str, BaseDistribution]) -> ServiceStudy:
        """Return the service's study for this space and these constraints, with all of Optuna's results."""
        with self._lock:
            if self._current is None:
                complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
                self._constraints.update(*(trial.constraints for trial in complete))
            metrics = metrics_of(study, self._constraints)
            current = self._current
            if (
                current is None
                or (not self._spaces and current.distributions != dict(search_space))
                or set(current.study.definition.metrics) != set(metrics)
            ):
                translation = self._spaces[1] if self._spaces else translated(search_space)
                is_fixed = self._spaces is not None and not self._constraints
                make = self._studies.exactly if is_fixed else self._studies.for_space
                current = ServiceStudy(make(translation.space, metrics), dict(search_space), translation)
                self._current = current
            self._add_others(study, current)
            return current

    def _add_others(self, study: OptunaStudy, current: ServiceStudy) -> None:
        """Add the results that the service lacks: of earlier processes, other samplers, and `add_trial`."""
        ended = (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)
        for trial in study.get_trials(deepcopy=False, states=ended):
            if trial.number in current.seen:
                continue
            failure = stored_failure(trial)
            if not current.has(trial) and (failure is not None or trial.state is not TrialState.FAIL):
                self._add(current, study, trial, trial.state, trial.values, failure)
            current.seen.add(trial.number)

    def _independently(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        search_space: Mapping[str, BaseDistribution],
        current: ServiceStudy,
    ) -> dict[str, Any]:
        """Return values of the independent sampler; if they might violate a constraint, an earlier configuration."""
        if current.translation.space.constraints:
            tried = [trial.parameters for trial in current.study.trials()]
            return current.translation.from_service(random.choice(tried)) if tried else {}  # noqa: S311 - no secret
        return {
            name: self._independent.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }

    def _warn_of_shortfall(self, current: ServiceStudy, why: Shortfall) -> None:
        """Log the shortfall once for each study and reason."""
        if (current.study.name, str(why)) in self._warned:
            return
        self._warned.add((current.study.name, str(why)))
        go_on = "the search continues with values of the independent sampler"
        logger.warning("%s has nothing to suggest, as %s (%s); %s", current.study.name, why.explanation, why, go_on)

    def _end_search(self, study: OptunaStudy, trial: FrozenTrial, current: ServiceStudy, shortfall: Shortfall) -> None:
        """End the loop of `optimize` after this trial, whose parameters are then the independent sampler's.

        Raises:
            FailedPrecondition: there is no loop, as with ask-and-tell.
        """
        try:
            study.stop()
        except RuntimeError:
            study.tell(trial.number, state=TrialState.FAIL)
            why = why_no_more(current.study, shortfall)
            what = f"{current.study.name} has no more trials: {why}; or use another study_id"
            raise FailedPrecondition(what, str(shortfall)) from None
        num_wanted = local_of("optuna", "_optimize", "n_trials")
        num_begun = local_of("optuna", "_optimize_sequential", "i_trial") if num_wanted is not None else None
        ended = [t.state for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
        ended = ended[max(len(ended) - num_begun + 1, 0) :] if num_begun is not None else ended
        message = ending(current.study, shortfall, len(ended), num_wanted, ended.count(TrialState.FAIL))
        logger.warning("%s. Trial %d is the last, and is drawn independently", message, trial.number)


class BoPruner(BasePruner):
    """A pruner that applies the service's stopping rule, such as `settings={"stopping": "median"}`.

    It needs a BoSampler as the study's sampler.
    """

    def prune(self, study: OptunaStudy, trial: FrozenTrial) -> bool:
        """Return whether the service's stopping rule stops the trial.

        Raises:
            InvalidRequest: the study has another sampler.
        """
        if not isinstance(study.sampler, BoSampler):
            what = f"is {type(study.sampler).__name__}; BoPruner asks the service through a BoSampler"
            raise InvalidRequest.of("sampler", what)
        return study.sampler.should_stop(trial)


def _whole(study: OptunaStudy) -> OptunaStudy:
    """Return the study itself, if HyperbandPruner passes one of its brackets."""
    whole = getattr(study, "_study", None)
    return whole if isinstance(whole, OptunaStudy) else study


def _was_run(trial: RunningTrial, translation: Translation, run: FrozenTrial) -> bool:
    """Return whether the objective used the suggested value of every parameter that it requested."""
    try:
        had = translation.to_service(run.params)
    except InvalidRequest:
        return False
    return all(strict_equal(value, trial.parameters[name]) for name, value in had.items() if name in trial.parameters)


def _unreported(external_trial: ExternalTrial, trial: FrozenTrial) -> list[tuple[int, float]]:
    last = -math.inf if external_trial.last_step is None else external_trial.last_step
    return sorted((step, value) for step, value in trial.intermediate_values.items() if step > last)
