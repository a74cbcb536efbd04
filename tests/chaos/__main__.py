"""`python -m tests.chaos --kills 500`: the long run; ends with a failure where anything was lost or done twice."""

import argparse
import pickle
import sys
import tempfile
from pathlib import Path

from tests.chaos.kills import survive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--storage", help="URL of an empty database; a SQLite file of its own without one")
    parser.add_argument("--keep", type=Path, help="where the history goes, pickled, if anything is wrong with it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = given.storage or f"sqlite:///{folder}/bo.db"
        log = Path(folder) / "server.log"
        outcome = survive(storage, log, given.kills, given.seed, given.workers, say=lambda t: print(t, flush=True))
        faults = [line for line in log.read_text().splitlines() if "Traceback" in line or " internal error " in line]
    print(outcome)
    if outcome.violations and given.keep:
        given.keep.write_bytes(pickle.dumps(outcome.history))
    for violation in outcome.violations[:50]:
        print(" ", violation)
    print(f"{len(faults)} faults in the server's log")
    return 1 if outcome.violations or faults else 0


if __name__ == "__main__":
    sys.exit(main())
