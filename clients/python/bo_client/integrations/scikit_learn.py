"""`BOSearchCV` for scikit-learn: a cross-validated search that uses the service's suggestions.

search = BOSearchCV(SVC(), {"C": loguniform(1e-3, 1e3), "kernel": ["linear", "rbf"]}, n_iter=30)
search.fit(X, y)
"""

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from types import FunctionType
from typing import Any, ClassVar, cast
from uuid import uuid4

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection._search import BaseSearchCV, _insert_error_scores, _warn_or_raise_about_fit_failures
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import Interval

from bo_client.client import Client
from bo_client.errors import InvalidRequest
from bo_client.failures import failure_in, failure_of
from bo_client.integrations import embedded
from bo_client.integrations.domains import service_name
from bo_client.integrations.external_trial import ExternalTrial, ask_for, ending
from bo_client.integrations.scikit_space import translated
from bo_client.integrations.studies import StudyConnection
from bo_client.limits import MAX_OBJECTIVES
from bo_client.models import Failure, FailureReason, Metric, Shortfall
from bo_client.outcomes import why_no_more
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study

Evaluate = Callable[..., Mapping[str, Any]]
FitResult = Mapping[str, Any]
"""The result of one fit in scikit-learn: "fit_error" is its traceback, or None."""
SINGLE = "mean_test_score"
"""The name of a single score in cv_results_."""


