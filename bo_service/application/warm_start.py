"""Earlier studies that a study starts from: which may be named, and what they know in its space and of its metrics."""

from collections.abc import Iterator, Mapping, Sequence

from bo_service.application.ports import TrialSummary, UnitOfWork
from bo_service.application.snapshot import full_fidelity_values
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.parameter_types import format_values
from bo_service.domain.search_space import SearchSpace
from bo_service.domain.study import Metric, StudySpec
from bo_service.domain.trial import TrialState
from bo_service.optimizer.inputs import Observation, Source
from bo_service.optimizer.transfer.conversion import convert_configuration

FIELD = "study.spec.suggestion.warm_start_studies"


def check_sources(records: UnitOfWork, study_id: str, spec: StudySpec) -> None:
    """Check that a study can start from those that it names.

    Raises:
        InvalidArgument: it can't.
    """
    faults = []
    for i, source_id in enumerate(spec.suggestion.warm_start_studies):
        what = _fault(records, study_id, spec, source_id)
        if what is not None:
            faults.append(Violation(f"{FIELD}[{i}]", f"is 'studies/{source_id}', {what}"))
    if faults:
        raise InvalidArgument(faults)


def _fault(records: UnitOfWork, study_id: str, spec: StudySpec, source_id: str) -> str | None:
    if source_id == study_id:
        return "the study itself; name earlier ones"
    source = records.find_study(source_id)
    if source is None:
        return "which doesn't exist; name studies that do, or leave it out"
    names, given = [[p.name for p in space.parameters] for space in (spec.space, source.spec.space)]
    if not set(names) & set(given):
        return f"which has none of this study's parameters: its own are {format_values(given)}"
    metrics = [m.name for m in source.spec.metrics]
    if not {m.name for m in spec.objectives} & set(metrics):
        return f"which measures none of this study's objectives: its metrics are {format_values(metrics)}"
    return None


def sources_from(trials: Mapping[str, Sequence[TrialSummary]], spec: StudySpec) -> tuple[Source, ...]:
    """Return the trials of the studies that `spec` names; those deleted since have none."""
    sources = []
    for source_id in spec.suggestion.warm_start_studies:
        for k, metric in enumerate(spec.objectives):
            past = tuple(_past(trials.get(source_id, ()), metric, spec.space))
            if any(trial.value is not None for trial in past):
                sources.append(Source(source_id, k, past))
    return tuple(sources)


def _past(trials: Sequence[TrialSummary], metric: Metric, space: SearchSpace) -> Iterator[Observation]:
    """Return trials of another study as trials of this one; those that can't be are left out."""
    measured = [t for t in trials if t.final_measurement is None or metric.name in t.final_measurement.metrics]
    values = full_fidelity_values(measured, metric)
    for trial in measured:
        failed = trial.state is TrialState.INFEASIBLE
        if not failed and trial.number not in values:
            continue
        configuration = convert_configuration(trial.parameters, space)
        if configuration is not None:
            value, std = (None, 0.0) if failed else values[trial.number]
            yield Observation(trial.number, configuration, value, std)
