"""OSS Vizier's server over SQLite, with random search. It has no leases: a measurement stands for a heartbeat."""

import subprocess
import sys
import tempfile
from typing import Any

from vizier.service import clients
from vizier.service import pyvizier as vz

from benchmarks.load.figures import Figures, Load
from benchmarks.load.threads import drive

SERVE = """
import sys, time
from vizier.service import servers
server = servers.DefaultVizierServer(host="127.0.0.1", database_url=sys.argv[1])
print(server.endpoint, flush=True)
while True:
    time.sleep(60)
"""


class VizierWorker:
    """Asks for suggestions under a name of its own, reports and completes."""

    def __init__(self, problem: Any, number: int) -> None:
        self._study = clients.Study.from_study_config(problem, owner="load", study_id="load")
        self._name = f"w{number}"

    def suggest(self) -> Any:
        (trial,) = self._study.suggest(count=1, client_id=self._name)
        return trial

    def report(self, trial: Any, step: int, value: float) -> None:
        trial.add_measurement(vz.Measurement({"loss": value}, steps=step))

    def complete(self, trial: Any, value: float) -> None:
        trial.complete(vz.Measurement({"loss": value}))


def study() -> Any:
    """Four numbers, at random."""
    problem = vz.StudyConfig(algorithm="RANDOM_SEARCH")
    for i in range(4):
        problem.search_space.root.add_float_param(f"x{i}", 0.0, 1.0)
    problem.metric_information.append(vz.MetricInformation("loss", goal=vz.ObjectiveMetricGoal.MINIMIZE))
    return problem


def measure(load: Load) -> Figures:
    """The server in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVE, f"sqlite:///{folder}/v.db"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            clients.environment_variables.server_endpoint = process.stdout.readline().strip()
            problem = study()
            clients.Study.from_study_config(problem, owner="load", study_id="load")
            return drive("OSS Vizier", load, process.pid, lambda number: VizierWorker(problem, number))
        finally:
            process.kill()
            process.wait()
