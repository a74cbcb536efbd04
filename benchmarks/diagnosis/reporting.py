"""Tables of what was planted and what was found."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bo_objectives.efficientnet import diagnosis
from bo_objectives.efficientnet.findings import Setting
from bo_objectives.efficientnet.history import TrainingHistory

from benchmarks.diagnosis import plan
from benchmarks.diagnosis.datasets import DEVELOPMENT, TEST
from benchmarks.diagnosis.plan import StoppingContext

RowIndex = Mapping[str, Mapping[str, Any]]
NOTHING = "nothing"
INTRODUCTION = """\
Each run is a real training of EfficientNet-Lite0 on 64 × 64 images (emoji, scikit-learn's digits, drawn shapes or
textures), with a fault planted or with sensible parameters. A plant counts as found where the first finding is the
cause; a control must have no finding. Thresholds were set on the development half. The test half has other images,
other seeds and other strengths, and was looked at when the thresholds stood. The plant of a class of 95 % was replaced
in both halves after the first one of the development half had too few images to have a fault. All runs of both halves
were made anew, with the thresholds as they were, after the initial weights of networks from scratch had changed.
Later the rule for label noise where one class dominates was changed, as a class of 95 % had been called noisy in the
test half; two plants with such a class were added to each half. A third was dropped before the test half was
run, as all of its rare images were found. The threshold of the rule was moved once, by the development half.
Made by `python -m benchmarks.diagnosis report` from `diagnosis.jsonl`."""


def findings_of(row: Mapping[str, Any]) -> list[str]:
    """Kinds that the present thresholds find in a record, causes first, and then the notes."""
    setting = Setting(**{**row["setting"], "pixel_range": tuple(row["setting"]["pixel_range"])})
    record = TrainingHistory.of(row["record"])
    kinds = [finding.kind for finding in diagnosis.diagnose(record, setting)]
    return [*kinds, *(f"note.{kind}" for kind in diagnosis.notes(record, setting))]


def first(case: StoppingContext, kinds: Sequence[str]) -> str:
    """Return what a planted fault counts as: its first finding, or its note where a note is expected."""
    if noted := case.expected & {kind for kind in kinds if kind.startswith("note.")}:
        return min(noted)
    return next((kind for kind in kinds if not kind.startswith("note.")), NOTHING)


def is_right(case: StoppingContext, kinds: Sequence[str]) -> bool:
    """Return whether the first finding is the cause; for a control, whether there is none."""
    return first(case, kinds) in (case.expected or {NOTHING})


def lines(cases: Sequence[StoppingContext], rows: RowIndex) -> Iterator[str]:
    """Yield a line for each case, for whoever sets thresholds."""
    for case in cases:
        if case.key in rows:
            kinds = findings_of(rows[case.key])
            mark = "ok " if is_right(case, kinds) else "BAD"
            yield f"{mark} {case.name} [{case.data}] {'|'.join(case.expected)}: {', '.join(kinds)}"


def markdown(rows: RowIndex) -> str:
    """Counts of both halves, the confusion table of the test half, and each case of it."""
    parts = ["# Planted faults and what the diagnosis finds", "", INTRODUCTION, "", *_counts(rows), ""]
    cases = [case for case in plan.cases(TEST) if case.key in rows]
    plants = [case for case in cases if case.expected]
    parts += ["## Test half: planted faults by first finding", "", *_confusion(plants, rows), ""]
    parts += ["## Test half: every run", "", *_runs(cases, rows), ""]
    return "\n".join(parts)


def _counts(rows: RowIndex) -> Iterator[str]:
    yield "| half | plants | right cause first | controls | accused |"
    yield "|---|---|---|---|---|"
    for half in (DEVELOPMENT, TEST):
        cases = [case for case in plan.cases(half) if case.key in rows]
        right = {case.key: is_right(case, findings_of(rows[case.key])) for case in cases}
        plants, controls = [c for c in cases if c.expected], [c for c in cases if not c.expected]
        hits, false = sum(right[c.key] for c in plants), sum(not right[c.key] for c in controls)
        yield f"| {half} | {len(plants)} | {hits} | {len(controls)} | {false} |"


def _confusion(plants: Sequence[StoppingContext], rows: RowIndex) -> Iterator[str]:
    counts = Counter((min(c.expected), first(c, findings_of(rows[c.key]))) for c in plants)
    yield "| planted | found first |"
    yield "|---|---|"
    for planted in dict.fromkeys(min(c.expected) for c in plants):
        others = [f"{kind} {count}" for (of, kind), count in counts.most_common() if of == planted]
        yield f"| {planted} | {', '.join(others)} |"


def _runs(cases: Sequence[StoppingContext], rows: RowIndex) -> Iterator[str]:
    yield "| run | images | found | validation loss, accuracy | |"
    yield "|---|---|---|---|---|"
    for case in cases:
        row = rows[case.key]
        kinds = findings_of(row)
        curve = row["record"]["curve"]
        best = min(curve, key=lambda point: point["val_loss"]) if curve else None
        result = f"{best['val_loss']:.3g}, {best['val_accuracy']:.2f}" if best else row["failure"]
        mark = "" if is_right(case, kinds) else "wrong"
        yield f"| {case.name} | {case.data} | {', '.join(kinds) or NOTHING} | {result} | {mark} |"
