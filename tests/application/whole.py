"""A second way to the evidence, which remembers nothing."""

from bo_service.application.gathering import Basis
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
    return Basis.of(study, trials, sources).evidence(pending)
