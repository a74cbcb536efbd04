"""The report: tables in Markdown, and the picture of regret over the budget."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import Line, Runs, common, compare
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
        tables = [{(r.problem, r.seed): r for r in runs if r.problem in problems} for runs in peers.values()]
        shared = len(common(dict(enumerate_names(tables))))
        parts.append(f"## {split.capitalize()}: {len(problems)} problems\n")
        parts.append(table(peers, base, problems))
        parts.append(f"\nRanks are over the {shared} runs that all have.\n")
        parts.append(by_problem(peers, problems))
    return "\n".join(parts)


def table(peers: Mapping[str, Sequence[Run]], base: str, problems: Sequence[str]) -> str:
    """A line for each peer, the best first."""
    return "\n".join([HEAD.format(base=base), *(row(line, base) for line in compare(peers, base, problems))])


def enumerate_names(tables: Sequence[Runs]) -> list[tuple[str, Runs]]:
    """Tables that hold something, under names."""
    return [(str(i), table) for i, table in enumerate(tables) if table]


def row(line: Line, base: str) -> str:
    """A peer's line."""
    ratio = "" if line.peer == base else f"{line.ratio:.2f} ({line.low:.2f} to {line.high:.2f})"
    beside = ("", "") if line.peer == base else (f"{line.base_half:.4f}", f"{line.base_full:.4f}")
    figures = f"{line.half:.4f} | {line.full:.4f} | {beside[0]} | {beside[1]} | {ratio} | {line.rank:.2f}"
    return f"| {line.peer} | {line.runs} | {figures} | {line.duplicates} | {line.seconds:.3f} |"


def by_problem(peers: Mapping[str, Sequence[Run]], problems: Sequence[str]) -> str:
    """Geometric-mean regret at full budget of each problem."""
    names = [peer for peer, runs in peers.items() if any(r.problem in problems for r in runs)]
    lines = [f"| problem | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for problem in problems:
        found = [[r.full for r in peers[peer] if r.problem == problem] for peer in names]
        lines.append(f"| {problem} | " + " | ".join(f"{geometric(v):.4f}" if v else "" for v in found) + " |")
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
    tables = {peer: {(r.problem, r.seed): r for r in runs if r.problem in problems} for peer, runs in peers.items()}
    tables = {peer: table for peer, table in tables.items() if table}
    shared = common(tables)
    for peer, table in tables.items() if shared else ():
        curve = [geometric([table[key].curve[i] for key in shared]) for i in range(STOPS)]
        fractions = [(i + 1) / STOPS for i in range(STOPS)]
        ax.plot(
            fractions, curve, label=peer, lw=2.4 if peer == "ours" else 1.2, color="black" if peer == "ours" else None
        )
