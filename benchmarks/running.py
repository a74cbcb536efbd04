"""Runs of peers on problems."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.peers.catalog import entry_of, interpreter
from benchmarks.peers.process import PeerProcess
from benchmarks.problems.problem import Failure, Problem
from benchmarks.problems.space import described, settled
from benchmarks.results import Key, Row, is_finished, write


def trials(peer: PeerProcess, problem: Problem, seed: int) -> Iterator[Row]:
    """One study, trial by trial. The noise of a trial depends on its number and the seed, not on the peer."""
    learning = 0.0
    for number in range(problem.budget):
        asked = peer.ask()
        config = settled(problem.space, asked.config)
        rng = np.random.default_rng([seed, number])
        try:
            value: float | None = problem.evaluate(config, rng)
        except Failure:
            value = None
        true = problem.true(config) if value is not None and problem.noise else value
        yield Row(config, value, true, asked.seconds + learning)
        learning = peer.tell(asked.config, value)


def run(key: Key, problem: Problem, folder: Path, environments: Path) -> bool:
    """Does a run, unless it is finished; False then. What the peer says on stderr is kept beside the trials.

    Raises:
        PeerError: the peer is gone.
    """
    path = key.file(folder)
    if is_finished(path, problem.budget):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = entry_of(key.peer)
    study = described(problem.space), key.seed, problem.budget
    with path.with_suffix(".log").open("w") as log:
        log.write(json.dumps(study) + "\n")
        log.flush()
        with PeerProcess(interpreter(entry, environments), entry.module, entry.variant, study, log) as peer:
            write(path, trials(peer, problem, key.seed))
    return True
