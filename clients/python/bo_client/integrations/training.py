"""What the callbacks of training libraries share: reports of a trial's steps, and the reason to end the training."""

import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from bo_client.errors import InvalidRequest, PauseTrial, StopTrial
from bo_client.integrations.domains import service_name
from bo_client.integrations.external_trial import divergence
from bo_client.models import Heartbeat
from bo_client.optimize import ObjectiveTrial
from bo_client.running import RunningTrial
from bo_client.trial_loop import HeartbeatThread

Metrics = str | Mapping[str, str]
"""The library's name of the objective, or its names of several of the study's metrics."""


class TrainingCallback:
    """The part of a callback that talks to the server; a class of the library is the other base.

    Its methods have underscores, as the library has names of its own. The program completes the trial, as it knows the
    result.
    """

    _tool = ""
    """Name of the library in errors."""
    _advice = ""
    """What a user does if the library has no such metric."""
    _needs_folder = True
    """Whether a trial cannot pause without a folder for checkpoints."""

    def __init__(
        self,
        trial: RunningTrial,
        metric: Metrics | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        checkpoint_uri: str = "",
    ) -> None:
        """Create the callback; see the library's class.

        Raises:
            InvalidRequest: the trial is trained in parts, and has no checkpoints, or the study has no such metric.
        """
        super().__init__()
        has_folder = bool(checkpoint_uri) or checkpoint_dir is not None
        if trial.until_step is not None and self._needs_folder and not has_folder:
            what = "is missing, and the trial is trained in parts; give a folder, or leave can_resume out"
            raise InvalidRequest.of("checkpoint_dir", what)
        self.trial = trial
        self.checkpoint_uri = checkpoint_uri
        self.history: dict[str, list[float]] = {}
        """What was reported of each metric in its order, with the steps of earlier attempts that were resumed."""
        self.pause_reason: str | None = None
        """The reason why training was paused; None otherwise. `Study.optimize` is told by PauseTrial."""
        self.stop_reason: str | None = None
        """The reason why training was stopped, by the service or for a NaN or infinite loss; None otherwise."""
        self._objectives = [m.name for m in trial.study.definition.objectives]
        self._source_names = {self._objectives[0]: metric} if isinstance(metric, str) else dict(metric or {})
        names = [m.name for m in trial.study.definition.metrics]
        if not set(self._source_names) <= set(names):
            given, wanted = ", ".join(map(repr, self._source_names)), f"the study has {', '.join(names)}"
            raise InvalidRequest.of("metric", f"has the keys {given}; {wanted}: name the library's metric of each")
        self._folder = None if checkpoint_dir is None else CheckpointFolder(Path(checkpoint_dir), trial)
        self._pause: PauseTrial | None = None
        self._heartbeats: HeartbeatThread | None = None
        self._began = time.monotonic()
        self._elapsed_before = 0.0

    def _recall(self) -> None:
        """Take the history and the time of the attempts before from the server."""
        for measurement in self.trial.study.trial(self.trial.number).measurements:
            self._add(measurement.metrics)
            self._elapsed_before = measurement.elapsed or self._elapsed_before

    def _begin(self) -> None:
        """Start heartbeats, unless `Study.optimize` sends them."""
        if not isinstance(self.trial, ObjectiveTrial):
            self._finish_heartbeats()
            self._heartbeats = HeartbeatThread(self.trial)
            self._heartbeats.__enter__()

    def _finish_heartbeats(self) -> None:
        """Stop the heartbeats; afterwards the program sends its own."""
        if self._heartbeats is not None:
            self._heartbeats.__exit__(None, None, None)
            self._heartbeats = None

    def _finish(self) -> None:
        """End the training.

        Raises:
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        self._finish_heartbeats()
        if self._pause is not None:
            raise self._pause

    @property
    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._began

    def _save(self, step: int) -> str:  # noqa: ARG002 - for libraries that save after each step
        """Write a checkpoint if there is a folder for it, and return its URI."""
        return self.checkpoint_uri

    def _take(self, measured: Mapping[str, float], step: int) -> bool:
        """Report the finite metrics of a step, and return whether the training should end.

        The trial is DIVERGED once the program completes it with a NaN or infinite objective, as `Study.optimize` does.

        Raises:
            InvalidRequest: the study's objective is not among the metrics.
        """
        metrics = self._named(measured)
        self._add(metrics)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        try:
            heartbeat = self._report(finite, step) if finite else self.trial.heartbeat()
        except PauseTrial as pause:
            self._pause, self.pause_reason = pause, str(pause)
        except StopTrial as stop:
            self.stop_reason = str(stop)
        else:
            self._obey(heartbeat, divergence(metrics, self._objectives, self._has_rule), step)
        return self._should_end

    def _report(self, metrics: Mapping[str, float], step: int) -> Heartbeat:
        """Report a step with its checkpoint, which is written before."""
        elapsed = self._elapsed
        uri = self._save(step)
        try:
            return self.trial.report(metrics, step, elapsed, uri)
        finally:
            if self._folder is not None and uri and (self.trial.last_report or ({}, None))[1] == step:
                self._folder.keep(uri)

    @property
    def _should_end(self) -> bool:
        return self.stop_reason is not None or self.pause_reason is not None

    @property
    def _has_rule(self) -> bool:
        return self.trial.study.definition.settings.get("stopping", "none") != "none"

    def _obey(self, heartbeat: Heartbeat, diverged: str | None, step: int) -> None:
        if heartbeat.should_stop or not heartbeat.lease_valid:
            self.stop_reason = heartbeat.reason
        elif heartbeat.should_pause:
            self.pause_reason = heartbeat.reason
        elif diverged is not None:
            self.stop_reason = f"{diverged} at step {step}"

    def _add(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)

    def _named(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics: the study's by the names that they have there, and the others by the library's."""
        names = {**{m.name: m.name for m in self.trial.study.definition.metrics}, **self._source_names}
        sources = {name: self._library_name(source, measured) for name, source in names.items()}
        wrong = [self._source_names[name] for name in self._source_names if sources[name] not in measured]
        if wrong:
            raise InvalidRequest.of("metric", f"is {', '.join(wrong)}; {self._available(measured)}")
        missing = [name for name in self._objectives if sources[name] not in measured]
        if missing:
            raise InvalidRequest.of("metrics", f"lack {', '.join(missing)}; {self._available(measured)}")
        others = {service_name(name): value for name, value in measured.items() if name not in sources.values()}
        return {**others, **{name: measured[source] for name, source in sources.items() if source in measured}}

    def _library_name(self, name: str, measured: Mapping[str, float]) -> str:  # noqa: ARG002 - for short names
        """Return the name in `measured` of what a user or a study calls so."""
        return name

    def _available(self, measured: Mapping[str, float]) -> str:
        return f"{self._tool} has {', '.join(measured) or 'none'}: {self._advice}"


