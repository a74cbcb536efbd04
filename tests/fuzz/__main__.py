"""`python -m tests.fuzz --inputs 100000`: the long run over every method, up to the first thing that must never be."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target, running_target
from tests.fuzz.world import World

BATCH = 500


def fuzz(target: Target, inputs: int, seed: int, say: bool = False, world: World | None = None) -> None:
    """Sends so many; after each batch every study must read and suggest. `world` is the one that there is, if any.

    Raises:
        AssertionError: with the method and the bytes that did it.
    """
    world = world or World(target)
    mutator = Mutator(random.Random(seed), world)
    for sent in range(inputs):
        if sent % BATCH == 0:
            world.found()
        method, data = mutator.request()
        try:
            target.send(method, data)
            if sent % BATCH == BATCH - 1 or sent == inputs - 1:
                world.check()
        except BaseException:
            print(f"after input {sent} of seed {seed}: {method}, {len(data)} bytes: {data[:2000]!r}", file=sys.stderr)
            raise
        if say and sent % 5000 == 4999:
            print(f"{sent + 1} inputs, {dict(target.statuses)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running_target(Path(folder)) as target:
        fuzz(target, given.inputs, given.seed, say=True)
    seconds, method = target.slowest
    print(f"{given.inputs} inputs in {time.monotonic() - began:.0f} s: {dict(target.statuses)}")
    print(f"the slowest took {seconds:.2f} s ({method})")


if __name__ == "__main__":
    main()