class BOSearchCV(BaseSearchCV):
    """Searches like RandomizedSearchCV, with the service's surrogate instead of random sampling.

    Parameters
    ----------
    estimator : estimator object
    search_spaces : dict, list of dict or bo_client.SearchSpace
        What is tried of each parameter: a list of values, a frozen distribution of scipy.stats, or a parameter of
        bo_client. A distribution gives bounds: its support or, where that is infinite, its quantiles 0.001 and 0.999.
        Of several dictionaries each candidate has one. A SearchSpace may have conditions and constraints. Numbers in
        a list count as ordered.
    n_iter : int, default=50
        How many candidates are tried.
    n_points : int, default=1
        How many are asked for at a time, and evaluated side by side where `n_jobs` allows it.
    server : str or bo_client.Client, default=None
        HOST:PORT. By default this process starts a server for itself, on loopback and over a temporary file, which
        ends with it; that needs `bo-service[server]`.
    study_id : str, default=None
        Of the study; by default a new one. A study that exists goes on, if its space and seed are the same.
    settings : dict, default=None
        Of the study, such as {"acquisition": "log_nei"}.
    random_state : int, RandomState instance or None, default=None
        An int makes the search the same each time.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in RandomizedSearchCV. With several scores, `refit` names the one that is optimized; where it is a function
        or False, all of them are, which may be at most three.

    Attributes
    ----------
    study_id_ : str
        The study of the last fit.
    server_ : str or bo_client.Client
        Where it is. All other attributes are RandomizedSearchCV's.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSearchCV._parameter_constraints,
        "search_spaces": [dict, list, SearchSpace],
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "n_points": [Interval(Integral, 1, 100, closed="both")],
        "server": [str, Client, None],
        "study_id": [str, None],
        "settings": [dict, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        search_spaces: Mapping[str, Any] | Sequence[Mapping[str, Any]] | SearchSpace,
        *,
        n_iter: int = 50,
        n_points: int = 1,
        server: str | Client | None = None,
        study_id: str | None = None,
        settings: StudySettings | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.search_spaces = search_spaces
        self.n_iter = n_iter
        self.n_points = n_points
        self.server = server
        self.study_id = study_id
        self.settings = settings
        self.random_state = random_state
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process: without the client of a database that only this one has open."""
        state = super().__getstate__()
        for name in ("server", "server_"):
            if isinstance(state.get(name), Client) and getattr(state[name], "address", "") is None:
                state[name] = None
        return state

    def __deepcopy__(self, memo: dict[int, object]) -> "BOSearchCV":
        """Return a copy in this process, which shares the client."""
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __sklearn_tags__(self) -> Any:
        """Return the base's tags, and whether the estimator supports several outputs."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = get_tags(self.estimator).target_tags.multi_output
        return tags

    def _run_search(self, evaluate_candidates: Evaluate) -> None:
        """Request, evaluate and report candidates until `n_iter` were tried.

        Raises:
            BoClientError: a call failed.
        """
        scores = self._optimized()
        translation = translated(self.search_spaces)
        study = self._study(translation.space, [Metric(service_name(score), "maximize") for score in scores])
        batches = _Batches(evaluate_candidates, self._checked_cv_orig, scores)
        while batches.tried < self.n_iter:
            count = min(self.n_points, self.n_iter - batches.tried)
            suggestions = ask_for(study, count, waiting=(Shortfall.PAUSED, Shortfall.ALL_IN_PROGRESS))
            if not suggestions:
                _warn_of_the_end(study, batches, self.n_iter, suggestions.shortfall)
                break
            external_trials = [ExternalTrial(trial) for trial in suggestions]
            batches.run(external_trials, [translation.from_service(trial.parameters) for trial in suggestions])
        batches.require_a_fit(self.error_score)

    def _format_results(
        self, candidate_params: Any, n_splits: int, out: list[dict[str, Any]], more_results: Any = None
    ) -> Any:
        """Format the results as the base class does, even if a multi-score function failed before naming its scores."""
        if callable(self.scoring):
            _insert_error_scores(out, self.error_score)
        return super()._format_results(candidate_params, n_splits, out, more_results)

    def _optimized(self) -> list[str]:
        """Return the names in cv_results_ of the results to optimize.

        Raises:
            InvalidRequest: `refit` does not determine them.
        """
        if isinstance(self.scoring, list | tuple | set | dict):
            if isinstance(self.refit, str):
                return [f"mean_test_{self.refit}"]
            if len(self.scoring) <= MAX_OBJECTIVES:
                return [f"mean_test_{name}" for name in self.scoring]
            count = f"{len(self.scoring)}, of which {MAX_OBJECTIVES} at most are optimized together"
            what = f'and scoring has {count}; name the one to optimize, as in refit="accuracy"'
            raise InvalidRequest.of("refit", f"is {self.refit!r}, {what}")
        return [f"mean_test_{self.refit}" if callable(self.scoring) and isinstance(self.refit, str) else SINGLE]

    def _study(self, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        settings: StudySettings = {"seed": seed, **(self.settings or {})}
        self.server_ = embedded.address() if self.server is None else self.server
        self.study_id_ = self.study_id or f"search-{uuid4().hex}"
        return StudyConnection(self.server_, self.study_id_, settings).exactly(space, metrics)


class _Batches:
    """Candidates that are evaluated in parallel, on the same splits each time, with reports of their trials."""

    def __init__(self, evaluate: Evaluate, cv: Any, scores: Sequence[str]) -> None:
        self.tried = self.failed = 0
        self._fits: list[FitResult] = []
        self._evaluate = _without_raising(evaluate, self._fits)
        self._cv = _SameSplits(cv)
        self._scores = scores

    def run(self, external_trials: Sequence[ExternalTrial], candidates: Sequence[Mapping[str, Any]]) -> None:
        """Evaluate candidates, and report their trials; an exception of scikit-learn fails the trials and is raised."""
        before = len(self._fits)
        try:
            results = self._evaluate(candidates, cv=self._cv)
            rows = [self._row(results, i - len(external_trials)) for i in range(len(external_trials))]
        except BaseException as error:
            failure = failure_of(error)
            for external_trial in external_trials:
                external_trial.fail(failure.reason, failure.message)
            raise
        self.tried += len(external_trials)
        fits = self._fits[before:]
        splits = len(fits) // len(external_trials)
        for i, (external_trial, row) in enumerate(zip(external_trials, rows, strict=True)):
            failure_or_none = _failure(row, fits[i * splits : (i + 1) * splits])
            if failure_or_none is None:
                external_trial.succeed({service_name(name): score for name, score in row.items()})
            else:
                self.failed += 1
                external_trial.fail(failure_or_none.reason, failure_or_none.message)

    def require_a_fit(self, error_score: Any) -> None:
        """Check that at least one fit succeeded.

        Raises:
            ValueError: all fits of the search failed, as in scikit-learn.
        """
        if self._fits and all(fit["fit_error"] is not None for fit in self._fits):
            _warn_or_raise_about_fit_failures(self._fits, error_score)

    def _row(self, results: Mapping[str, Any], i: int) -> dict[str, float]:
        """Return the scores of a candidate.

        Raises:
            InvalidRequest: a score is missing.
        """
        if all(fit["fit_error"] is not None for fit in self._fits):
            return dict.fromkeys(self._scores, math.nan)  # a function's scores have no names yet
        keys = {name: name if name in results else SINGLE for name in self._scores}
        if any(name not in results for name in keys.values()):
            has = ", ".join(sorted(name.removeprefix("mean_test_") for name in results if name.startswith("mean_test")))
            raise InvalidRequest.of("refit", f"names none of the scores; scoring returns {has}: give one of them")
        return {name: float(results[key][i]) for name, key in keys.items()}


class _SameSplits:
    """A splitter that splits once, so that all candidates are compared on the same folds, as in RandomizedSearchCV."""

    def __init__(self, cv: Any) -> None:
        self._cv = cv
        self._splits: list[Any] | None = None

    def split(self, *data: Any, **groups: Any) -> list[Any]:
        """Return the folds of the first call."""
        if self._splits is None:
            self._splits = list(self._cv.split(*data, **groups))
        return self._splits


def _without_raising(evaluate: Evaluate, fits: list[FitResult]) -> Evaluate:
    """Return scikit-learn's function, changed to record each fit and to continue if all fits of a call failed.

    scikit-learn raises if all fits of one call failed: that is one candidate here, but all candidates in a
    RandomizedSearchCV.
    """

    def warn_about_fit_failures(results: Sequence[FitResult], error_score: Any) -> None:
        fits.extend(results)
        try:
            _warn_or_raise_about_fit_failures(results, error_score)
        except ValueError as all_failed:
            warnings.warn(str(all_failed), FitFailedWarning, stacklevel=2)

    function = cast(FunctionType, evaluate)
    names = {**function.__globals__, _warn_or_raise_about_fit_failures.__name__: warn_about_fit_failures}
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


def _failure(scores: Mapping[str, float], fits: Sequence[FitResult]) -> Failure | None:
    """Return the failure of a candidate; None if it has a result, even if some of its fits failed."""
    errors = [str(fit["fit_error"]) for fit in fits if fit["fit_error"] is not None]
    non_finite = [f"{name} is {score!r}" for name, score in scores.items() if not math.isfinite(score)]
    if errors and (non_finite or len(errors) == len(fits)):
        last = errors[0].strip().splitlines()[-1]
        return failure_in(errors[0]) or Failure(FailureReason.INVALID_CONFIGURATION, f"the fit failed: {last}")
    return Failure(FailureReason.DIVERGED, ", ".join(non_finite)) if non_finite else None


def _warn_of_the_end(study: Study, batches: _Batches, num_wanted: int, why: Shortfall | None) -> None:
    """Warn that the search ended early.

    Raises:
        InvalidRequest: nothing was tried.
    """
    if batches.tried == 0:
        what = f"and {study.name} gives out no more trials: {why_no_more(study, why)}"
        raise InvalidRequest.of("study_id", f"is {study.id!r}, {what}; or take another study_id")
    message = ending(study, why, batches.tried, num_wanted, batches.failed)
    warnings.warn(
        f"{message}; {batches.tried} candidates were tried, not n_iter={num_wanted}", UserWarning, stacklevel=2
    )
