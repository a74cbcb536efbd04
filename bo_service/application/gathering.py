"""What the optimizer is told of a study: its trials, with metrics turned inward (see `Metric`), and earlier studies."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

from bo_service.application.layers import Layers
from bo_service.application.ports import TrialOutline
from bo_service.application.results import full_values, is_cut_short
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, PastTrial, Source
from bo_service.core.study import Study, StudySpec
from bo_service.core.trial import TrialState


@dataclass(frozen=True, eq=False)
class Past:
    """The past trials of a study, by number, such that a change costs no look at all of them.

    Each is equal to itself alone.
    """

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


_versions = count(1)


@dataclass(frozen=True)
class Basis:
    """All that the optimizer is given of a study, except what is pending.

    The evidence is made of a basis and of what is pending, and of nothing else. Suggestions that were made ahead are
    therefore valid for as long as the study's basis has the same version.
    """

    study_id: str
    spec: StudySpec
    past: Past
    spent: Layers[Configuration]
    """Configurations of trials that ended without a result, by number."""
    failed: Layers[Configuration]
    """Configurations of trials that failed at every attempt, by number."""
    sources: tuple[Source, ...] = ()
    version: int = field(init=False, compare=False, default_factory=lambda: next(_versions))
    """Unique to this basis within the process."""

    @classmethod
    def of(cls, study: Study, trials: Sequence[TrialOutline], sources: tuple[Source, ...] = ()) -> "Basis":
        """Of all trials of a study."""
        spec = study.spec
        return cls(
            study.study_id, spec, Past.of(trials, spec), Layers(_spent(trials)), Layers(_failed(trials)), sources
        )

    def after(
        self, study: Study, before: Mapping[int, TrialOutline], now: Mapping[int, TrialOutline], touched: Sequence[int]
    ) -> "Basis":
        """The basis after a change of the study; itself where the optimizer is given the same.

        Args:
            study: as it is now.
            before: all trials by number, as they were.
            now: all trials by number, as they are.
            touched: numbers of the trials that were added, changed or deleted.
        """
        if study.spec != self.spec:
            return Basis.of(study, list(now.values()), self.sources)
        heard = [number for number in touched if _differs(before.get(number), now.get(number))]
        there = [now[number] for number in touched if number in now]
        return self._unless_equal(
            past=self.past.with_changes(now, heard, self.spec) if heard else self.past,
            spent=self.spent.changed(touched, _spent(there)),
            failed=self.failed.changed(touched, _failed(there)),
        )

    def with_sources(self, sources: tuple[Source, ...]) -> "Basis":
        """The basis with other earlier studies; itself where they say the same."""
        return self._unless_equal(sources=sources)

    def evidence(self, pending: Iterable[Configuration]) -> Evidence:
        """What the optimizer is given."""
        settings = self.spec.suggestion
        return Evidence(
            self.spec.space,
            settings,
            seed_of(self.study_id) if settings.seed is None else settings.seed,
            self.past.trials,
            tuple(pending),
            self.sources,
            _in_order(self.spent),
            _in_order(self.failed),
            study=self.study_id,
        )

    def _unless_equal(self, **changes: Any) -> "Basis":
        changed = replace(self, **changes)
        return self if changed == self else changed


def _differs(before: TrialOutline | None, now: TrialOutline | None) -> bool:
    """Whether the optimizer would hear of it."""
    return (before if is_heard(before) else None) != (now if is_heard(now) else None)


def _in_order(configurations: Mapping[int, Configuration]) -> tuple[Configuration, ...]:
    return tuple(configurations[number] for number in sorted(configurations))


def _spent(trials: Iterable[TrialOutline]) -> dict[int, Configuration]:
    return {t.number: t.parameters for t in trials if is_spent(t) and t.state is not TrialState.FAILED}


def _failed(trials: Iterable[TrialOutline]) -> dict[int, Configuration]:
    return {t.number: t.parameters for t in trials if is_spent(t) and t.state is TrialState.FAILED}


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
