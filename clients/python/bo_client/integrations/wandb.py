"""Weights & Biases: each trial of a study as a run.

with following(study, WandbLog()):
    study.optimize(objective)
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import wandb

from bo_client.models import Measurement, Trial

Mode = Literal["online", "offline"]
ENDED = "bo-ended"
"""The file that marks a complete run in the folder that W&B keeps on this machine."""
STATE = "bo.state"
"""The name in a run's summary that marks a complete run."""

_open: dict[str, Any] = {}
"""Runs of this process that have not ended, by id: W&B refuses a second one."""


class WandbLog:
    """A log with a run for each trial, in a project named after the study.

    Runs of ended trials are left unchanged.
    """

    def __init__(
        self,
        project: str | None = None,
        entity: str | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        mode: Mode | None = None,
    ) -> None:
        """Create the log.

        Args:
            project: name of the project; by default the study's id.
            entity: user or team; by default W&B's.
            directory: folder in which W&B makes its folder `wandb`; by default WANDB_DIR, else the working directory.
            mode: "offline" to write files alone, which `wandb sync` uploads later; by default WANDB_MODE.
        """
        self._project = project
        self._entity = entity
        self._directory = Path(directory or os.environ.get("WANDB_DIR") or ".")
        self._mode = mode or os.environ.get("WANDB_MODE") or "online"

    def start(self, trial: Trial) -> "_FollowedWandbRun | None":
        """Start the trial's run again, unless it is complete."""
        study_id = trial.name.split("/")[1]
        run_id = hashlib.sha256(f"{trial.name} {trial.create_time}".encode()).hexdigest()[:16]
        if run_id in _open:
            _open.pop(run_id).finish()  # of a follower in this process that ended before the trial
        for folder in self._directory.glob(f"wandb/*run-*-{run_id}"):
            if (folder / ENDED).exists():
                return None
            if folder.name.startswith("offline"):
                shutil.rmtree(folder)  # a follower that was cut off has left it
        run = _open[run_id] = wandb.init(
            project=self._project or study_id,
            entity=self._entity,
            dir=str(self._directory),
            id=run_id,
            name=f"{study_id}/{trial.number}",
            group=study_id,
            config={**trial.parameters, "bo.trial": trial.name, "bo.origin": str(trial.origin)},
            mode=self._mode,
            reinit="create_new",
            resume=None if self._mode == "offline" else "allow",
            settings=wandb.Settings(console="off", x_disable_stats=True),
        )
        if run.resumed and STATE in run.summary:
            _open.pop(run_id).finish()
            return None
        return _FollowedWandbRun(run)


class _FollowedWandbRun:
    def __init__(self, run: Any) -> None:
        self._run = run

    def measured(self, measurement: Measurement) -> None:
        self._run.log(dict(measurement.metrics), step=measurement.step)

    def ended(self, trial: Trial) -> None:
        final = trial.final_measurement
        if final is not None:
            prefix = "stopped_" if trial.is_cut_short else "final_"  # a rule ended it: its values aren't final
            self._run.summary.update({f"{prefix}{name}": value for name, value in final.metrics.items()})
        if trial.failure is not None:
            self._run.summary["bo.failure"] = f"{trial.failure.reason}: {trial.failure.message}"
        self._run.summary.update({**trial.labels, STATE: str(trial.state)})
        folder = Path(self._run.dir).parent
        self._run.finish(exit_code=0 if final is not None else 1)
        _open.pop(self._run.id, None)
        (folder / ENDED).touch()
