"""Optuna's gRPC proxy over SQLite, sampling at random in the workers. No leases: a report stands for a heartbeat."""

import multiprocessing
import socket
import tempfile
import time
from typing import Any

import optuna

from benchmarks.load.figures import Figures, Load
from benchmarks.load.threads import drive


def serve(url: str, port: int) -> None:
    """The proxy, until it is ended."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    optuna.storages.run_grpc_proxy_server(storage, host="127.0.0.1", port=port)


class OptunaWorker:
    """Asks, reports and tells."""

    def __init__(self, port: int, number: int) -> None:
        storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
        sampler = optuna.samplers.RandomSampler(seed=number)
        self._study = optuna.load_study(study_name="load", storage=storage, sampler=sampler)

    def suggest(self) -> Any:
        trial = self._study.ask()
        for i in range(4):
            trial.suggest_float(f"x{i}", 0.0, 1.0)
        return trial

    def report(self, trial: Any, step: int, value: float) -> None:
        trial.report(value, step)

    def complete(self, trial: Any, value: float) -> None:
        self._study.tell(trial, value)


def measure(load: Load) -> Figures:
    """The proxy in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(f"sqlite:///{folder}/o.db", port))
        process.start()
        try:
            storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
            storage.wait_server_ready(timeout=60)
            optuna.create_study(study_name="load", storage=storage)
            time.sleep(1.0)
            assert process.pid is not None
            return drive("Optuna's gRPC proxy", load, process.pid, lambda number: OptunaWorker(port, number))
        finally:
            process.kill()
            process.join()
