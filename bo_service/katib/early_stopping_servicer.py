"""Katib's early stopping service: the median rule, in the form in which Katib's metrics collectors apply it.

A collector compares the best value of its trial with a threshold, once, at report number `start_step`.
"""

import logging
import math
import time
from collections.abc import Sequence
from statistics import median

import grpc
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service import request_context
from bo_service.domain.early_stopping import MAX_COMPARED_TRIALS, StoppingSettings
from bo_service.domain.errors import InvalidArgument, Violation, WrongState
from bo_service.katib.experiment import GOALS, number_from_wire
from bo_service.katib.trial_status import TrialStatusWriter

logger = logging.getLogger("bo_service.katib")

DEFAULTS = {"start_step": 4, "min_trials_required": StoppingSettings().min_trials}
LARGEST = {"start_step": 2**31 - 1, "min_trials_required": MAX_COMPARED_TRIALS}
WORSE = {pb.MINIMIZE: pb.GREATER, pb.MAXIMIZE: pb.LESS}
MAX_KEPT = 10_000
"""Trials whose values are kept, so that the reports of each are read once."""
MAX_LOG_BYTES = 64 << 20
Status = pb.TrialStatus


class EarlyStoppingServicer(rpc.EarlyStoppingServicer):
    """The implementation of `api.v1.beta1.EarlyStopping`. An interceptor converts the errors that it raises."""

    def __init__(self, db_manager: str, writer: TrialStatusWriter | None) -> None:
        """Create the servicer.

        Args:
            db_manager: HOST:PORT of Katib's database; reports are read from no other address.
            writer: marks trials as stopped; None outside of a cluster.
        """
        self._db_manager, self._writer = db_manager, writer
        self._kept: dict[tuple[str, str, int], tuple[float, bool]] = {}

    def ValidateEarlyStoppingSettings(
        self, request: pb.ValidateEarlyStoppingSettingsRequest, context: grpc.ServicerContext
    ) -> pb.ValidateEarlyStoppingSettingsReply:
        settings_from_wire(request.early_stopping.algorithm_settings, "early_stopping.algorithm_settings")
        return pb.ValidateEarlyStoppingSettingsReply()

    def GetEarlyStoppingRules(
        self, request: pb.GetEarlyStoppingRulesRequest, context: grpc.ServicerContext
    ) -> pb.GetEarlyStoppingRulesReply:
        # 1. Read the objective and the settings.
        spec = request.experiment.spec
        objective, goal = spec.objective, GOALS.get(spec.objective.type)
        if goal is None or not objective.objective_metric_name:
            raise InvalidArgument.of("experiment.spec.objective", "lacks its type or the name of its metric; give both")
        path = "experiment.spec.early_stopping.algorithm_settings"
        settings = settings_from_wire(spec.early_stopping.algorithm_settings, path)
        if request.db_manager_address != self._db_manager:
            raise WrongState(
                f"db_manager_address is {request.db_manager_address[:300]!r}, and this server reads learning curves "
                f"from {self._db_manager} alone; start it with --katib-db-manager and Katib's address"
            )
        # 2. Wait for enough trials that have succeeded.
        reply = pb.GetEarlyStoppingRulesReply()
        ended = [t for t in request.trials if t.status.condition in (Status.SUCCEEDED, Status.EARLYSTOPPED)]
        ended = ended[-MAX_COMPARED_TRIALS:]
        finals = [goal.sign * value for t in ended if (value := _final(t, objective.objective_metric_name)) is not None]
        if len(finals) < settings["min_trials_required"]:
            return reply
        # 3. Compare with their values at the step; never stop a trial that is better than all of them in the end.
        try:
            values = self._values(ended, objective.objective_metric_name, settings["start_step"], context)
        except grpc.RpcError as error:
            logger.warning(
                "no early stopping rule: Katib's database at %s does not answer: %s", self._db_manager, error
            )
            return reply
        if values:
            threshold = min(median(goal.sign * value for value in values), max(finals))
            reply.early_stopping_rules.add(
                name=objective.objective_metric_name,
                value=repr(goal.sign * threshold),
                comparison=WORSE[objective.type],
                start_step=settings["start_step"],
            )
        return reply

    def SetTrialStatus(
        self, request: pb.SetTrialStatusRequest, context: grpc.ServicerContext
    ) -> pb.SetTrialStatusReply:
        if self._writer is None:
            raise WrongState(
                "this server runs outside of a Kubernetes cluster, or without a service account, and cannot mark the "
                "trial; let Katib start it as the early stopping service of an experiment"
            )
        self._writer.mark_stopped(request.trial_name)
        return pb.SetTrialStatusReply()

    def _values(self, ended: Sequence[pb.Trial], metric: str, step: int, context: grpc.ServicerContext) -> list[float]:
        """Return the values of ended trials at report `step`; those that were stopped before it have none.

        Raises:
            grpc.RpcError: Katib's database does not answer.
        """
        end = time.monotonic() + request_context.timeout(context)
        values = []
        options = [("grpc.max_receive_message_length", MAX_LOG_BYTES)]
        with grpc.insecure_channel(self._db_manager, options=options) as channel:
            stub = rpc.DBManagerStub(channel)
            for trial in ended:
                key = (trial.name, metric, step)
                kept = self._kept.get(key)
                if kept is None:
                    request = pb.GetObservationLogRequest(trial_name=trial.name, metric_name=metric)
                    reply = stub.GetObservationLog(request, timeout=max(0.0, end - time.monotonic()))
                    kept = self._keep(key, [log.metric for log in reply.observation_log.metric_logs])
                value, has_come_so_far = kept
                if math.isfinite(value) and (has_come_so_far or trial.status.condition == Status.SUCCEEDED):
                    values.append(value)
        return values

    def _keep(self, key: tuple[str, str, int], reports: Sequence[pb.Metric]) -> tuple[float, bool]:
        """Keep and return the last finite value up to a report, and whether the trial came so far."""
        _, metric, step = key
        numbers = [number_from_wire(report.value) for report in reports if report.name == metric]
        first = [number for number in numbers if number is not None][:step]
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        kept = next((n for n in reversed(first) if math.isfinite(n)), math.nan), len(first) == step
        self._kept[key] = kept
        return kept


def settings_from_wire(given: Sequence[pb.EarlyStoppingSetting], path: str) -> dict[str, int]:
    """Return the settings by name, with defaults.

    Raises:
        InvalidArgument: a name or a value is not allowed.
    """
    settings, violations = dict(DEFAULTS), []
    for setting in given:
        if setting.name not in DEFAULTS:
            allowed = ", ".join(DEFAULTS)
            violations.append(Violation(path, f"holds {setting.name[:80]!r}; the settings are {allowed}"))
            continue
        number = number_from_wire(setting.value)
        most = LARGEST[setting.name]
        if number is None or not number.is_integer() or not 1 <= number <= most:
            what = f"is {setting.value[:80]!r}; give a whole number from 1 to {most:,}"
            violations.append(Violation(f"{path}.{setting.name}", what))
            continue
        settings[setting.name] = int(number)
    if violations:
        raise InvalidArgument(violations)
    return settings


def _final(trial: pb.Trial, metric: str) -> float | None:
    """Return the value with which a trial has succeeded; None if it has not, or the value is not finite."""
    if trial.status.condition != Status.SUCCEEDED:
        return None
    values = [number_from_wire(m.value) for m in trial.status.observation.metrics if m.name == metric]
    return next((value for value in values if value is not None and math.isfinite(value)), None)
