"""A second way to the evidence, which remembers nothing."""

from bo_service.application.ports import UnitOfWork
from bo_service.application.snapshot import OptimizerBasis
from bo_service.application.warm_start import sources_from
from bo_service.domain.study import Study
from bo_service.optimizer.inputs import OptimizerInput


def evidence_of(records: UnitOfWork, study: Study) -> OptimizerInput:
    """What the optimizer may know of a study, read as a whole: what a server remembers must come to the same."""
    trials = records.summarize_trials(study.study_id)
    named = (name for name in study.spec.suggestion.warm_start_studies if records.find_study(name))
    sources = sources_from({name: records.summarize_trials(name) for name in named}, study.spec)
    pending = (t.parameters for t in trials if not t.state.is_ended and not t.has_forecast)
    by_number = {trial.number: trial for trial in trials}
    empty = OptimizerBasis(study.study_id, study.spec, sources=sources)
    return empty.after(study, {}, by_number, list(by_number), {}).inputs(pending)
