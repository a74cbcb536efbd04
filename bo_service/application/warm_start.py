"""Earlier studies that a study starts from: which may be named, and what they know in its space and of its metrics."""

from collections.abc import Iterator, Mapping, Sequence

from bo_service.application.ports import Records, TrialOutline
from bo_service.application.results import full_values
from bo_service.core.domains import listed
from bo_service.core.errors import InvalidArgument, Violation
from bo_service.core.evidence import PastTrial, Source
from bo_service.core.space import SearchSpace
from bo_service.core.study import Metric, StudySpec
from bo_service.core.translation import translated
from bo_service.core.trial import TrialState

FIELD = "study.spec.suggestion.warm_start_studies"


def check_sources(records: Records, study_id: str, spec: StudySpec) -> None:
    """Raises InvalidArgument where a study can't start from those it names."""
    faults = []
    for i, source_id in enumerate(spec.suggestion.warm_start_studies):
        what = _fault(records, study_id, spec, source_id)
        if what is not None:
            faults.append(Violation(f"{FIELD}[{i}]", f"is 'studies/{source_id}', {what}"))
    if faults:
        raise InvalidArgument(faults)


def _fault(records: Records, study_id: str, spec: StudySpec, source_id: str) -> str | None:
    if source_id == study_id:
        return "the study itself; name earlier ones"
    source = records.studies.find(source_id)
    if source is None:
        return "which doesn't exist; name studies that do, or leave it out"
    names, given = [[p.name for p in space.parameters] for space in (spec.space, source.spec.space)]
    if not set(names) & set(given):
        return f"which has none of this study's parameters: its own are {listed(given)}"
    metrics = [m.name for m in source.spec.metrics]
    if not {m.name for m in spec.objectives} & set(metrics):
        return f"which measures none of this study's objectives: its metrics are {listed(metrics)}"
    return None


def sources_from(trials: Mapping[str, Sequence[TrialOutline]], spec: StudySpec) -> tuple[Source, ...]:
    """What the studies that `spec` names know, by their trials; those deleted since then know nothing."""
    found = []
    for source_id in spec.suggestion.warm_start_studies:
        for k, metric in enumerate(spec.objectives):
            past = tuple(_past(trials.get(source_id, ()), metric, spec.space))
            if any(trial.value is not None for trial in past):
                found.append(Source(source_id, k, past))
    return tuple(found)


def _past(trials: Sequence[TrialOutline], metric: Metric, space: SearchSpace) -> Iterator[PastTrial]:
    """Trials of another study as trials of this one; those that can't be are left out."""
    measured = [t for t in trials if t.final_measurement is None or metric.name in t.final_measurement.metrics]
    values = full_values(measured, metric)
    for trial in measured:
        failed = trial.state is TrialState.INFEASIBLE
        if not failed and trial.number not in values:
            continue
        configuration = translated(trial.parameters, space)
        if configuration is not None:
            value, std = (None, 0.0) if failed else values[trial.number]
            yield PastTrial(trial.number, configuration, value, std)
