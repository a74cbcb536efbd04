"""The peers that have a server, each driven from an environment of its own."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.installing import install
from benchmarks.load.figures import Figures, Load
from benchmarks.peers.catalog import environments
from benchmarks.peers.process import ROOT

PEERS: Mapping[str, tuple[str, str]] = {
    "optuna": ("optuna-grpc", "optuna_proxy"),
    "vizier": ("vizier", "vizier_server"),
}
"""The environment and the module of each."""


def of_peer(peer: str, load: Load, folder: Path | None, make: bool = False) -> Figures:
    """What a peer comes to under a load, its environment under `folder` made first where that is asked for."""
    environment, module = PEERS[peer]
    if make:
        install(environment, environments(folder))
    python = environments(folder) / environment / "bin" / "python"
    command = [str(python), "-m", "benchmarks.load.threads", module, json.dumps(asdict(load))]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=variables)
    return Figures.from_json(done.stdout.splitlines()[-1])
