"""The LightGBM callback that reports each round, and stops boosting when the service requests it.

(trial,) = study.suggest()
callback = BoCallback(trial, "valid_0-auc")
booster = lightgbm.train(params, train, 100, valid_sets=[valid], callbacks=[callback])
trial.complete(max(callback.history["auc"]))
"""

import math
from typing import Any

import lightgbm

from bo_client.integrations.boosting import BoostingCallback


class LightGBMCallback(BoostingCallback):
    """A callback of `lightgbm.train`, `lightgbm.cv` and LightGBM's estimators.

    A training that is stopped ends as with LightGBM's early stopping: `best_iteration` is the best round so far. Pass
    `callback.model` to `init_model=` to continue a paused trial, and `callback.rounds_left(ROUNDS)` as the number of
    rounds.
    """

    _tool = "LightGBM"
    _advice = "choose one with metric=, and give train valid_sets, or fit eval_set"
    _ending = ".txt"

    order = 25
    """LightGBM calls it after logging, and before early stopping, which may end the training."""
    before_iteration = False
    _best: tuple[float, int, Any] | None = None

    def __call__(self, env: Any) -> None:
        """Report a round.

        Raises:
            EarlyStopException: boosting should end; for LightGBM.
            InvalidRequest: the study's objective is not among LightGBM's metrics.
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        results = env.evaluation_result_list or []
        scores = [(result[0], result[1], float(result[2])) for result in results]
        should_end = self._round(scores, env.iteration + 1, lambda file: env.model.save_model(file, num_iteration=-1))
        value = self._sign * self.value
        if not math.isnan(value) and (self._best is None or value > self._best[0]):
            self._best = value, env.iteration, results
        if should_end:
            best = self._best or (value, env.iteration, results)
            raise lightgbm.callback.EarlyStopException(best[1], best[2])

    @property
    def _sign(self) -> float:
        return self.trial.study.definition.objectives[0].sign

    def _rounds_of(self, file: str) -> int:
        return int(lightgbm.Booster(model_file=file).current_iteration())


BoCallback = LightGBMCallback
"""The name that the callbacks of all libraries have in their modules."""
