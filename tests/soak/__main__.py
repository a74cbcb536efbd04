"""`python -m tests.soak --minutes 60`: healthy workers under attack.

It prints a verdict with its bounds, and fails where a level rises, a lease is lost or heartbeats take too long.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.soak.attackers import ATTACKERS
from tests.soak.soak import soak


def main() -> int:
    names = [attacker.__name__ for attacker in ATTACKERS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attackers", nargs="*", choices=names, default=names)
    given = parser.parse_args()
    chosen = [attacker for attacker in ATTACKERS if attacker.__name__ in given.attackers]
    with tempfile.TemporaryDirectory() as folder:
        outcome = soak(Path(folder), given.minutes * 60, given.seed, chosen, say=lambda t: print(t, flush=True))
    print(outcome)
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
