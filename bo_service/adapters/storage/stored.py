"""Rows as they are stored, as far as that is known.

Within one transaction that is what it has read and written; where a single connection writes everything, as in SQLite,
it stays true from one transaction to the next, until something is undone.
"""

from bo_service.core.study import Study
from bo_service.core.trial import Trial

MOST_STUDIES, MOST_TRIALS = 1000, 5000


class Stored:
    """Those studies and trials that were read or written last."""

    def __init__(self) -> None:
        self._studies: dict[str, Study] = {}
        self._trials: dict[tuple[str, int], Trial] = {}

    def study(self, study_id: str) -> Study | None:
        return self._studies.get(study_id)

    def trial(self, study_id: str, number: int) -> Trial | None:
        return self._trials.get((study_id, number))

    def keep_study(self, study: Study) -> None:
        """It is stored like this now."""
        self._studies[study.study_id] = study
        if len(self._studies) > MOST_STUDIES:
            del self._studies[next(iter(self._studies))]

    def keep_trial(self, trial: Trial) -> None:
        """It is stored like this now."""
        self._trials[trial.study_id, trial.number] = trial
        if len(self._trials) > MOST_TRIALS:
            del self._trials[next(iter(self._trials))]

    def drop_trial(self, trial: Trial) -> None:
        """It is stored no longer."""
        self._trials.pop((trial.study_id, trial.number), None)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._studies.clear()
        self._trials.clear()
