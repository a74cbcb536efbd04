"""The report of tabular runs, in Markdown."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.problems.problem import Split
from benchmarks.tabular import catalog
from benchmarks.tabular.results import TabularRun
from benchmarks.tabular.scores import ENOUGH_SEEDS, FLOOR, Comparison, Runs, Score, common, compare, geometric, regret

HEAD = (
    "| peer | runs | least seeds a table | at half | at full | {base}, same runs: half | full | ratio at full (95 %) "
    "| mean rank | repeats | seconds a trial |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def latest(runs: Sequence[TabularRun], split: Split) -> dict[str, Runs]:
    """Return the runs of one split by peer, of each peer those of the version and budget of its last run alone."""
    chosen = [run for run in runs if run.problem in catalog.SOURCES and catalog.SOURCES[run.problem].split is split]
    newest = {run.peer: (run.version, len(run.trials)) for run in chosen}
    return {
        peer: {(r.problem, r.seed): r for r in chosen if r.peer == peer and (r.version, len(r.trials)) == which}
        for peer, which in newest.items()
    }


def markdown(runs: Sequence[TabularRun], base: str, split: Split) -> str:
    """Return the report on one split: both scores, over all its tables and over the noisy perceptrons of HPOBench."""
    peers = latest(runs, split)
    tables = catalog.names(split)
    noisy = [name for name in tables if catalog.SOURCES[name].collection.name == "hpobench"]
    groups = {f"all {len(tables)} tables": tables, f"the {len(noisy)} noisy tables of HPOBench": noisy}
    parts = [f"# Recorded tables: {split.value}\n", _introduction(peers, runs, split)]
    for title, group in groups.items():
        for score in Score:
            parts.append(f"## {score.value.capitalize()}, {title}\n")
            parts.append(_table(compare(peers, base, group, score), base))
    parts.append("## By table, at full budget\n")
    parts += [_by_table(peers, tables, score) for score in Score]
    return "\n".join(parts)


def _introduction(peers: Mapping[str, Runs], runs: Sequence[TabularRun], split: Split) -> str:
    versions = [f"{peer} {next(iter(of.values())).version}" for peer, of in sorted(peers.items())]
    budgets = sorted({len(run.trials) for of in peers.values() for run in of.values()})
    older = sum(catalog.SOURCES[r.problem].split is split for r in runs if r.problem in catalog.SOURCES)
    older -= sum(len(of) for of in peers.values())
    lines = [
        f"Trials of a run: {', '.join(map(str, budgets)) or 'none'}. Regret is at least {FLOOR}, and 1 is the median "
        "best of ten random trials. A ratio below 1 means that the base is better; its 95 % interval is a bootstrap "
        "over tables and seeds.",
        f"Versions: {', '.join(versions) or 'none'}."
        + (f" Runs of earlier versions, left out: {older}." if older else ""),
        f"Ranks are on the {len(common(peers))} runs that all peers have.",
    ]
    return "\n".join(lines) + "\n"


def _table(lines: Sequence[Comparison], base: str) -> str:
    text = "\n".join([HEAD.format(base=base), *(_row(line, base) for line in lines)]) + "\n"
    others = [line for line in lines if line.peer != base and not line.peer.startswith("ours")]
    if not others or base not in [line.peer for line in lines]:
        return text
    best = max(others, key=lambda line: line.ratio)  # on paired runs: peers may have different ones
    preliminary = "" if best.seeds >= ENOUGH_SEEDS else f" Preliminary: fewer than {ENOUGH_SEEDS} paired seeds a table."
    return f"{text}\nBest peer: {best.peer}; {base} has {_ratio(best)} of its regret.{preliminary}\n"


def _ratio(line: Comparison) -> str:
    between = "" if math.isnan(line.low) else f" ({line.low:.2f} to {line.high:.2f})"
    return f"{line.ratio:.2f}{between}"


def _row(line: Comparison, base: str) -> str:
    beside = ("", "", "") if line.peer == base else (f"{line.base_half:.3f}", f"{line.base_full:.3f}", _ratio(line))
    rank = "" if math.isnan(line.rank) else f"{line.rank:.2f}"
    figures = [line.peer, line.runs, line.seeds, f"{line.half:.3f}", f"{line.full:.3f}", *beside, rank]
    return "| " + " | ".join(map(str, [*figures, line.repeats, f"{line.seconds:.3f}"])) + " |"


def _by_table(peers: Mapping[str, Runs], tables: Sequence[str], score: Score) -> str:
    order = sorted(peers)
    lines = [f"| {score.value} | " + " | ".join(order) + " |", "|---" * (len(order) + 1) + "|"]
    for name in tables:
        regrets = [[regret(run, score) for key, run in peers[peer].items() if key[0] == name] for peer in order]
        lines.append(f"| {name} | " + " | ".join(f"{geometric({name: v}):.3f}" if v else "" for v in regrets) + " |")
    return "\n".join(lines) + "\n"
