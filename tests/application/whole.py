"""A second way to the evidence, which remembers nothing."""

from bo_service.application.gathering import evidence_from, is_spent, past_trials
from bo_service.application.ports import Records
from bo_service.application.warm_start import sources_from
from bo_service.core.evidence import Evidence
from bo_service.core.study import Study


def evidence_of(records: Records, study: Study) -> Evidence:
    """What the optimizer may know of a study, read as a whole: what a server remembers must come to the same."""
    trials = records.trials.outlines(study.study_id)
    named = (name for name in study.spec.suggestion.warm_start_studies if records.studies.find(name))
    sources = sources_from({name: records.trials.outlines(name) for name in named}, study.spec)
    pending = (t.parameters for t in trials if not t.state.is_ended)
    spent = (t.parameters for t in trials if is_spent(t))
    return evidence_from(study, past_trials(trials, study.spec), pending, spent, sources)
