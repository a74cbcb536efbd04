"""The summary of replayed studies, in Markdown."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.curves.catalog import SPACES
from benchmarks.fidelity.catalog import METHODS
from benchmarks.fidelity.results import Study
from benchmarks.fidelity.scores import FIRST, LAST, MOMENTS, Comparer, Comparison, Ratio, Scale, Score, Studies
from benchmarks.tabular.scores import ENOUGH_SEEDS, FLOOR, geometric

WORKERS = (1, 8)
"""Trials trained at once, as planned."""
HEAD = (
    "| method | studies | tables | least seeds a table | "
    + " | ".join(f"at {moment}" for moment in MOMENTS)
    + f" | ratio at {FIRST} (95 %) | ratio at {LAST} (95 %) | mean rank | seconds: at {FIRST} | at {LAST} | trials |"
)


def latest(studies: Sequence[Study], tables: Sequence[str], workers: int) -> dict[str, Studies]:
    """Return the studies on some tables by method, of each those of the version and budget of its last one alone."""
    chosen = [s for s in studies if s.key.table in tables and s.key.workers == workers]
    newest = {s.key.method: (s.key.version, s.key.budget) for s in chosen}
    return {
        method: {
            (s.key.table, s.key.seed): s
            for s in chosen
            if s.key.method == method and (s.key.version, s.key.budget) == which
        }
        for method, which in newest.items()
    }


def markdown(studies: Sequence[Study], scales: Mapping[str, Scale], base: str, half: str) -> str:
    """Return the summary of one half.

    Args:
        studies: The finished studies.
        scales: The half's tables by name.
        base: The method with which all are compared.
        half: Name of the half.
    """
    groups = {
        "real": {name: scale for name, scale in scales.items() if not SPACES[name].is_crossing},
        "crossing": {name: scale for name, scale in scales.items() if SPACES[name].is_crossing},
    }
    parts = [f"# Recorded learning curves: {half}\n", _introduction(studies, list(scales), base)]
    for workers in sorted({study.key.workers for study in studies}):
        methods = latest(studies, list(scales), workers)
        for kind, group in groups.items():
            for score in Score:
                comparer = Comparer(methods, base, group, score)
                title = f"{_workers(workers).capitalize()}, {len(group)} {kind} tables, {score.value}"
                parts += [f"## {title}\n", _table(comparer, base)] if group and comparer.has_base else []
        parts += [f"## {_workers(workers).capitalize()}, by table, at {LAST}\n"]
        parts += [_by_table(methods, scales, score) for score in Score]
    return "\n".join(parts)


def _introduction(studies: Sequence[Study], tables: Sequence[str], base: str) -> str:
    counts = sorted({*WORKERS, *(study.key.workers for study in studies)})
    by_workers = {workers: latest(studies, tables, workers) for workers in counts}
    kept = sum(len(of) for methods in by_workers.values() for of in methods.values())
    versions = sorted({f"{m} {s.key.version}" for of in by_workers.values() for m, o in of.items() for s in o.values()})
    lines = [
        f"Regret at equal epochs: those of {', '.join(map(str, MOMENTS))} whole trials; the two columns of seconds "
        f"are at the recorded seconds of {FIRST} and {LAST} whole trials. Regret 1 is the median best of ten random "
        f"configurations, 0 the best of the table; it is at least {FLOOR}, and at most that of the median "
        f"configuration. A ratio is a method's regret divided by that of `{base}` on the studies that both have: below "
        "1 the method is better. Its 95 % interval is a bootstrap over tables and seeds. Where methods have different "
        "studies, ratios can be compared and regrets cannot. [The plan](../fidelity/plan.md) says more, and which "
        "peers are missing.",
        f"**Preliminary.** A comparison with fewer than {ENOUGH_SEEDS} paired seeds on any table supports no claim."
        if _is_preliminary(by_workers, tables)
        else "",
        f"Versions: {'; '.join(versions) or 'none'}."
        + (f" Studies of earlier versions, left out: {len(studies) - kept}." if len(studies) > kept else ""),
        *(f"Studies with {_workers(workers)}: {_counts(by_workers[workers])}." for workers in counts),
        f"Methods without any study: {', '.join(_missing(by_workers)) or 'none'}.",
    ]
    return "\n\n".join(filter(None, lines)) + "\n"


def _workers(count: int) -> str:
    return "one worker" if count == 1 else f"{count} workers"


def _counts(methods: Mapping[str, Studies]) -> str:
    return ", ".join(f"{name} {len(methods[name])}" for name in METHODS if name in methods) or "none"


def _missing(by_workers: Mapping[int, Mapping[str, Studies]]) -> list[str]:
    there = {name for methods in by_workers.values() for name in methods}
    return [name for name in METHODS if name not in there]


def _is_preliminary(by_workers: Mapping[int, Mapping[str, Studies]], tables: Sequence[str]) -> bool:
    seeds = [
        sum(table == name for table, _ in of)
        for methods in by_workers.values()
        for of in methods.values()
        for name in tables
    ]
    return min(seeds, default=0) < ENOUGH_SEEDS


def _table(comparer: Comparer, base: str) -> str:
    rule = "|---" * HEAD.count(" | ") + "|---|"
    rows = [_row(line, base) for line in comparer.compare()]
    return (
        "\n".join([HEAD, rule, *rows, "", f"Ranks are on the {len(comparer.common())} studies that all have."]) + "\n"
    )


def _row(line: Comparison, base: str) -> str:
    beside = ("", "") if line.method == base else (_ratio(line.first), _ratio(line.last))
    rank = "" if math.isnan(line.rank) else f"{line.rank:.2f}"
    figures = [line.method, line.studies, line.tables, line.seeds, *(f"{regret:.3f}" for regret in line.regrets)]
    seconds = [f"{regret:.3f}" for regret in line.by_seconds]
    return "| " + " | ".join(map(str, [*figures, *beside, rank, *seconds, f"{line.trials:.0f}"])) + " |"


def _ratio(ratio: Ratio) -> str:
    between = "" if math.isnan(ratio.low) else f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"{ratio.mean:.2f}{between}"


def _by_table(methods: Mapping[str, Studies], scales: Mapping[str, Scale], score: Score) -> str:
    order = [name for name in METHODS if name in methods]
    lines = [f"| {score.value} | " + " | ".join(order) + " |", "|---" * (len(order) + 1) + "|"]
    for table, scale in scales.items():
        regrets = [[scale.regret(s, LAST, score) for key, s in methods[m].items() if key[0] == table] for m in order]
        lines.append(f"| {table} | " + " | ".join(f"{geometric({table: v}):.3f}" if v else "" for v in regrets) + " |")
    return "\n".join(lines) + "\n"
