"""The XGBoost callback that reports each round, and stops boosting when the service requests it.

(trial,) = study.suggest()
callback = BoCallback(trial, "valid-auc")
xgboost.train(params, train, 100, evals=[(valid, "valid")], callbacks=[callback])
trial.complete(max(callback.history["auc"]))
"""

import numbers
from typing import Any

import xgboost

from bo_client.integrations.boosting import BoostingCallback


class XGBoostCallback(BoostingCallback, xgboost.callback.TrainingCallback):
    """A callback of `xgboost.train`, `xgboost.cv` and XGBoost's estimators.

    Pass `callback.model` to `xgb_model=` to continue a paused trial, and `callback.rounds_left(ROUNDS)` as the number
    of rounds.
    """

    _tool = "XGBoost"
    _advice = 'choose one with metric=, and give train evals=[(data, "valid")], or fit eval_set'
    _ending = ".ubj"

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - counted from 0 in each
        """Report a round, and return whether boosting should end.

        Raises:
            InvalidRequest: the study's objective is not among XGBoost's metrics.
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        last = [(data, name, values[-1]) for data, log in evals_log.items() for name, values in log.items()]
        scores = [(d, n, float(v if isinstance(v, numbers.Real) else v[0])) for d, n, v in last]  # cv has a deviation
        return self._round(scores, model.num_boosted_rounds(), lambda file: model.save_model(file))

    def _rounds_of(self, file: str) -> int:
        return int(xgboost.Booster(model_file=file).num_boosted_rounds())


BoCallback = XGBoostCallback
"""The name that the callbacks of all libraries have in their modules."""
