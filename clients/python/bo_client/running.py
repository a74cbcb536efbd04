"""A trial that this process runs: report, heartbeat, complete or fail."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import trial_pb2

from bo_client.artifacts import Artifact
from bo_client.errors import FailedPrecondition, InvalidRequest, NotFound
from bo_client.limits import MAX_WORKER_ID
from bo_client.models import Explanation, FailureReason, Heartbeat, Limit, Origin, Shortfall, Trial
from bo_client.out_of_memory import storable
from bo_client.parameters import Value, value_of
from bo_client.retries import new_request_id
from bo_client.wire import codec, codec_plain

if TYPE_CHECKING:
    from bo_client.study import Study

DEFAULT_LEASE = 60.0
MAX_LABEL = 256
"""Maximum number of characters of a label's value."""


def default_worker_id() -> str:
    """Return host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"[:MAX_WORKER_ID]


def no_suggest(name: str) -> str:
    """Return what is said to an objective that asks a trial for Optuna's `suggest_float` and the like."""
    return (
        f"a trial has no {name}: the search space is given to create_study, and the values are in "
        'trial["NAME"]; to define it in the objective, use Optuna with bo_client.integrations.optuna.BoSampler'
    )


class RunningTrial:
    """A trial under a lease. `report` and `heartbeat` renew it; threads may share a trial."""

    def __init__(self, study: "Study", snapshot: Trial, lease_token: str, lease_seconds: float) -> None:
        self.study = study
        self.snapshot = snapshot
        """The trial as it was handed out."""
        self.lease_token = lease_token
        """Proves who holds the trial; with it, another process may complete it."""
        self.lease_seconds = lease_seconds
        """How long the lease lasts after each heartbeat: as the last one's answer said."""
        self.renewed_at = time.monotonic()
        """When the last call for it began, answered or not, on the monotonic clock."""
        self.last_report: tuple[Mapping[str, float], int] | None = None
        """The last metrics that the server has taken, and their step."""
        self.stop_reason: str | None = None
        """Why the trial should end now; None as long as it may go on."""
        self.pause_reason: str | None = None
        """Why the trial should pause at its checkpoint now; None as long as it may go on."""
        self.until_step = snapshot.until_step
        """The step up to which it is trained now; None: to its end in one go."""
        self.is_lost = False
        """Whether the trial has ended elsewhere, is deleted, or is another worker's."""
        self._new_labels: dict[str, str] = {}

    @classmethod
    def from_wire(cls, study: "Study", message: trial_pb2.Trial, lease_token: str) -> "RunningTrial":
        """Make the trial of the server's message."""
        return cls(study, codec.trial_from_wire(message), lease_token, _lease_seconds(message))

    def __repr__(self) -> str:
        return f"RunningTrial({self.name!r}, {dict(self.parameters)!r}, attempt={self.attempt})"

    def _repr_html_(self) -> str:
        return self.snapshot._repr_html_()

    @property
    def number(self) -> int:
        """The trial's number in its study, from 1."""
        return self.snapshot.number

    @property
    def name(self) -> str:
        """`studies/{study}/trials/{trial}`."""
        return self.snapshot.name

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The value of each active parameter."""
        return self.snapshot.parameters

    def __getitem__(self, name: str) -> Value:
        """Return the value of a parameter. Raises KeyError if the trial has no such parameter."""
        return value_of(self.parameters, name)

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError; for Optuna's `suggest_…` it says where the search space is defined."""
        if name.startswith("suggest_"):
            raise AttributeError(no_suggest(name))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def params(self) -> Mapping[str, Value]:
        """The parameters, by the name that Optuna uses."""
        return self.snapshot.parameters

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1 for the first worker that runs the trial."""
        return self.snapshot.attempt

    @property
    def elapsed_before(self) -> float:
        """Seconds of training of the attempts before, as they reported them."""
        latest = self.snapshot.latest_measurement
        return latest.elapsed or 0.0 if latest is not None else 0.0

    @property
    def checkpoint_uri(self) -> str:
        """The URI of the checkpoint that an earlier attempt reported last; empty without one."""
        return self.snapshot.checkpoint_uri

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the trial, which users choose."""
        return self.snapshot.labels

    def set_label(self, name: str, value: str | float | bool) -> None:
        """Add a label, which is stored as text when this trial is completed or failed.

        Raises:
            InvalidRequest: the text is too long.
        """
        text = str(value)
        if len(text) > MAX_LABEL:
            raise InvalidRequest.of(f"labels[{name!r}]", f"has {len(text)} characters; give at most {MAX_LABEL}")
        self._new_labels[name] = text

    def set_note(self, text: str) -> None:
        """Write the trial's note at once, as `Study.set_note` does. Raises as that."""
        self.study.set_note(self.number, text)

    def add_artifact(
        self, source: str | Path | bytes, *, name: str | None = None, media_type: str | None = None
    ) -> Artifact:
        """Add a file to the trial, such as an image of its confusion matrix; one with the same name is replaced.

        Args:
            source: path of a file, its bytes, or a URI such as "gs://bucket/model.keras", of which only the text is
                stored.
            name: name of the artifact: letters, digits, '-', '_' or '.'; by default the last component of the path.
            media_type: such as "image/png"; by default what the ending of the name suggests.

        Returns:
            The artifact.

        Raises:
            InvalidRequest: the file cannot be read or is larger than 1 MiB, or the name or the type is invalid.
            NotFound: the trial is gone.
            FailedPrecondition: another worker runs the trial.
            LimitExceeded: the trial or the study has no room for it.
        """
        return self.study.add_artifact(
            self.number, source, name=name, media_type=media_type, lease_token=self.lease_token
        )

    def artifacts(self) -> list[Artifact]:
        """Return the files of the trial by name, without their bytes. Raises NotFound if the trial is gone."""
        return self.study.artifacts(self.number)

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
        """Add a point to the learning curve and renew the lease.

        Args:
            metrics: by name, or the objective metric alone.
            step: the position on the curve, such as the epoch; a step reported before is replaced.
            elapsed: seconds of training of the trial so far, `elapsed_before` included.
            checkpoint_uri: when given, where the next attempt could go on.

        Raises:
            InvalidRequest: a metric's name or value can't be.
            NotFound: the trial is gone.
            FailedPrecondition: the lease is not its own (WRONG_LEASE).
        """
        measured = self.study.metrics_of(metrics)
        answer = self._report([codec.measurement_to_wire(measured, step, elapsed)], checkpoint_uri)
        if answer.lease_valid:
            self.last_report = (measured, step)
        return answer

    def checkpoint(self, uri: str) -> Heartbeat:
        """Store where the next attempt could go on, and renew the lease. Raises as `report`."""
        return self._report([], uri)

    def heartbeat(self, patience: float | None = None) -> Heartbeat:
        """Renew the lease. Raises NotFound, FailedPrecondition (reason WRONG_LEASE)."""
        return self._report([], "", patience)

    def complete(
        self,
        metrics: float | Mapping[str, float],
        step: int | None = None,
        elapsed: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Trial:
        """End the trial with its result, and return it as it is then.

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
        return self._end(pb.CompleteTrialRequest(final_measurement=measurement, labels=self._merged(labels)))

    def pause(self, checkpoint_uri: str = "", labels: Mapping[str, str] | None = None) -> Trial:
        """Give the trial back at its checkpoint, as the server has asked, and return it as it is then.

        Args:
            checkpoint_uri: where it can be resumed; by default what was last reported.
            labels: added to the trial's own.

        Raises:
            InvalidRequest: there is no checkpoint.
            FailedPrecondition: it wasn't asked to pause, or has ended (WRONG_STATE), or the lease is not its own
                (WRONG_LEASE).
        """
        outcome = pb.PauseOutcome(checkpoint_uri=checkpoint_uri)
        return self._end(pb.CompleteTrialRequest(pause=outcome, labels=self._merged(labels)))

    def fail(self, reason: FailureReason | str, message: str = "", labels: Mapping[str, str] | None = None) -> Trial:
        """End the trial without a result, or return it to the queue where a machine is to blame.

        In the message, NUL and what UTF-8 can't hold become '?'. `labels` are added to the trial's own.

        Raises:
            InvalidRequest: no such reason.
            FailedPrecondition: the trial has ended already (WRONG_STATE), or the lease is not its own (WRONG_LEASE).
        """
        failure = codec.failure_to_wire(reason, storable(message))
        return self._end(pb.CompleteTrialRequest(failure=failure, labels=self._merged(labels)))

    def hasty(self) -> "RunningTrial":
        """Return the same trial for a process that is ending: its calls wait a few seconds at most."""
        trial = RunningTrial(self.study.hasty(), self.snapshot, self.lease_token, self.lease_seconds)
        trial._new_labels = self._new_labels
        return trial

    def _merged(self, labels: Mapping[str, str] | None) -> dict[str, str]:
        return {**self._new_labels, **(labels or {})}

    def _report(
        self, measurements: list[trial_pb2.Measurement], checkpoint_uri: str, patience: float | None = None
    ) -> Heartbeat:
        request = pb.ReportMeasurementsRequest(
            name=self.name,
            lease_token=self.lease_token,
            measurements=measurements,
            checkpoint_uri=checkpoint_uri,
        )
        self.renewed_at = time.monotonic()
        try:
            answer = self.study.client.ask(request, pb.ReportMeasurementsResponse, patience=patience)
        except (NotFound, FailedPrecondition):
            self.is_lost = True
            raise
        heartbeat = codec.heartbeat_from_wire(answer)
        self.is_lost = not heartbeat.lease_valid
        if heartbeat.should_stop or self.is_lost:
            self.stop_reason = heartbeat.reason
        if heartbeat.should_pause:
            self.pause_reason = heartbeat.reason
        if heartbeat.until_step is not None:  # it only grows, and answers may overtake each other
            self.until_step = max(heartbeat.until_step, self.until_step or 0)
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
        self,
        trials: list[RunningTrial],
        shortfall: Shortfall | None = None,
        retry_delay: float | None = None,
        reached_limit: Limit | None = None,
    ) -> None:
        super().__init__(trials)
        self.shortfall = shortfall
        """None where there are as many as asked for."""
        self.retry_delay = retry_delay
        """Seconds after which to ask again; None where there is no use in it."""
        self.reached_limit = reached_limit
        """The limit of the study because of which there are fewer; None if it is another reason."""

    @property
    def explanation(self) -> str:
        """Why there are fewer than asked for, in words; empty where there are as many."""
        words = self.shortfall.explanation if self.shortfall else ""
        is_spent = self.reached_limit not in (None, Limit.MAX_TRIALS)
        return f"{words} ({self.reached_limit.setting} is reached)" if self.reached_limit and is_spent else words

    def _repr_html_(self) -> str:
        from bo_client.notebook import trials_html

        return trials_html([trial.snapshot for trial in self], self.shortfall.value if self.shortfall else "")


def _lease_seconds(message: trial_pb2.Trial) -> float:
    """Return the lease's seconds by the server's clock on both sides: this machine's may differ."""
    end, start = codec_plain.moment_of(message.lease, "expire_time"), codec_plain.moment_of(message, "start_time")
    return (end - start).total_seconds() if end and start else DEFAULT_LEASE
