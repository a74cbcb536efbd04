"""The Hydra sweeper `bo`: `python train.py --multirun hydra/sweeper=bo 'lr=interval(1e-4,1e-1)'`.

Hydra imports this module in every program that uses it, so the client is loaded at the first sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class BoSweeperConf:
    """The configuration `hydra.sweeper`."""

    _target_: str = "hydra_plugins.bo_sweeper.BoSweeper"
    n_trials: int = 20
    """Number of jobs of this sweep."""
    n_jobs: int = 1
    """Number of jobs that are requested and launched at a time."""
    direction: Any = "minimize"
    """"minimize" or "maximize"; a list for several objectives."""
    metric: Any = "value"
    """Name of what the job returns; a list for several objectives."""
    server: str | None = None
    """Address of the server; by default BO_SERVER, else 127.0.0.1:50051."""
    study_id: str | None = None
    """Id of the study; by default the name of the job."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of `create_study`."""
    params: dict[str, Any] = field(default_factory=dict)
    """Overrides that the command line need not contain, such as `{lr: "interval(0.01, 1)"}`."""


ConfigStore.instance().store(group="hydra/sweeper", name="bo", node=BoSweeperConf, provider="bo_sweeper")


class BoSweeper(Sweeper):
    """A sweeper whose jobs are the trials of a study."""

    def __init__(self, **options: Any) -> None:
        """Create the sweeper with the fields of `BoSweeperConf`."""
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare the sweep, as Hydra asks."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: Sequence[str]) -> Any:
        """Run the jobs.

        Args:
            arguments: the overrides of the command line.

        Returns:
            Hydra's results of the jobs.
        """
        from bo_client.integrations.hydra import Sweep

        return Sweep(self, **self.options).run(arguments)
