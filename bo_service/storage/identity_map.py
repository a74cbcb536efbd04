"""Studies and trials as they are stored, as far as that is certain.

Within one transaction that is what it has read and written. Where a single connection writes everything, as in SQLite,
it stays true from one transaction to the next, until something is undone.
"""

from bo_service.domain.study import Study
from bo_service.domain.trial import Trial

MAX_STUDIES, MAX_TRIALS = 1000, 5000


class IdentityMap:
    """The studies and trials that were read or written last."""

    def __init__(self) -> None:
        self._studies: dict[str, Study] = {}
        self._trials: dict[tuple[str, int], Trial] = {}

    def study(self, study_id: str) -> Study | None:
        """Return the study as it is stored; None where that isn't certain."""
        return self._studies.get(study_id)

    def trial(self, study_id: str, number: int) -> Trial | None:
        """Return the trial as it is stored; None where that isn't certain."""
        return self._trials.get((study_id, number))

    def keep_study(self, study: Study) -> None:
        """Note that the study is stored like this now."""
        self._studies[study.study_id] = study
        if len(self._studies) > MAX_STUDIES:
            del self._studies[next(iter(self._studies))]

    def keep_trial(self, trial: Trial) -> None:
        """Note that the trial is stored like this now."""
        self._trials[trial.study_id, trial.number] = trial
        if len(self._trials) > MAX_TRIALS:
            del self._trials[next(iter(self._trials))]

    def drop_trial(self, study_id: str, number: int) -> None:
        """Note that the trial is no longer stored."""
        self._trials.pop((study_id, number), None)

    def clear(self) -> None:
        """Note that nothing is certain any more."""
        self._studies.clear()
        self._trials.clear()
