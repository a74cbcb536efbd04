"""A trial that this process runs: report, heartbeat, complete or fail."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import trial_pb2

from bo_client.out_of_memory import storable
from bo_client.parameters import Value
from bo_client.retries import new_request_id
from bo_client.values import Explanation, FailureReason, Heartbeat, Origin, Shortfall, Trial
from bo_client.wire import codec, codec_plain

if TYPE_CHECKING:
    from bo_client.study import Study

DEFAULT_LEASE = 60.0


class RunningTrial:
    """A trial under a lease. Signs of life (`report`, `heartbeat`) renew it; threads may share a trial."""

    def __init__(self, study: "Study", snapshot: Trial, lease_token: str, lease_seconds: float) -> None:
        self.study = study
        self.snapshot = snapshot
        """The trial as it was handed out."""
        self.lease_token = lease_token
        """Proves who holds the trial; with it, another process may complete it."""
        self.lease_seconds = lease_seconds
        """How long the lease lasts after each sign of life: as the last one's answer said."""

    @classmethod
    def from_wire(cls, study: "Study", message: trial_pb2.Trial, lease_token: str) -> "RunningTrial":
        """The trial as the server handed it out."""
        return cls(study, codec.trial_from_wire(message), lease_token, _lease_seconds(message))

    def __repr__(self) -> str:
        return f"RunningTrial({self.name!r}, {dict(self.parameters)!r}, attempt={self.attempt})"

    def _repr_html_(self) -> str:
        return self.snapshot._repr_html_()

    @property
    def number(self) -> int:
        """Counts from 1 in the study."""
        return self.snapshot.number

    @property
    def name(self) -> str:
        """`studies/{study}/trials/{trial}`."""
        return self.snapshot.name

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The value of each active parameter."""
        return self.snapshot.parameters

    @property
    def attempt(self) -> int:
        """1 for the first worker that runs it, 2 for the second …"""
        return self.snapshot.attempt

    @property
    def checkpoint_uri(self) -> str:
        """Where an earlier attempt left what it needs to go on; empty where there is none."""
        return self.snapshot.checkpoint_uri

    @property
    def labels(self) -> Mapping[str, str]:
        """The user's own marks."""
        return self.snapshot.labels

    @property
    def origin(self) -> Origin | None:
        """Where the parameters come from."""
        return self.snapshot.origin

    @property
    def explanation(self) -> Explanation | None:
        """Why these parameters were suggested."""
        return self.snapshot.explanation

    def report(
        self,
        metrics: float | Mapping[str, float],
        step: int,
        elapsed: float | None = None,
        checkpoint_uri: str = "",
    ) -> Heartbeat:
        """Adds a point to the learning curve and renews the lease.

        Args:
            metrics: by name, or the objective metric alone.
            step: the position on the curve, such as the epoch; a step reported before is replaced.
            elapsed: seconds spent on the trial so far.
            checkpoint_uri: when given, where the next attempt could go on.

        Raises:
            InvalidRequest: a metric's name or value can't be.
            NotFound: the trial is gone.
            FailedPrecondition: the lease is not its own (WRONG_LEASE).
        """
        measurement = codec.measurement_to_wire(self.study.metrics_of(metrics), step, elapsed)
        return self._report([measurement], checkpoint_uri)

    def checkpoint(self, uri: str) -> Heartbeat:
        """Keeps where the next attempt could go on, and renews the lease. Raises as `report`."""
        return self._report([], uri)

    def heartbeat(self, patience: float | None = None) -> Heartbeat:
        """Renews the lease. Raises NotFound, FailedPrecondition (reason WRONG_LEASE)."""
        return self._report([], "", patience)

    def complete(
        self,
        metrics: float | Mapping[str, float],
        step: int | None = None,
        elapsed: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Trial:
        """Ends the trial with what it achieved, and returns it as it is then.

        Args:
            metrics: by name, or the objective metric alone.
            step: of the learning curve; its last step when left out.
            elapsed: seconds spent on the trial.
            labels: added to the trial's own, such as a diagnosis; at most 64 in all, values to 256 characters.

        Raises:
            InvalidRequest: a metric is missing or not finite; `fail` with DIVERGED instead.
            FailedPrecondition: the trial has ended already (WRONG_STATE), or the lease is not its own (WRONG_LEASE).
        """
        measurement = codec.measurement_to_wire(self.study.metrics_of(metrics), step, elapsed)
        return self._end(pb.CompleteTrialRequest(final_measurement=measurement, labels=labels))

    def fail(self, reason: FailureReason | str, message: str = "", labels: Mapping[str, str] | None = None) -> Trial:
        """Ends the trial without a result, or sends it back to the queue where a machine is to blame.

        In the message, NUL and what UTF-8 can't hold become '?'. `labels` are added to the trial's own.

        Raises:
            InvalidRequest: no such reason.
            FailedPrecondition: the trial has ended already (WRONG_STATE), or the lease is not its own (WRONG_LEASE).
        """
        failure = codec.failure_to_wire(reason, storable(message))
        return self._end(pb.CompleteTrialRequest(failure=failure, labels=labels))

    def hasty(self) -> "RunningTrial":
        """The same trial for a process that is ending: its calls wait a few seconds at most."""
        return RunningTrial(self.study.hasty(), self.snapshot, self.lease_token, self.lease_seconds)

    def _report(
        self, measurements: list[trial_pb2.Measurement], checkpoint_uri: str, patience: float | None = None
    ) -> Heartbeat:
        request = pb.ReportMeasurementsRequest(
            name=self.name,
            lease_token=self.lease_token,
            measurements=measurements,
            checkpoint_uri=checkpoint_uri,
        )
        answer = self.study.client.ask(request, pb.ReportMeasurementsResponse, patience=patience)
        heartbeat = codec.heartbeat_from_wire(answer)
        if heartbeat.lease_valid and heartbeat.lease_remaining > 0:
            self.lease_seconds = heartbeat.lease_remaining
        return heartbeat

    def _end(self, request: pb.CompleteTrialRequest) -> Trial:
        request.name, request.lease_token, request.request_id = self.name, self.lease_token, new_request_id()
        answer = self.study.client.ask(request, pb.CompleteTrialResponse)
        return codec.trial_from_wire(answer.trial)


class Suggestions(list[RunningTrial]):
    """The trials handed out, and why they are fewer than asked for."""

    def __init__(
        self, trials: list[RunningTrial], shortfall: Shortfall | None = None, retry_delay: float | None = None
    ) -> None:
        super().__init__(trials)
        self.shortfall = shortfall
        """None where there are as many as asked for."""
        self.retry_delay = retry_delay
        """Seconds after which to ask again; None where there is no use in it."""

    @property
    def explanation(self) -> str:
        """Why there are fewer than asked for, in words; empty where there are as many."""
        return self.shortfall.explanation if self.shortfall else ""

    def _repr_html_(self) -> str:
        from bo_client.notebook import trials_html

        return trials_html([trial.snapshot for trial in self], self.shortfall.value if self.shortfall else "")


def _lease_seconds(message: trial_pb2.Trial) -> float:
    """From the server's clock on both sides: ours may differ."""
    end, start = codec_plain.moment_of(message.lease, "expire_time"), codec_plain.moment_of(message, "start_time")
    return (end - start).total_seconds() if end and start else DEFAULT_LEASE
