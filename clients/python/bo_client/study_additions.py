"""The part of a study that adds trials: to be run, or evaluated elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import space_pb2, trial_pb2

from bo_client.errors import InvalidRequest
from bo_client.models import Failure, FailureReason, Measurement, StudyInfo, Trial
from bo_client.outcomes import FinalMetrics
from bo_client.retries import new_request_id
from bo_client.trial_loop import final_metrics
from bo_client.wire import codec
from bo_client.wire.codec_plain import build_or_raise

if TYPE_CHECKING:
    from bo_client.client import Client


class StudyAdditions(ABC):
    """The methods of `Study` that add trials."""

    client: "Client"
    definition: StudyInfo

    @property
    @abstractmethod
    def name(self) -> str: ...
    @abstractmethod
    def metrics_of(self, metrics: float | Mapping[str, float]) -> Mapping[str, float]: ...
    @abstractmethod
    def _configuration(self, parameters: Mapping[str, Any]) -> dict[str, space_pb2.ParameterValue]: ...

    def enqueue(
        self, parameters: Mapping[str, Any], labels: Mapping[str, str] | None = None, request_id: str | None = None
    ) -> Trial:
        """Queue a configuration, which is assigned before any suggestion, and return its trial.

        Args:
            parameters: a value for each active parameter.
            labels: labels of the trial.
            request_id: programs that use the same id queue one trial together.

        Raises:
            InvalidRequest: the configuration does not belong to the study.
        """
        return self._create(self._trial(parameters, labels), request_id)

    def add(
        self,
        parameters: Mapping[str, Any],
        metrics: float | Mapping[str, float] | Measurement | None = None,
        failure: FailureReason | str | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        *,
        stop_reason: str | None = None,
        curve: Sequence[Measurement] | Mapping[int, float | Mapping[str, float]] = (),
    ) -> Trial:
        """Record an evaluation made elsewhere, with its final metrics or its failure, and return its trial.

        A result that is not finite is recorded as DIVERGED.

        Args:
            parameters: a value for each active parameter.
            metrics: the final metrics, or a measurement of them with step and elapsed time.
            failure: the reason of the failure.
            labels: labels of the trial.
            request_id: programs that use the same id add one trial together.
            stop_reason: why it was ended early; its metrics are then those of the last step.
            curve: metrics by step, or measurements, one for each step. Of a curve that is too large for one call, every
                second, third … step is kept.

        Raises:
            InvalidRequest: the configuration, the metrics or a measurement are invalid.
        """
        if (metrics is None) == (failure is None):
            raise InvalidRequest.of("metrics", "and failure: give exactly one of them")
        if isinstance(curve, Mapping):
            curve = [Measurement(self.metrics_of(measured), step) for step, measured in sorted(curve.items())]
        trial = self._trial(parameters, labels)
        if metrics is None:
            trial.failure.CopyFrom(codec.failure_to_wire(failure or "", ""))
        else:
            last = max((m.step for m in curve), default=0) if stop_reason is not None else 0
            given = metrics if isinstance(metrics, Measurement) else Measurement(self.metrics_of(metrics), last)
            final = final_metrics(self.definition, given.metrics, given.step)
            _set_result(final, trial, stop_reason, given.elapsed)
        trial.measurements.extend(codec.curve_to_wire(curve))
        return self._create(trial, request_id)

    def _trial(self, parameters: Mapping[str, Any], labels: Mapping[str, str] | None) -> trial_pb2.Trial:
        given = self._configuration(parameters)
        return build_or_raise("labels", labels, lambda: trial_pb2.Trial(parameters=given, labels=labels or {}))

    def _create(self, trial: trial_pb2.Trial, request_id: str | None = None) -> Trial:
        request = pb.CreateTrialRequest(parent=self.name, trial=trial, request_id=request_id or new_request_id())
        return codec.trial_from_wire(self.client.ask(request, pb.CreateTrialResponse).trial)


def _set_result(
    result: FinalMetrics | Failure, trial: trial_pb2.Trial, stop_reason: str | None, elapsed: float | None = None
) -> None:
    """Set the result of a trial, and the seconds after which it was measured.

    `stop_reason` is why the trial ended early, None if it did not.

    Raises:
        InvalidRequest: a value cannot be encoded.
    """
    if isinstance(result, Failure):
        trial.failure.CopyFrom(codec.failure_to_wire(result.reason, result.message))
        return
    trial.final_measurement.CopyFrom(codec.measurement_to_wire(result.metrics, result.step, elapsed))
    if stop_reason is not None:
        build_or_raise("stop_reason", stop_reason, lambda: setattr(trial.stop_request, "reason", stop_reason))
        trial.stop_request.SetInParent()
