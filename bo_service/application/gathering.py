"""What the optimizer is told of a study: its trials, with metrics turned inward (see `Metric`), and earlier studies."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bo_service.application.layers import Layers
from bo_service.application.ports import TrialOutline
from bo_service.application.results import full_values, is_cut_short
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, PastTrial, Source
from bo_service.core.study import Study, StudySpec
from bo_service.core.trial import TrialState


def evidence_from(
    study: Study,
    past: tuple[PastTrial, ...],
    pending: Iterable[Configuration],
    spent: Iterable[Configuration],
    sources: tuple[Source, ...],
) -> Evidence:
    """The evidence that these make."""
    settings = study.spec.suggestion
    seed = seed_of(study.study_id) if settings.seed is None else settings.seed
    pending, spent = tuple(pending), tuple(spent)
    return Evidence(study.spec.space, settings, seed, past, pending, sources, spent, study=study.study_id)


@dataclass(frozen=True)
class Past:
    """The past trials of a study, by number, such that a change costs no look at all of them."""

    by_number: Layers[PastTrial]
    short: frozenset[int]
    """Those that a rule cut short: they count for no more than the best of the others."""
    most: float
    """That best value; inf where there is none."""

    @classmethod
    def of(cls, trials: Sequence[TrialOutline], spec: StudySpec) -> "Past":
        """Of all trials of a study."""
        outlines = {trial.number: trial for trial in trials}
        return cls(Layers({}), frozenset(), math.inf).with_changes(outlines, list(outlines), spec)

    @cached_property
    def trials(self) -> tuple[PastTrial, ...]:
        """In the order of their numbers."""
        return tuple(sorted(self.by_number.values(), key=lambda trial: trial.number))

    def with_changes(self, outlines: Mapping[int, TrialOutline], changed: Sequence[int], spec: StudySpec) -> "Past":
        """As it is once the trials with these numbers are as in `outlines`, or are no longer there."""
        there = [outlines[number] for number in changed if number in outlines]
        short = (self.short - set(changed)) | {trial.number for trial in there if is_cut_short(trial)}
        whole = _by_number([trial for trial in there if trial.number not in short], spec, math.inf)
        found = self.by_number.changed(changed, whole)
        if not short:
            return Past(found, frozenset(), math.inf)
        most = max((t.value for n, t in found.items() if n not in short and t.value is not None), default=math.inf)
        again = short if most != self.most else short & set(changed)
        cut = _by_number([outlines[number] for number in again], spec, most)
        return Past(found.changed((), cut), frozenset(short), most)


def _by_number(trials: Sequence[TrialOutline], spec: StudySpec, most: float) -> dict[int, PastTrial]:
    return {past.number: past for past in past_trials(trials, spec, most)}


def is_heard(trial: TrialOutline | None) -> bool:
    """Whether it says something about its parameters; machines' failures don't."""
    if trial is None or not trial.state.is_ended:
        return False
    return trial.state is TrialState.INFEASIBLE or trial.final_measurement is not None


def is_spent(trial: TrialOutline) -> bool:
    """Whether it ended, and says nothing about its parameters."""
    return trial.state.is_ended and not is_heard(trial)


def past_trials(trials: Sequence[TrialOutline], spec: StudySpec, most: float | None = None) -> tuple[PastTrial, ...]:
    """Those that are heard of. What was cut short counts for `most` at most, or for the best of the others."""
    values = full_values(trials, spec.objective, most)
    found = []
    for trial in trials:
        if trial.state is TrialState.INFEASIBLE:
            found.append(PastTrial(trial.number, trial.parameters, None))
        elif trial.number in values and trial.final_measurement is not None:
            metrics, (value, std) = trial.final_measurement.metrics, values[trial.number]
            further = tuple(m.inward(metrics[m.name]) for m in spec.objectives[1:])
            margins = tuple(m.inward(metrics[m.name]) for m in spec.limits)
            about = value, std, further, margins, trial.seconds, is_cut_short(trial)
            found.append(PastTrial(trial.number, trial.parameters, *about))
    return tuple(found)


def seed_of(study_id: str) -> int:
    """The seed of a study that has none of its own: from 0 to 2^63 - 1."""
    return int.from_bytes(hashlib.sha256(study_id.encode()).digest()[:8], "big") >> 1
