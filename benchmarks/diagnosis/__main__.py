"""Plant faults in real trainings and count how many the diagnosis finds, and how many healthy ones it accuses.

python -m benchmarks.diagnosis run --half development     # a few seconds each; what is there is not redone
python -m benchmarks.diagnosis run --half test
python -m benchmarks.diagnosis report                     # results/diagnosis.md, diagnosed anew from the records
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.diagnosis import plan, reporting
from benchmarks.diagnosis.datasets import HALVES

RESULTS = Path(__file__).parents[1] / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run cases, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="train what is missing")
    running.add_argument("--half", choices=HALVES, required=True)
    running.add_argument("--only", default="", help="cases whose name has this text")
    running.add_argument("--share", default="0/1", help="0/3, 1/3 and 2/3 for three processes side by side")
    running.add_argument("--results", type=Path, default=RESULTS / "diagnosis.jsonl")
    running.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "bo-benchmarks")
    report = commands.add_parser("report", help="diagnose the records anew, and write the tables")
    report.add_argument("--results", type=Path, default=RESULTS / "diagnosis.jsonl")
    report.add_argument("--half", choices=HALVES, help="print this half's cases instead")
    asked = parser.parse_args(arguments)
    if asked.command == "run":
        run(asked.half, asked.only, asked.share, asked.results, asked.cache)
    elif asked.half:
        print("\n".join(reporting.lines(plan.cases(asked.half), read(asked.results))))  # noqa: T201
    else:
        text = reporting.markdown(read(asked.results))
        (RESULTS / "diagnosis.md").write_text(text, "utf-8")
        print(text)  # noqa: T201


def run(half: str, only: str, share: str, results: Path, cache: Path) -> None:
    """Train the cases that have no row yet; a row is appended as each is done."""
    from benchmarks.diagnosis.running import run as run_case

    done = read(results)
    place, count = (int(part) for part in share.split("/"))
    mine = plan.cases(half)[place::count]
    missing = [case for case in mine if case.key not in done and only in case.name]
    missing.sort(
        key=lambda case: (case.parameters.get("mode") == "scratch", int(case.options["epochs"]))
    )  # slow ones last
    for i, case in enumerate(missing, 1):
        row = run_case(case, cache)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{i}/{len(missing)} {case.key}: {row['labels']['diagnosis']} ({row['seconds']} s)", flush=True)  # noqa: T201


def read(results: Path) -> dict[str, dict[str, Any]]:
    """Rows by half and name."""
    if not results.exists():
        return {}
    rows = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    return {f"{row['half']}/{row['name']}": row for row in rows}


if __name__ == "__main__":
    main(sys.argv[1:])
