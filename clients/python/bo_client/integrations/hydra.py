"""The sweep of the Hydra plugin `hydra_plugins.bo_sweeper`: each job is a trial of a study."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig, ListConfig, OmegaConf

from bo_client.errors import InvalidRequest
from bo_client.failures import described, failure_of
from bo_client.integrations.domains import Domain, Translation, chosen, real, whole
from bo_client.integrations.external_trial import ExternalTrial, ask_for, ending
from bo_client.integrations.studies import StudyConnection
from bo_client.models import FailureReason, Metric, Shortfall
from bo_client.optimize import CRASHES_IN_A_ROW
from bo_client.parameters import metric_values
from bo_client.study import Study

logger = logging.getLogger("bo_client.hydra")

RESULTS = "optimization_results.yaml"
"""File in the sweep's folder with the best jobs; other sweepers of Hydra write the same."""


class Sweep:
    """One run of the sweeper."""

    def __init__(
        self,
        sweeper: Any,
        *,
        n_trials: int,
        n_jobs: int,
        direction: Any,
        metric: Any,
        server: str | None,
        study_id: str | None,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> None:
        """Check the options; see `BoSweeperConf`.

        Raises:
            InvalidRequest: an option is invalid.
        """
        for name, count in (("n_trials", n_trials), ("n_jobs", n_jobs)):
            if count < 1:
                raise InvalidRequest.of(f"hydra.sweeper.{name}", f"is {count}; give a number from 1")
        self._context: HydraContext = sweeper.hydra_context
        self._config: DictConfig = sweeper.config
        self._sweeper = sweeper
        self._n_trials, self._n_jobs = n_trials, n_jobs
        self._metrics = _metrics(metric, direction)
        job_name = re.sub(r"[^a-z0-9-]+", "-", str(self._config.hydra.job.name).lower()).strip("-")[:50]
        given = OmegaConf.to_container(settings, resolve=True) if OmegaConf.is_config(settings) else dict(settings)
        self._connection = StudyConnection(server, study_id or job_name or "hydra", given)  # type: ignore[arg-type]
        self._params = params
        self._crashes = self._failed = 0
        self._fixed: list[str] = []
        self._keys: dict[str, str] = {}
        """Hydra's keys, with their plus signs, by the names of the parameters."""

    def run(self, arguments: Sequence[str]) -> list[Any]:
        """Run jobs until there are enough, or the study has no more trials.

        Raises:
            InvalidRequest: there is nothing to search, or an override is invalid.
            Exception: that of a job, if several in a row crashed.
        """
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        overrides = parser.parse_overrides([*(f"{k}={v}" for k, v in self._params.items()), *arguments])
        by_key = {override.get_key_element().lstrip("+"): override for override in overrides}
        searched = {key: override for key, override in by_key.items() if override.is_sweep_override()}
        if not searched:
            what = "contain nothing to search; give a range, such as 'lr=tag(log,interval(1e-4,1e-1))'"
            raise InvalidRequest.of("overrides", what)
        self._fixed = [str(override.input_line) for key, override in by_key.items() if key not in searched]
        self._keys = {key: override.get_key_element() for key, override in searched.items()}
        translation = Translation([domain_of(key, override) for key, override in searched.items()])
        study = self._connection.for_space(translation.space, self._metrics)
        folder = Path(self._config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / "multirun.yaml")
        logger.info("the trials of this sweep are in %s", study.name)
        results = self._run(study, translation)
        _write_best(study, translation, folder / RESULTS)
        return results

    def _run(self, study: Study, translation: Translation) -> list[Any]:
        results: list[Any] = []
        while len(results) < self._n_trials:
            count = min(self._n_jobs, self._n_trials - len(results))
            suggestions = ask_for(study, count, waiting=(Shortfall.PAUSED, Shortfall.ALL_IN_PROGRESS))
            if not suggestions:
                why = suggestions.shortfall
                logger.warning("%s", ending(study, why, len(results), self._n_trials, self._failed))
                break
            trials = [ExternalTrial(trial) for trial in suggestions]
            batch = [self._overrides(translation.from_service(trial.trial.parameters)) for trial in trials]
            for trial, result in zip(trials, self._launch(trials, batch, len(results)), strict=True):
                results.append(result)
                self._end(trial, result)
        return results

    def _overrides(self, values: Mapping[str, Any]) -> list[str]:
        return [*self._fixed, *(f"{self._keys[name]}={value}" for name, value in values.items())]

    def _launch(self, trials: Sequence[ExternalTrial], batch: list[list[str]], first: int) -> Sequence[Any]:
        """Run the jobs of a batch; if Hydra raises, as at Ctrl-C, the trials fail."""
        try:
            self._sweeper.validate_batch_is_legal(batch)
            return self._sweeper.launcher.launch(batch, initial_job_idx=first)
        except BaseException as error:
            failure = failure_of(error)
            for trial in trials:
                trial.fail(failure.reason, failure.message)
            raise

    def _end(self, trial: ExternalTrial, result: Any) -> None:
        """Complete or fail the trial of a job.

        Raises:
            Exception: that of the job, if it is one of several in a row that crashed.
        """
        try:
            trial.succeed(self._measured(result.return_value))
            self._crashes = 0
        except Exception as error:
            failure = failure_of(error)
            trial.fail(failure.reason, failure.message)
            logger.warning("%s failed: %s", trial.trial.name, described(error))
            self._failed += 1
            self._crashes = self._crashes + 1 if failure.reason is FailureReason.CRASHED else 0
            if self._crashes == CRASHES_IN_A_ROW:
                raise

    def _measured(self, returned: Any) -> dict[str, float]:
        """Return the metrics that a job returned.

        Raises:
            InvalidRequest: it returned something else.
        """
        names = [metric.name for metric in self._metrics]
        try:
            if isinstance(returned, Mapping):
                return metric_values(returned)
            values = [returned] if len(names) == 1 else list(returned)
            return metric_values(dict(zip(names, values, strict=True)))
        except (TypeError, ValueError):  # InvalidRequest is a ValueError
            wanted = "a number" if len(names) == 1 else f"{len(names)} numbers"
            what = f"{returned!r:.100}; return {wanted}, or a dictionary with {', '.join(names)}"
            raise InvalidRequest.of("metrics", f"the job returned {what}") from None


def domain_of(key: str, override: Override) -> Domain:
    """Return the domain of a sweep: `interval`, `range`, `choice`, `a,b` or `glob`.

    Raises:
        InvalidRequest: its bounds or values are invalid.
    """
    value: Any = override.value()
    if override.is_interval_sweep():
        is_whole = isinstance(value.start, int) and isinstance(value.end, int)
        return (whole if is_whole else real)(key, value.start, value.end, log="log" in value.tags)
    elements = list(override.sweep_iterator())
    if all(isinstance(element, int | float) and not isinstance(element, bool) for element in elements):
        return chosen(key, elements)
    return chosen(key, list(override.sweep_string_iterator()))


def _metrics(metric: Any, direction: Any) -> list[Metric]:
    names, goals = _listed(metric), _listed(direction)
    if len(names) != len(goals):
        what = f"has {len(goals)} entries, and hydra.sweeper.metric {len(names)}; name each objective and its direction"
        raise InvalidRequest.of("hydra.sweeper.direction", what)
    return [Metric(str(name), goal) for name, goal in zip(names, goals, strict=True)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | ListConfig) else [value]


def _write_best(study: Study, translation: Translation, file: Path) -> None:
    """Write the best trials of the study, unless it has none."""
    best = [
        {
            "trial": trial.name,
            "params": translation.from_service(trial.parameters),
            "values": dict(trial.final_measurement.metrics) if trial.final_measurement else {},
        }
        for trial in study.best_trials(1)
    ]
    if best:
        OmegaConf.save(OmegaConf.create({"name": "bo", "study": study.name, "best": best}), file)
