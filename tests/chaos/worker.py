"""A worker that can be killed: `python -m tests.chaos.worker ADDRESS STUDY NAME SECONDS`.

It works on one trial after another until there are no more: leaves a checkpoint, gives signs of life for so many
seconds, and completes it. It says a JSON line for each trial it gets, and for each that it loses or completes.
"""

import json
import sys
import time
from typing import Any

import bo_client


def main() -> None:
    address, study_id, name, seconds = sys.argv[1:]
    with bo_client.connect(address, patience=60.0) as client:
        study = client.study(study_id)
        while True:
            suggestions = study.suggest(1, name)
            for trial in suggestions:
                say(got=trial.number, attempt=trial.attempt, checkpoint=trial.checkpoint_uri)
                run(trial, name, float(seconds))
            if not suggestions:
                if suggestions.retry_delay is None:
                    return
                time.sleep(0.2)


def run(trial: Any, name: str, seconds: float) -> None:
    trial.checkpoint(f"by/{name}/{trial.number}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(trial.lease_seconds / 5)
        if not trial.heartbeat().lease_valid:
            say(lost=trial.number, attempt=trial.attempt)
            return
    trial.complete({"loss": 1.0})
    say(completed=trial.number, attempt=trial.attempt)


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