class CheckpointFolder:
    """The checkpoints of one attempt: a file or folder for each step, of which the last one reported is kept.

    One is complete before the server learns of it, so a worker that dies while it writes leaves the one before.
    """

    def __init__(self, folder: Path, trial: RunningTrial) -> None:
        self._folder = folder.absolute() / trial.study.id / f"trial-{trial.number}"
        self._attempt = trial.attempt
        self.last = trial.checkpoint_uri
        """The checkpoint that the server has; empty if there is none."""

    def of(self, step: int, unit: str, ending: str = "") -> Path:
        """Return where to write the checkpoint of a step, in a folder that exists."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"attempt-{self._attempt}-{unit}-{step}{ending}"

    def keep(self, uri: str) -> None:
        """Delete the checkpoint before this one, which the server has now. Folders elsewhere are not touched."""
        before = Path(self.last)
        if self.last != uri and before.parent == self._folder:
            shutil.rmtree(before, ignore_errors=True) if before.is_dir() else before.unlink(missing_ok=True)
        self.last = uri


def existing(trial: RunningTrial) -> str | None:
    """Return the checkpoint of an earlier attempt; None if there is none.

    Raises:
        InvalidRequest: it cannot be read.
    """
    if trial.checkpoint_uri and not Path(trial.checkpoint_uri).exists():
        raise unreadable(trial.checkpoint_uri, "it does not exist")
    return trial.checkpoint_uri or None


def unreadable(uri: str, why: object) -> InvalidRequest:
    """Return the error about a checkpoint that cannot be read."""
    what = f"is {uri!r}, which cannot be read: {why}; give all workers the same checkpoint_dir"
    return InvalidRequest.of("checkpoint_uri", what)
