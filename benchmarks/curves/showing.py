"""What there is, in figures and small pictures of characters."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves import table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.halves import half_of
from benchmarks.curves.table import Ended, Table
from bo_service.domain.parameter_types import Value

WIDTH, HEIGHT = 60, 12
LETTERS = "abcde"
RUNGS = (1, 3, 9)


def overview(folder: Path) -> Iterator[str]:
    """Yield a line of each space: its half, what is recorded of it, and how it turned out."""
    columns = f"{'configurations':>14} {'seeds':>5} {'epochs':>6}  {'recorded':9} {'diverged':>8}  best"
    yield f"{'space':24} {'half':12} {columns}"
    there = set(table.recorded(folder))
    for name, space in SPACES.items():
        begins = f"{name:24} {half_of(space):12}"
        if name not in there:
            yield f"{begins} {'-':>14} {'-':>5} {space.epochs:6}  no"
            continue
        curves = table.load(name, folder)
        n, s = curves.ended.shape
        state = "whole" if curves.is_whole else f"{curves.done / curves.ended.size:.0%} part"
        lost = float((curves.ended == Ended.DIVERGED).sum() / max(curves.done, 1))
        best = np.nanmin(curves.losses) if np.isfinite(curves.losses).any() else np.nan
        yield f"{begins} {n:14} {s:5} {curves.epochs:6}  {state:9} {lost:8.1%}  {best:.4g}"
    yield from (f"{name}: unknown to this program" for name in sorted(there - set(SPACES)))


def details(curves: Table, half: str) -> Iterator[str]:
    """Yield what was recorded, the figures, the best configurations, and a picture of their curves."""
    about = curves.about
    n, s = curves.ended.shape
    yield f"{about['name']} ({half}{', crossing' if about['is_crossing'] else ''})"
    yield f"{about['data']['origin']}; {about['data']['license']}"
    yield about["recipe"]
    yield f"loss: {about['loss']}; metric: {about['metric']}"
    counts = ", ".join(
        f"{(curves.ended == end).sum()} {end.name.lower()}" for end in Ended if (curves.ended == end).any()
    )
    yield f"{n} configurations × {s} seeds × {curves.epochs} epochs; runs: {counts}"
    is_whole = curves.ended == Ended.WHOLE
    if not is_whole.any():
        return
    yield f"seconds of processor an epoch: {_quartiles(curves.seconds[is_whole])}; all {_hours(curves)}"
    finals = curves.losses[is_whole][:, -1]
    yield f"final loss: {_quartiles(finals)}; best {finals.min():.4g}; best of any epoch {np.nanmin(curves.losses):.4g}"
    yield f"spread of the best twenty's final loss over seeds: {_noise(curves):.2g}"
    yield "early ranks (Spearman's correlation with the last epoch; share ahead of the final best twentieth):"
    yield "  " + "; ".join(f"epoch {e}: {r:.2f}, {behind:.0%}" for e, r, behind in early_ranks(curves))
    means = mean_finals(curves)
    order = np.argsort(means)[: min(len(LETTERS), int(np.isfinite(means).sum()))]
    yield "best, by their mean final loss:"
    for letter, row in zip(LETTERS, order, strict=False):
        yield f"  {letter} {means[row]:.4g} {_in_words(curves.configurations[row])}"
    yield from _picture(curves.losses[order].mean(axis=1))


def mean_finals(curves: Table) -> NDArray[np.float64]:
    """Return mean final losses over the seeds, (N,); infinite where one is missing or diverged."""
    finals = curves.losses[:, :, -1].astype(np.float64)
    return np.asarray(np.where(np.isfinite(finals), finals, np.inf).mean(axis=1))


def early_ranks(curves: Table) -> list[tuple[int, float, float]]:
    """Return of some epochs the rank correlation with the end, and how many are ahead of the final best twentieth."""
    ranks = []
    for epoch in (e for e in RUNGS if e <= curves.epochs):
        pairs = []
        for seed in range(curves.seeds):
            losses = np.where(np.isfinite(curves.losses[:, seed]), curves.losses[:, seed], np.inf)
            rows = curves.ended[:, seed] != Ended.MISSING
            if rows.sum() < 2:
                continue
            early, final = (_ranks(losses[rows, at]) for at in (epoch - 1, -1))
            best = final < max(len(final) // 20, 1)
            pairs.append((np.corrcoef(early, final)[0, 1], early[best].mean() / len(early)))
        correlation, behind = np.mean(pairs, axis=0)
        ranks.append((epoch, float(correlation), float(behind)))
    return ranks


def picture(curves: Table, path: Path) -> None:
    """Write a picture of all curves of the first seed, the best five in color. Needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    epochs = np.arange(1, curves.epochs + 1)
    for row in range(len(curves.configurations)):
        axes.plot(epochs, curves.losses[row, 0], color="0.8", linewidth=0.5)
    for row in np.argsort(mean_finals(curves))[:5]:
        axes.plot(epochs, curves.losses[row, 0], linewidth=1.5)
    finals = curves.losses[:, 0, -1]
    if np.isfinite(finals).any():
        low, high = np.nanmin(curves.losses[:, 0]), np.nanpercentile(curves.losses[:, 0], 90)
        axes.set_ylim(low - 0.02 * (high - low), high)
    axes.set(xlabel="epoch", ylabel=curves.about["loss"], title=curves.about["name"])
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _quartiles(values: NDArray[Any]) -> str:
    return " / ".join(f"{v:.3g}" for v in np.nanquantile(values, (0.25, 0.5, 0.75))) + " (quartiles)"


def _hours(curves: Table) -> str:
    total = float(np.nansum(curves.seconds))
    return f"{total / 3600:.1f} h" if total > 3600 else f"{total:.0f} s"


def _noise(curves: Table) -> float:
    means = mean_finals(curves)
    rows = np.argsort(means)[: min(20, int(np.isfinite(means).sum()))]
    return float(np.median(curves.losses[rows, :, -1].std(axis=1))) if len(rows) else float("nan")


def _in_words(configuration: Mapping[str, Value]) -> str:
    return json.dumps({n: float(f"{v:.3g}") if isinstance(v, float) else v for n, v in configuration.items()})


def _picture(curves: NDArray[np.float32]) -> Iterator[str]:
    """Yield lines of characters: each curve (k, E) by its letter, the first one on top."""
    if not len(curves):
        return
    low, high = float(curves.min()), float(np.quantile(curves, 0.95))
    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    for letter, curve in reversed(list(zip(LETTERS, curves, strict=False))):
        for column in range(WIDTH):
            value = curve[round(column * (len(curve) - 1) / (WIDTH - 1))]
            if value <= high:
                row = round((high - float(value)) / max(high - low, 1e-12) * (HEIGHT - 1))
                canvas[row][column] = letter
    for row, line in enumerate(canvas):
        edge = f"{high:9.4g}" if row == 0 else f"{low:9.4g}" if row == HEIGHT - 1 else " " * 9
        yield f"{edge} |{''.join(line)}".rstrip()
    yield f"{'':9} +{'-' * WIDTH}"
    yield f"{'epoch':>9}  1{curves.shape[1]:>{WIDTH - 1}}"
