"""What the optimizer is told of a study: its trials, with metrics turned inward (see `Metric`), and earlier studies."""

import hashlib
from collections.abc import Sequence

from bo_service.application.ports import Records, TrialOutline
from bo_service.application.stopping import full_values
from bo_service.application.warm_start import sources_of
from bo_service.core.evidence import Evidence, PastTrial
from bo_service.core.study import Study, StudySpec
from bo_service.core.trial import TrialState


def evidence_of(records: Records, study: Study) -> Evidence:
    """What the optimizer may know of a study."""
    trials = records.trials.outlines(study.study_id)
    settings = study.spec.suggestion
    return Evidence(
        space=study.spec.space,
        settings=settings,
        seed=seed_of(study.study_id) if settings.seed is None else settings.seed,
        past=past_trials(trials, study.spec),
        pending=tuple(t.parameters for t in trials if not t.state.is_ended),
        sources=sources_of(records, study.spec),
    )


def past_trials(trials: Sequence[TrialOutline], spec: StudySpec) -> tuple[PastTrial, ...]:
    """Those that say something about their parameters; machines' failures don't."""
    values = full_values(trials, spec.objective)
    found = []
    for trial in trials:
        if trial.state is TrialState.INFEASIBLE:
            found.append(PastTrial(trial.number, trial.parameters, None))
        elif trial.number in values and trial.final_measurement is not None:
            metrics, (value, std) = trial.final_measurement.metrics, values[trial.number]
            further = tuple(m.inward(metrics[m.name]) for m in spec.objectives[1:])
            margins = tuple(m.inward(metrics[m.name]) for m in spec.limits)
            past = PastTrial(trial.number, trial.parameters, value, std, further, margins, trial.seconds)
            found.append(past)
    return tuple(found)


def seed_of(study_id: str) -> int:
    """The seed of a study that has none of its own: from 0 to 2^63 - 1."""
    return int.from_bytes(hashlib.sha256(study_id.encode()).digest()[:8], "big") >> 1
