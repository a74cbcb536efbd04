"""The report: tables in Markdown, and the picture of regret over the budget."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import Line, broad, common, compare, tabled
from benchmarks.measures import STOPS, Run, geometric
from benchmarks.problems.suite import suite

HEAD = (
    "| peer | runs | regret at half | at full | {base}, same runs: half | full | ratio at full (95 %) | mean rank "
    "| duplicates | seconds a trial |\n|---|---|---|---|---|---|---|---|---|---|"
)
SPLITS = ("development", "validation")


def of_split(split: str) -> list[str]:
    """Names of its problems."""
    return [name for name, problem in suite().items() if problem.split.value == split]


def markdown(peers: Mapping[str, Sequence[Run]], base: str) -> str:
    """Both splits, apart."""
    parts = []
    for split in SPLITS:
        problems = of_split(split)
        shared = len(common(broad(tabled(peers, problems), len(problems))))
        parts.append(f"## {split.capitalize()}: {len(problems)} problems\n")
        parts.append(table(peers, base, problems))
        parts.append(f"\nRanks are over the {shared} runs that all peers with a rank have.\n")
        parts.append(by_problem(peers, problems))
    return "\n".join(parts)


def table(peers: Mapping[str, Sequence[Run]], base: str, problems: Sequence[str]) -> str:
    """A line for each peer, the best first."""
    return "\n".join([HEAD.format(base=base), *(row(line, base) for line in compare(peers, base, problems))])


def row(line: Line, base: str) -> str:
    """A peer's line."""
    ratio = "" if line.peer == base else f"{line.ratio:.2f} ({line.low:.2f} to {line.high:.2f})"
    beside = ("", "") if line.peer == base else (f"{line.base_half:.4f}", f"{line.base_full:.4f}")
    rank = "" if math.isnan(line.rank) else f"{line.rank:.2f}"
    figures = f"{line.half:.4f} | {line.full:.4f} | {beside[0]} | {beside[1]} | {ratio} | {rank}"
    return f"| {line.peer} | {line.runs} | {figures} | {line.duplicates} | {line.seconds:.3f} |"


def by_problem(peers: Mapping[str, Sequence[Run]], problems: Sequence[str]) -> str:
    """Geometric-mean regret at full budget of each problem."""
    names = [peer for peer, runs in peers.items() if any(r.problem in problems for r in runs)]
    lines = [f"| problem | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for problem in problems:
        runs = [[r.full for r in peers[peer] if r.problem == problem] for peer in names]
        lines.append(f"| {problem} | " + " | ".join(f"{geometric(v):.4f}" if v else "" for v in runs) + " |")
    return "\n".join(lines) + "\n"


def plot(peers: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Geometric-mean regret over the fraction of the budget, of the runs that all the peers drawn have."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for split, ax in zip(SPLITS, axes, strict=True):
        _draw(ax, peers, of_split(split))
        ax.set(title=split, xlabel="part of the budget", yscale="log")
    axes[0].set_ylabel("regret, geometric mean")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw(ax: Any, peers: Mapping[str, Sequence[Run]], problems: Sequence[str]) -> None:
    tables = broad(tabled(peers, problems), len(problems))
    shared = common(tables)
    for peer, table in tables.items() if shared else ():
        curve = [geometric([table[key].curve[i] for key in shared]) for i in range(STOPS)]
        ax.plot([(i + 1) / STOPS for i in range(STOPS)], curve, label=peer, **_style(peer, list(peers).index(peer)))


def _style(peer: str, number: int) -> dict[str, Any]:
    """Ours stands out; the tenth peer and those after it are dashed."""
    if peer == "ours":
        return {"lw": 2.6, "color": "black"}
    return {"lw": 1.2, "color": f"C{number % 10}", "ls": "-" if number < 10 else "--"}
