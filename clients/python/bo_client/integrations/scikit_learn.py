"""scikit-learn: `BOSearchCV`, a search with cross-validation that asks the service what to try.

search = BOSearchCV(SVC(), {"C": loguniform(1e-3, 1e3), "kernel": ["linear", "rbf"]}, n_iter=30)
search.fit(X, y)
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from bo_client.client import Client
from bo_client.errors import InvalidRequest
from bo_client.integrations import domains, embedded
from bo_client.integrations.domains import Domain, Translation
from bo_client.integrations.held import HeldTrial
from bo_client.integrations.studies import Studies
from bo_client.parameters import CategoricalParameter, DiscreteParameter, FloatParameter, IntParameter
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.values import FailureReason, Metric, Shortfall, StudySettings

Evaluate = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


class BOSearchCV(BaseSearchCV):
    """Searches like RandomizedSearchCV, by the service's surrogate instead of at random.

    Parameters
    ----------
    estimator : estimator object
    search_spaces : dict or bo_client.SearchSpace
        What is tried of each parameter: a list of values, scipy.stats' `uniform`, `loguniform` or `randint`, or a
        parameter of bo_client. A SearchSpace may have conditions and constraints. Numbers in a list count as ordered.
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
        As in RandomizedSearchCV. With several scores, `refit` names the one that is optimized.

    Attributes
    ----------
    study_id_ : str
        The study of the last fit.
    server_ : str or bo_client.Client
        Where it is. All other attributes are RandomizedSearchCV's.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSearchCV._parameter_constraints,
        "search_spaces": [dict, SearchSpace],
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
        search_spaces: Mapping[str, Any] | SearchSpace,
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

    def _run_search(self, evaluate_candidates: Evaluate) -> None:
        """Asks, evaluates and tells, until `n_iter` candidates have been tried. Raises BoClientError."""
        metric = f"mean_test_{self._optimized()}"
        translation = translated(self.search_spaces)
        study = self._study(translation.space, metric)
        tried = 0
        while tried < self.n_iter:
            suggestions = study.suggest(min(self.n_points, self.n_iter - tried))
            if not suggestions:
                _warn_of_the_end(study, tried, self.n_iter, suggestions.shortfall)
                return
            _evaluate([HeldTrial(trial) for trial in suggestions], translation, evaluate_candidates, metric)
            tried += len(suggestions)

    def _optimized(self) -> str:
        """The score's name. Raises InvalidRequest where there are several."""
        if isinstance(self.refit, str):
            return self.refit
        if isinstance(self.scoring, list | tuple | set | dict):
            what = 'and scoring has several; name the one to optimize, as in refit="accuracy"'
            raise InvalidRequest.of("refit", f"is {self.refit!r}, {what}")
        return "score"

    def _study(self, space: SearchSpace, metric: str) -> Study:
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        settings: StudySettings = {"seed": seed, **(self.settings or {})}
        self.server_ = embedded.address() if self.server is None else self.server
        self.study_id_ = self.study_id or f"search-{uuid4().hex}"
        return Studies(self.server_, self.study_id_, settings).exactly(space, [Metric(metric, "maximize")])


def _evaluate(held: Sequence[HeldTrial], translation: Translation, evaluate: Evaluate, metric: str) -> None:
    """Trials side by side; each is told what came of it."""
    try:
        results = evaluate([translation.inward(one.trial.parameters) for one in held])
        scores = [float(score) for score in results[metric][-len(held) :]]
    except BaseException as error:
        for one in held:
            one.fail(FailureReason.CRASHED, f"{type(error).__name__}: {error}")
        raise
    for one, score in zip(held, scores, strict=True):
        if math.isfinite(score):
            one.succeed({metric: score})
        else:
            one.fail(FailureReason.INVALID_CONFIGURATION, "the fit failed, or its score was no number")


def _warn_of_the_end(study: Study, tried: int, wanted: int, why: Shortfall | None) -> None:
    """Raises InvalidRequest where nothing has been tried."""
    what = f"{study.name} gives out no more trials ({why})"
    if tried == 0:
        raise InvalidRequest.of("study_id", f"is {study.id!r}, and {what}; take another one")
    warnings.warn(f"{what}: {tried} candidates were tried, not n_iter={wanted}", UserWarning, stacklevel=2)


def translated(spaces: Mapping[str, Any] | SearchSpace) -> Translation:
    """The service's parameters. Raises InvalidRequest, naming the parameter."""
    if isinstance(spaces, SearchSpace):
        return Translation.of(spaces)
    return Translation(domain(name, given) for name, given in spaces.items())


def domain(name: str, given: Any) -> Domain:
    """One parameter. Raises InvalidRequest."""
    if isinstance(given, FloatParameter | IntParameter | CategoricalParameter | DiscreteParameter):
        return domains.checked(Domain(name, replace(given, name=domains.service_name(name))))
    if isinstance(given, list | np.ndarray):
        return domains.chosen(name, np.asarray(given).tolist() if isinstance(given, np.ndarray) else given)
    if hasattr(given, "rvs"):
        return _distributed(name, given)
    known = "a list of values, scipy.stats' uniform, loguniform or randint, or a parameter of bo_client"
    raise InvalidRequest.of(name, f"is {given!r}; give {known}")


def _distributed(name: str, given: Any) -> Domain:
    kind = getattr(getattr(given, "dist", None), "name", type(given).__name__)
    if kind in ("uniform", "loguniform", "reciprocal"):
        low, high = given.support()
        return domains.real(name, float(low), float(high), log=kind != "uniform")
    if kind == "randint":
        low, high = given.support()
        return domains.whole(name, int(low), int(high))
    what = "give bounds instead, by scipy.stats' uniform, loguniform or randint: the service needs no distribution"
    raise InvalidRequest.of(name, f"has the distribution {kind}; {what}")
